"""Training by several processes, each a rank: PyTorch's distributed data parallel.

    torchrun --nproc-per-node 2 src/stages/train_conv.py cifar10

or `train.processes: 2`, which does the same. A rank takes its share of every batch; gradients are
averaged over the ranks, so that all hold the same weights. The first rank alone looks at the
validation split, writes and speaks. A process that was started by itself is the only rank.
"""

from __future__ import annotations

import logging
import math
import os
import signal
import traceback
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch
from torch.nn.parallel import DistributedDataParallel

from vaelab.runtime.errors import UserError
from vaelab.runtime.stage import reason_of, speak
from vaelab.vae.device import select_device

PATIENCE = timedelta(minutes=30)  # with a rank that is silent: an epoch's validation takes time

T = TypeVar("T")


def launched() -> bool:
    """Whether torchrun, or `launch`, has started this process."""
    return dist.is_torchelastic_launched()


def size() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def is_first() -> bool:
    return not dist.is_initialized() or dist.get_rank() == 0


def launch(processes: int, function: Callable[..., None], *arguments: Any) -> None:
    """Call `function` in that many new processes, and wait for them.

    Where a rank fails, all others are ended. Raises UserError with its reason, or RuntimeError with
    its traceback; KeyboardInterrupt or SystemExit where this process is told to end.
    """
    os.environ["OMP_NUM_THREADS"] = str(max(1, torch.get_num_threads() // processes))
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=str(uuid.uuid4()),
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        start_method="spawn",
    )
    for talkative in ("torch.distributed.elastic", "torch.multiprocessing"):
        logging.getLogger(talkative).setLevel(logging.CRITICAL)
    with TemporaryDirectory() as scratch:
        reason = Path(scratch) / "reason.txt"
        fault = Path(scratch) / "fault.txt"
        try:
            elastic_launch(config, _rank)(reason, fault, function, arguments)
        except ChildFailedError as error:
            if reason.exists():
                raise UserError(reason.read_text(encoding="utf-8")) from None
            rank, failure = error.get_first_failure()
            if failure.exitcode > 0 and fault.exists():
                raise RuntimeError(fault.read_text(encoding="utf-8")) from None
            raise UserError(
                f"process {rank} of {processes} ended by itself (status {failure.exitcode}) and "
                "the others were ended; training goes on from its last epoch"
            ) from None
        except SignalException as error:
            if error.sigval == signal.SIGINT:
                raise KeyboardInterrupt from None
            raise SystemExit(128 + error.sigval) from None


def _rank(
    reason: Path, fault: Path, function: Callable[..., None], arguments: tuple[Any, ...]
) -> None:
    """In a new process. Why the first one failed goes to `reason`, or its traceback to `fault`."""
    speak()
    try:
        function(*arguments)
    except KeyboardInterrupt:
        raise SystemExit(128 + signal.SIGINT) from None
    except Exception as error:
        said = reason_of(error)
        kept, text = (fault, traceback.format_exc()) if said is None else (reason, said)
        with suppress(FileExistsError), kept.open("x", encoding="utf-8") as file:
            file.write(text)
        raise
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # an exception on the way out says too much


@contextmanager
def joined(device_name: str) -> Iterator[torch.device]:
    """The device of this rank, which has joined the others if there are any.

    Raises UserError, on all of a machine's ranks, where a device is not there for each of them.
    """
    device = select_device(device_name)
    if not launched():
        yield device
        return
    beside, here = int(os.environ["LOCAL_WORLD_SIZE"]), device_count(device)
    if beside > here:
        raise UserError(
            f"{beside} processes need a GPU each and this machine has {here}: set train.processes "
            "to that, or train.device to cpu"
        )
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
    if not is_first():
        logging.getLogger("vaelab").setLevel(logging.ERROR)
    yield device
    dist.destroy_process_group()  # not after a failure: it would wait for the others


def device_count(device: torch.device) -> float:
    """How many processes can have a device of this kind for their own."""
    return {"cpu": math.inf, "mps": 1, "cuda": torch.cuda.device_count()}[device.type]


def parallel(module: nn.Module, device: torch.device) -> nn.Module:
    """`module`, whose gradients are averaged over the ranks as they come."""
    if size() == 1:
        return module
    return DistributedDataParallel(module, [device] if device.type == "cuda" else None)


def own_rows(count: int) -> tuple[slice, float]:
    """Which rows of a batch are this rank's, and 1; of a batch with none for it, row 0 and 0.

    The second weighs the rows: a rank without any has to take its part in the step.
    """
    rank = dist.get_rank() if dist.is_initialized() else 0
    return (slice(rank, None, size()), 1.0) if rank < count else (slice(1), 0.0)


def total(value: Tensor) -> Tensor:
    """The sum over the ranks; its gradient is `size` times the summand's, as these are averaged."""
    if size() == 1:
        return value
    whole = value.detach().clone()
    dist.all_reduce(whole)
    return whole + size() * (value - value.detach()) if value.requires_grad else whole


def from_first(make: Callable[[], T]) -> T:
    """What the first rank makes, on all ranks; a UserError of its is raised on all."""
    if size() == 1:
        return make()
    box: list[Any] = [None, None]
    if is_first():
        try:
            box[0] = make()
        except UserError as error:
            box[1] = str(error)
    dist.broadcast_object_list(box, src=0)
    if box[1] is not None:
        raise UserError(box[1])
    made: T = box[0]
    return made
