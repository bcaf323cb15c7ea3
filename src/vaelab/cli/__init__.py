"""A trained model at work on one's own pictures, from the shell.

vaelab reconstruct *.jpg --model models/cifar10/conv

Each command writes one file and says in a line where. What the person can mend is one line on
stderr and status 2. Nothing heavy is imported before the command line is read.
"""

from __future__ import annotations

import io
import logging
import signal
import sys
import warnings
from collections.abc import Sequence

import click

from vaelab.cli.commands import program
from vaelab.runtime.errors import UserError, lacks_memory, printable

OUT_OF_MEMORY = "out of memory; try fewer images at once"


def main(argv: Sequence[str] | None = None) -> int:
    """argv: what follows the program's name; by default this process's own. Returns the status."""
    argv = sys.argv[1:] if argv is None else argv
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # for names that it cannot encode
    logging.disable()  # the libraries' remarks, such as Pillow's about a picture's metadata
    try:
        context = program.make_context("vaelab", list(argv))
        with context, warnings.catch_warnings(action="ignore"):
            sys.stdout.write(f"{printable(program.invoke(context))}\n")
        return 0
    except click.exceptions.Exit as end:  # after the help
        return end.exit_code
    except click.UsageError as error:
        at = error.ctx.command_path if error.ctx else "vaelab"
        reason = f"{at}: {error.format_message().rstrip('.')}; see {at} --help"
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except Exception as error:
        out_of_memory = lacks_memory(error)
        if not (out_of_memory or isinstance(error, UserError | OSError)):
            raise
        reason = f"vaelab {argv[0]}: {OUT_OF_MEMORY if out_of_memory else error}"
    finally:
        logging.disable(logging.NOTSET)
    sys.stderr.write(f"{printable(reason)}\n")
    return 2
