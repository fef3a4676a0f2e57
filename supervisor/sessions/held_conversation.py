"""The text of one session: held in memory while it is in use, and in the journal in any case."""

from __future__ import annotations

import weakref
from functools import partial
from typing import TYPE_CHECKING

from supervisor.api.entries import Glimpse, Noticed
from supervisor.api.errors import JournalFailed
from supervisor.api.keys import SessionKey
from supervisor.clock import Clock
from supervisor.conversation import Conversation

if TYPE_CHECKING:
    from supervisor.journal import Journal


class HeldConversation:
    """State: the conversation, where it is at hand, or the one that a reader may still hold."""

    def __init__(self, key: SessionKey, clock: Clock, journal: Journal | None) -> None:
        self._key = key
        self._clock = clock
        self._journal = journal
        self._held: Conversation | None = None
        self._faded: weakref.ref[Conversation] | None = None

    @property
    def is_held(self) -> bool:
        return self._held is not None

    def get(self) -> Conversation:
        """Read back from the journal where it is not at hand."""
        if (known := self._known) is None:
            known = self._recall()
        self._held = known
        return known

    def glimpse(self, count: int) -> Glimpse:
        """The last `count` entries, without reading back all of them. Raises `JournalFailed`."""
        if (known := self._known) is not None:
            return Glimpse(known.entries[-count:] if count else (), known.open_text)
        if self._journal is None:
            return Glimpse((), "")
        return Glimpse(tuple(self._journal.last_entries(self._key, count)), "")

    def fade(self) -> None:
        """Lets go of it. A reader that still has it keeps it; the journal has it."""
        if self._journal is not None and self._held is not None:
            self._faded, self._held = weakref.ref(self._held), None

    @property
    def _known(self) -> Conversation | None:
        if self._held is None and self._faded is not None:
            return self._faded()
        return self._held

    def _recall(self) -> Conversation:
        journal, key = self._journal, self._key
        if journal is None:
            return Conversation()
        try:
            entries = journal.history(key)
        except JournalFailed as error:
            entries = [Noticed(at=self._clock.wall(), text=f"What was said before: {error}", is_warning=True)]
        return Conversation(entries, partial(journal.sessions.add_entry, key))
