"""What a conversation consists of, and what its readers get: frozen values.

A reader holds a `Cursor` and asks for what came since; nothing is queued for it.
"""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct

from supervisor.api.outcomes import Outcome
from supervisor.api.prompts import Source
from supervisor.api.questions import Question, QuestionOutcome


class Entry(Struct, frozen=True, kw_only=True, gc=False):
    """One item of a conversation. All entries have these fields."""

    at: float
    """Unix seconds."""
    turn_id: str = ""


class Asked(Entry, frozen=True, kw_only=True):
    """A prompt, when its turn starts."""

    text: str
    source: Source
    user: str


class Replied(Entry, frozen=True, kw_only=True):
    """One finished text block of the agent (Markdown)."""

    text: str


class ToolCalled(Entry, frozen=True, kw_only=True):
    """The agent calls a tool."""

    tool_use_id: str
    tool: str
    summary: str
    """The arguments on one line."""
    detail: str
    """The arguments in full, one below the other, cut to a length that can be shown."""


class ToolReturned(Entry, frozen=True, kw_only=True):
    """A tool has answered."""

    tool_use_id: str
    text: str
    """Cut to a length that can be shown."""
    is_error: bool


class QuestionPosed(Entry, frozen=True, kw_only=True):
    """The turn waits for an answer."""

    question: Question


class QuestionClosed(Entry, frozen=True, kw_only=True):
    """An earlier `QuestionPosed` was answered, has expired or was lost."""

    question_id: str
    outcome: QuestionOutcome
    answer: str
    """In words: the label chosen, the reason given."""
    by: str = ""
    """Who gave the answer; empty without one."""


class Noticed(Entry, frozen=True, kw_only=True):
    """Something the reader of this conversation should know: resumed, context lost, retrying."""

    text: str
    is_warning: bool = False


class TurnEnded(Entry, frozen=True, kw_only=True):
    """A turn has ended, with this outcome."""

    outcome: Outcome


class StartsAgain(str):
    """Marker in the live stream of a reply: the text given so far of its last block is void, and the block begins
    again. As a string it is empty."""

    __slots__ = ()


class Cursor(NamedTuple):
    """A reader's place: entries seen, and characters seen of the block that was open then."""

    entries: int = 0
    characters: int = 0
    voided: int = 0
    """Open blocks that had been voided by then."""


class Reading(NamedTuple):
    """What came since a cursor.

    `entries` are complete. When the reader had seen a part of a streamed block and that block has been finished since,
    the block arrives once more, whole, as the first `Replied` of `entries`: replace the part with it. `opened` is what
    the open block gained; `open_is_new` says that it is a block the reader has not seen any of: a part that the reader
    still has of another one, and that no entry has replaced, is void. `opened` may be empty then.
    """

    entries: tuple[Entry, ...]
    opened: str
    open_is_new: bool
    cursor: Cursor


class Glimpse(Struct, frozen=True, gc=False):
    """The end of a conversation, for a reader that wants no more than that."""

    entries: tuple[Entry, ...]
    """Oldest first."""
    open_text: str
    """The block that is being written; empty when none is."""


MOST_TEXT_HELD = 16 * 1024 * 1024
"""Characters of one conversation that are held in memory; the last entry is, whatever it holds."""
