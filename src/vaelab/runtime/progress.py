"""What a stage says while it works: its steps as lines, and a moving bar on a terminal.

    with steps("compare", {"encode": 2, "measure": 30, "draw": 5}) as step:
        step("encode")

A pipe or a file gets plain lines, and no bar.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import NoReturn

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

REFRESH = 0.5  # seconds

log = logging.getLogger("vaelab")


def bar(total: float | None, name: str, unit: str, layout: str | None = None) -> tqdm[NoReturn]:
    """A bar that is gone when it is done; nothing where the errors' stream is no terminal.

    layout: tqdm's bar_format, where it is not to show counts and a rate.
    """
    return tqdm(
        total=total,
        desc=name,
        unit=unit,
        unit_scale=unit == "B",
        bar_format=layout,
        leave=False,
        disable=not sys.stderr.isatty(),
    )


@contextmanager
def steps(stage: str, shares: Mapping[str, float]) -> Iterator[Callable[[str], None]]:
    """Announces each step as it begins, with the time that is left.

    shares: step -> about how long it takes, in whatever unit, in the order of the steps.
    """
    names = list(shares)
    started = time.perf_counter()
    whole = sum(shares.values())

    def step(name: str) -> None:
        number = names.index(name)
        done = sum(shares[each] for each in names[:number])
        seconds = time.perf_counter() - started
        left = f", about {seconds * (whole / done - 1):.0f} s left" if done else ""
        log.info("%s %d/%d: %s%s", stage, number + 1, len(names), name, left)
        moving.n = done
        moving.set_description_str(f"{stage}: {name}")

    over = threading.Event()
    with bar(whole, stage, "", "{desc} |{bar}| {elapsed}") as moving, logging_redirect_tqdm():
        thread = threading.Thread(target=_keep_moving, args=(moving, over), daemon=True)
        thread.start()
        try:
            yield step
        finally:
            over.set()
            thread.join()
    log.info("%s: done in %.0f s", stage, time.perf_counter() - started)


def _keep_moving(moving: tqdm[NoReturn], over: threading.Event) -> None:
    while not over.wait(REFRESH):
        moving.refresh()
