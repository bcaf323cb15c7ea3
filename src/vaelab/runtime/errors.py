"""The one exception that a person is meant to read, and the want of memory."""

import re


class UserError(Exception):
    """Something that the person can mend: its message says what, where and what to do.

    A stage prints the message alone, without a traceback, and exits with a non-zero status.
    """


def printable(text: str) -> str:
    """One line: a file's name may hold line breaks and bytes that are no text."""
    return "".join(each if each.isprintable() else "?" for each in text)


def lacks_memory(error: Exception) -> bool:
    """NumPy raises a MemoryError, torch a RuntimeError in words that depend on the device."""
    words = r"(out of|not enough|can't allocate) memory|_ALLOC_FAILED"
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and re.search(words, str(error)) is not None
    )
