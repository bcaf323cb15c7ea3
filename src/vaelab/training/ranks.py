"""Training by several processes, each a rank: PyTorch's distributed data parallel.

    torchrun --nproc-per-node 2 src/stages/train_conv.py cifar10

or `train.processes: 2`, which does the same. A rank takes its share of every batch; gradients are
averaged over the ranks, so that all hold the same weights. The first rank alone looks at the
validation split, writes and speaks. A process that was started by itself is the only rank.
"""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch
from torch.nn.parallel import DistributedDataParallel

from vaelab.runtime.errors import UserError
from vaelab.runtime.stage import speak
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

    Raises UserError with the message of the one that a rank raised, or where a rank ended by itself
    (all others are ended then); SystemExit where this process is told to end.
    """
    threads = torch.get_num_threads()
    os.environ["OMP_NUM_THREADS"] = str(max(1, threads // processes))
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
    try:
        refusals = elastic_launch(config, _told)(function, arguments)
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        raise UserError(
            f"process {rank} of {processes} ended by itself (status {failure.exitcode}) and the "
            "others were ended; what it said stands above; training goes on from its last epoch"
        ) from None
    except SignalException as error:
        raise SystemExit(128 + error.sigval) from None
    if refusal := refusals[0]:
        raise UserError(refusal)


def _told(function: Callable[..., None], arguments: tuple[Any, ...]) -> str:
    """In a new process: the message of a UserError, which all ranks raise, or nothing."""
    speak()
    try:
        function(*arguments)
    except UserError as error:
        return str(error)
    return ""


@contextmanager
def joined(device_name: str) -> Iterator[torch.device]:
    """The device of this rank, which has joined the others if there are any."""
    device = select_device(device_name)
    if not launched():
        yield device
        return
    if device.type == "cuda":
        local = int(os.environ["LOCAL_RANK"])
        if local >= torch.cuda.device_count():
            raise UserError(
                f"process {local} has no GPU of its own, as this machine has "
                f"{torch.cuda.device_count()}; set train.processes to that"
            )
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
    if not is_first():
        logging.getLogger("vaelab").setLevel(logging.CRITICAL)
    try:
        yield device
    finally:
        dist.destroy_process_group()


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
