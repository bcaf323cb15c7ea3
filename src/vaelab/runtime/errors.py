"""The one exception that a person is meant to read, and the want of memory."""

import os
import re
from urllib.parse import quote, unquote

SECRETS = ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")
IN_ADDRESS = re.compile(r"(://[^\s/@:]*:)([^\s/]*)(?=@)")  # a user and, as group 2, the password
TOKEN = re.compile(r"(https?://)[^\s/@:]+(?=@)")  # in a user's place
IN_QUERY = re.compile(
    r"([?&][^\s=&]*(?:password|passwd|pwd|token|secret|key|sig)[^\s=&]*=)[^\s&'\"]+", re.IGNORECASE
)
# Control characters, line ends, and marks that reorder a line.
UNSHOWN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


class UserError(Exception):
    """Something that the person can mend: its message says what, where and what to do.

    A stage prints the message alone, without a traceback, and exits with a non-zero status.
    """


def printable(text: str) -> str:
    """One line that can be shown and kept: a name may have line breaks, control characters and
    bytes that are no UTF-8, which are escaped, such as `\\n` and `\\xff`.
    """
    text = text.encode(errors="surrogateescape").decode(errors="backslashreplace")
    return UNSHOWN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def lacks_memory(error: Exception) -> bool:
    """NumPy raises a MemoryError, torch a RuntimeError in words that depend on the device."""
    words = r"(out of|not enough|can't allocate) memory|_ALLOC_FAILED"
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and re.search(words, str(error)) is not None
    )


def masked(text: str) -> str:
    """Without the passwords of addresses in it, and of MLflow's variables wherever they stand."""
    given = IN_ADDRESS.search(os.environ.get("MLFLOW_TRACKING_URI", ""))
    secrets = [os.environ.get(name, "") for name in SECRETS] + ([given[2]] if given else [])
    for secret in secrets:
        for form in {secret, quote(secret, safe=""), unquote(secret)}:
            text = text.replace(form, "***") if len(form) > 3 else text
    for known in (TOKEN, IN_ADDRESS, IN_QUERY):
        text = known.sub(r"\1***", text)
    return text
