"""One prompt of the model: what was done to it, and what was told about it."""

from __future__ import annotations

from dataclasses import dataclass, field

from supervisor.api.engine import Ticket
from supervisor.api.errors import BullpenError
from supervisor.api.keys import SessionKey
from supervisor.api.outcomes import Outcome
from supervisor.api.prompts import Prompt

COME_BACK = "Go on with what you were doing."
"""How the words end that a turn comes back with after its question was answered without a client."""

_PUT_BACK, _REPLAYED = -2, -1


@dataclass(eq=False)
class Entry:
    """One prompt that was handed in."""

    turn_id: str
    key: SessionKey
    prompt: Prompt
    number: int
    accepted_at: float
    """Seconds of the loop."""
    ticket: Ticket | None = None
    """What its caller holds; None after a restart, and for what a restart sends again by itself."""
    replays: str = ""
    """Id of the interrupted turn whose prompt it sends again."""
    grounds: set[str] = field(default_factory=set)
    """Reasons the test has given for an end: words of an outcome."""
    clients: list[str] = field(default_factory=list)
    """Where it was started; more than one when it was put back."""
    is_put_back: bool = False
    is_delivered: bool = False
    """A process was given its words."""
    written_to: str = ""
    """The client that was given them last."""
    is_queued: bool = False
    """The feed has told that it waits."""
    is_accepted: bool = False
    """Its caller was told that it is recorded for good."""
    told: Outcome | None = None
    """The outcome its caller was told."""
    error: BullpenError | None = None
    """What its caller was told instead of an outcome."""
    outcome: Outcome | None = None
    """The outcome that the feed has told."""
    is_suspended: bool = False
    """It is left to the next run."""
    is_forgotten: bool = False
    """Its session was taken off the books, and its turns with it."""
    is_refused: bool = False
    """It could not be recorded: nothing of it is left."""

    @property
    def rank(self) -> tuple[int, int]:
        if self.is_put_back:
            return _PUT_BACK, 0
        return (_REPLAYED if self.replays else int(self.prompt.priority)), self.number

    @property
    def is_open(self) -> bool:
        return self.outcome is None and not self.is_suspended and not self.is_refused

    def __repr__(self) -> str:
        return f"<{self.prompt.text!r} of {self.key}, turn {self.turn_id}>"


def is_of(entry: Entry, words: str) -> bool:
    """Whether that is what its agent was sent."""
    return words == entry.prompt.text or words.endswith(COME_BACK)
