"""What was raised, out of the groups that it came through."""

from __future__ import annotations


def only(error: BaseException) -> BaseException:
    """The exception itself, or the only one in an exception group, however deep."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
