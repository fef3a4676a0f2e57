"""The text of one session: lossless, replayable, and free of charge for slow readers.

A conversation is an append-only list of frozen entries plus the one block that is still being streamed. A reader
holds a `Cursor` and asks for what came since; nothing is queued for it, so a reader that never returns costs nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from supervisor.api.entries import (
    MOST_TEXT_HELD,
    Asked,
    Cursor,
    Entry,
    Noticed,
    QuestionPosed,
    Reading,
    Replied,
    ToolCalled,
    ToolReturned,
    TurnEnded,
)
from supervisor.api.ids import new_id

MOST_HELD = 1_000
"""Entries of one conversation that are held in memory, at least; the journal has all of them."""
MOST_FRAGMENTS = 4_096
"""Fragments of an open block that are kept unread; then they are joined."""


def weigh(entry: Entry) -> int:
    """About how many characters it holds."""
    match entry:
        case Asked(text=text) | Replied(text=text) | ToolReturned(text=text) | Noticed(text=text):
            return len(text)
        case ToolCalled(detail=detail):
            return len(detail)
        case QuestionPosed(question=question):
            return len(question.detail)
        case TurnEnded(outcome=outcome):
            return len(getattr(outcome, "text", ""))
    return 0


class Conversation:
    """Owned by one session; written only by the engine, read by any number of readers.

    Where entries are also kept elsewhere (`on_entry`), the oldest entries are let go of when there are twice as many as
    `MOST_HELD`, or when they hold more text than `MOST_TEXT_HELD`: a session that is never idle would otherwise grow
    for ever. Entries keep their numbers, so that every reader's cursor stays right.
    """

    def __init__(self, entries: Iterable[Entry] = (), on_entry: Callable[[Entry], None] | None = None) -> None:
        """`entries` were said before; `on_entry` is told every new one."""
        self._entries: list[Entry] = list(entries)
        self._weight = sum(map(weigh, self._entries))
        """Characters of what is held."""
        self._let_go = 0
        """Entries that were here and are not any more."""
        self._on_entry = on_entry
        self._open: list[str] = []
        self._open_length = 0
        self._voided = 0
        """Open blocks that were no part of the reply in the end."""
        self.open_turn = ""
        """The turn that the open block belongs to."""
        self.name = new_id()
        """Of what cursors count in: read back from the journal it is another one."""
        self._changed: asyncio.Event | None = None
        """Set at the next change; there while a reader waits for it."""

    def __len__(self) -> int:
        """How many there have been; not all of them are held."""
        return self._let_go + len(self._entries)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The entries that are held in memory, oldest first."""
        return tuple(self._entries)

    @property
    def open_text(self) -> str:
        """The block being streamed; empty when none is."""
        if len(self._open) > 1:
            self._open = ["".join(self._open)]
        return self._open[0] if self._open else ""

    def append(self, entry: Entry) -> None:
        """Adds an entry. A `Replied` closes the open block, which it repeats in full."""
        if isinstance(entry, Replied):
            self._open = []
            self._open_length = 0
        self._entries.append(entry)
        self._weight += weigh(entry)
        if self._on_entry is not None:
            self._let_go_of_old()
            self._on_entry(entry)
        self.wake()

    def _let_go_of_old(self) -> None:
        if len(self._entries) <= 2 * MOST_HELD and self._weight <= MOST_TEXT_HELD:
            return
        count = len(self._entries) - MOST_HELD if len(self._entries) > 2 * MOST_HELD else 0
        weight = sum(map(weigh, self._entries[:count]))
        if self._weight > MOST_TEXT_HELD:
            while count < len(self._entries) - 1 and self._weight - weight > MOST_TEXT_HELD // 2:
                weight += weigh(self._entries[count])
                count += 1
        self._weight -= weight
        self._let_go += count
        del self._entries[:count]

    def stream(self, text: str, turn_id: str) -> None:
        """Adds to the open block of that turn."""
        self.open_turn = turn_id
        self._open.append(text)
        self._open_length += len(text)
        if len(self._open) >= MOST_FRAGMENTS:
            self._open = ["".join(self._open)]
        self.wake()

    def void_block(self) -> None:
        """Forgets the open block: its reply begins again. Nothing happens when none is open."""
        if self._open:
            self._open = []
            self._open_length = 0
            self._voided += 1
            self.wake()

    def end_block(self, at: float) -> None:
        """Keeps a block that was cut short as it stands. Nothing happens when none is open."""
        if text := self.open_text:
            self.append(Replied(at=at, turn_id=self.open_turn, text=text))

    def read(self, cursor: Cursor = Cursor()) -> Reading:
        """Everything since `cursor`; `Cursor()` reads from the beginning. Cost: only what is new."""
        entries = tuple(self._entries[max(0, cursor.entries - self._let_go) :])
        was_closed = any(isinstance(entry, Replied) for entry in entries)
        is_void = cursor.voided != self._voided
        seen = 0 if was_closed or is_void else cursor.characters
        opened = self.open_text[seen:] if self._open_length > seen else ""
        has_void_part = is_void and cursor.characters > 0 and not was_closed
        return Reading(
            entries,
            opened,
            (bool(opened) and seen == 0) or has_void_part,
            Cursor(len(self), self._open_length, self._voided),
        )

    def is_at(self, cursor: Cursor) -> bool:
        """Whether a reader with this cursor has read everything."""
        return cursor == (len(self), self._open_length, self._voided)

    async def next_change(self) -> None:
        """Returns at the next change; read first, and nothing falls in between."""
        if self._changed is None:
            # Of asyncio: one is made for each fragment, which takes one of anyio ten times as long.
            self._changed = asyncio.Event()
        await self._changed.wait()

    def open_reader(self) -> Reader:
        """What may be handed to a caller, who reads and does nothing else."""
        return Reader(self)

    def still(self) -> Conversation:
        """A copy, as it is now and stays: nothing is told of what it says."""
        copy = Conversation()
        copy.name = self.name
        copy._entries, copy._weight, copy._let_go = list(self._entries), self._weight, self._let_go
        copy._open, copy._open_length, copy._voided = list(self._open), self._open_length, self._voided
        return copy

    def wake(self) -> None:
        """Makes every waiting reader look again."""
        changed, self._changed = self._changed, None
        if changed is not None:
            changed.set()


class Reader:
    """The `api.engine.ConversationReader` of one caller. It keeps the conversation in memory until it is closed."""

    __slots__ = ("_conversation",)

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation

    @property
    def name(self) -> str:
        return self._conversation.name

    def read(self, cursor: Cursor = Cursor()) -> Reading:
        return self._conversation.read(cursor)

    async def next_change(self) -> None:
        await self._conversation.next_change()

    def close(self) -> None:
        self._conversation = self._conversation.still()
