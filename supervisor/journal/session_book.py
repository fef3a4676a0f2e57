"""What is noted of sessions, and what was said in them."""

from __future__ import annotations

from supervisor import bounds
from supervisor.api.codec import pack_entry
from supervisor.api.entries import Asked, Entry, Noticed, Replied, ToolCalled, ToolReturned
from supervisor.api.keys import SessionKey
from supervisor.journal import notes
from supervisor.journal.note_taking import NoteTaker, StandIn
from supervisor.journal.notes import Note, step
from supervisor.journal.records import SessionRecord, session_to_row

_MAY_WAIT = (Asked, Replied, ToolCalled, ToolReturned)
"""Entries that need not be durable at once."""


class SessionBook:
    """A part of the journal."""

    def __init__(self, taker: NoteTaker, last_entry: int) -> None:
        """`last_entry`: the number of the newest entry that is written."""
        self._notes = taker
        self._last_entry = last_entry

    def keep(self, record: SessionRecord) -> None:
        """The latest wins."""
        self._notes.note(notes.KEEP_SESSION, *session_to_row(record))

    def add_entry(self, key: SessionKey, entry: Entry) -> None:
        """One that no disk could hold is recorded as a warning that says so. What was said need not be durable at once:
        until its turn's outcome is, that turn counts as interrupted, and what was said in it as not whole."""
        self._last_entry += 1
        number = self._last_entry

        def make(one: Entry, stand_in: StandIn | None = None) -> Note:
            kind, body = pack_entry(one)
            return Note(
                (step(notes.ADD_ENTRY, number, *key, one.at, kind, body),),
                what=lambda: f"an entry ({kind}) of {key}",
                stand_in=stand_in,
                key=key,
                number=number,
                entry=one,
                may_wait=isinstance(one, _MAY_WAIT),
            )

        def stand_in(why: str) -> Note:
            words = f"What was said here cannot be recorded ({why})"
            return make(Noticed(at=bounds.moment(entry.at), text=words, is_warning=True))

        self._notes.add_or(lambda: make(entry, stand_in), stand_in, lambda: f"an entry of {key}")
