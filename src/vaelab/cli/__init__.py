"""A trained model at work on one's own pictures, from the shell.

vaelab reconstruct *.jpg --model models/cifar10/conv

Each command writes one file and says in a line where. What the person can mend is one line on
stderr and status 2. Nothing heavy is imported before the command line is read.
"""

from __future__ import annotations

import io
import logging
import os
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from vaelab.cli.output import complain, printable
from vaelab.cli.parser import build_parser
from vaelab.runtime.errors import UserError, lacks_memory

OUT_OF_MEMORY = "out of memory; try fewer images at once, or --device cpu"


def main(argv: Sequence[str] | None = None) -> int:
    """argv: what follows the program's name; by default this process's own. Returns the status."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # for names that it cannot encode
    try:
        try:
            return _run(argv)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # nobody reads stdout, which Python flushes once more as it ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _run(argv: Sequence[str] | None) -> int:
    options = vars(build_parser().parse_args(argv))
    command = options.pop("command")
    try:
        with _silence():
            from vaelab.cli.commands import COMMANDS

            written = COMMANDS[command](**options)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except Exception as error:
        out_of_memory = lacks_memory(error)
        if not out_of_memory and not isinstance(error, (UserError, OSError)):
            raise
        complain(f"vaelab {command}: {OUT_OF_MEMORY if out_of_memory else error}")
        return 2
    sys.stdout.write(f"{printable(written)}\n")
    return 0


@contextmanager
def _silence() -> Iterator[None]:
    """No warnings of the libraries', such as Pillow's about a picture's metadata."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable()
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)
