"""One try of an action, and how it fails."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Self

from supervisor.api.errors import BullpenError, Suspended
from supervisor.text.cleaning import one_line

MOST_DETAIL = 300
"""Characters of what is told of a run."""


class ActionFailed(BullpenError):
    """Raised when an action came to nothing; the message says why, in a line, and holds no secret."""

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message, MOST_DETAIL))

    @classmethod
    def of(cls, error: BullpenError) -> Self | Suspended:
        """The error as an action raises it: `Suspended` unchanged, because it is no failure, anything else as
        `ActionFailed`."""
        return error if isinstance(error, Suspended) else cls(str(error))


class Attempt(NamedTuple):
    id: str
    """Of the action: the same for every try, also after a restart."""
    number: int
    """From 1."""
    depth: int
    """Of what it leads to."""
    timeout: float | None
    """Seconds; None is for as long as it takes. Counts with `has_timeout`, else what is usual for its kind."""
    has_timeout: bool
    is_again: bool
    """It was being made when bullpen ended."""
    folder: Path
    """Where relative references start."""
