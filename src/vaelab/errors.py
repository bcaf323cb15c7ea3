"""The one exception that a person is meant to read."""


class UserError(Exception):
    """Something that the person can mend: its message says what, where and what to do.

    A stage prints the message alone, without a traceback, and exits with a non-zero status.
    """
