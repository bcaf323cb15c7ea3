"""How many threads a stage computes with.

PyTorch's threads wait for each other by spinning, so one too many on a busy machine makes all of
them crawl: with two busy neighbours on two cores, one thread trains several times as fast as two.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Literal

import psutil

LOOK = 0.3  # seconds over which it is measured how busy the cores are
QUOTA = Path("/sys/fs/cgroup/cpu.max")  # of a container: microseconds of work, in so many
VARIABLE = "OMP_NUM_THREADS"  # which OpenMP, MKL and OpenBLAS read, when they are loaded

log = logging.getLogger("vaelab")


def use_threads(wanted: int | Literal["auto"]) -> None:
    """Set VARIABLE; has to come before the first import of numpy or torch.

    `auto` takes the cores that nobody else keeps busy at the moment, at least one. Workers of a
    DVC queue start at the same moment, so they share the cores by how many they are. A VARIABLE
    that is set already goes before `auto`. The processes that torchrun starts share a number.
    """
    if wanted != "auto":
        sharing = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
        os.environ[VARIABLE] = str(max(1, wanted // sharing))
    elif VARIABLE not in os.environ:
        cores = usable_cores()
        threads = cores // workers if (workers := queue_workers()) else idle_cores(cores)
        os.environ[VARIABLE] = str(max(1, min(cores, threads)))
        log.info("threads: %s of %d cores; loading PyTorch and MLflow", os.environ[VARIABLE], cores)


def usable_cores() -> int:
    """Those that this process may use, by its affinity and its container's quota."""
    cores = len(_own_cores())
    if QUOTA.is_file():
        work, period = QUOTA.read_text().split()
        if work != "max":
            cores = min(cores, round(int(work) / int(period)))
    return max(1, cores)


def idle_cores(cores: int) -> int:
    """How many of the usable cores are idle, to the nearest, over the next LOOK seconds."""
    busy = psutil.cpu_percent(LOOK, percpu=True)
    own = [busy[core] for core in _own_cores() if core < len(busy)]
    return min(cores, round(sum(100.0 - percent for percent in own) / 100.0))


def queue_workers() -> int:
    """How many workers of a DVC queue run, if one of them has started this process; else 0."""
    if not any(_is_worker(parent) for parent in psutil.Process().parents()):
        return 0
    return sum(_is_worker(process) for process in psutil.process_iter())


def _is_worker(process: psutil.Process) -> bool:
    try:
        return "queue-worker" in process.cmdline()
    except psutil.Error:
        return False


def _own_cores() -> list[int]:
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))
