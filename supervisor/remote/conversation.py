"""A conversation of an engine at the far end of a line: a copy on this side, which a stream of readings keeps current.

A cursor counts in the conversation that gave it, and after a break there may be another one on the other side: read
back from the journal, or of another run. Then it is told from the beginning, and what this side has already is known by
its entries.
"""

from __future__ import annotations

from collections.abc import Sequence

from anyio.abc import TaskGroup

from supervisor.api.codec import unpack
from supervisor.api.entries import Cursor, Entry, Reading
from supervisor.api.keys import SessionKey
from supervisor.conversation import Conversation
from supervisor.remote.line import Line, session_path
from supervisor.remote.reconnecting import Reader, read_as
from supervisor.remote.server_events import ServerEvent


class RemoteConversation(Reader):
    event = "reading"

    def __init__(self, line: Line, key: SessionKey) -> None:
        super().__init__(line)
        self.path = f"{session_path(key)}/conversation"
        self._last = ""
        """The id of the last reading: a place, and the name of what it counts in."""
        self._copy = Conversation(on_entry=lambda entry: None)
        """What is let go of here is held on the other side, or by its journal."""

    @classmethod
    async def open(cls, line: Line, key: SessionKey, group: TaskGroup) -> RemoteConversation:
        """Returns when what has been said so far is here. Raises what the other side refuses it with."""
        conversation = cls(line, key)
        await group.start(conversation.run)
        return conversation

    async def hear(self, event: ServerEvent, *, is_fresh: bool) -> None:
        reading: Reading = read_as(lambda packed: unpack(Reading, packed), event.data)
        before, self._last = self._last, event.id
        goes_on = before != "" and before.rpartition(".")[2] == event.id.rpartition(".")[2]
        self._add(reading, is_fresh=is_fresh and not goes_on)

    def place(self) -> dict[str, str]:
        return {"cursor": self._last} if self._last else {}

    def _add(self, reading: Reading, *, is_fresh: bool) -> None:
        entries: Sequence[Entry] = reading.entries
        if is_fresh:
            entries = find_new(self._copy.entries, entries)
        for entry in entries:
            self._copy.append(entry)
        if reading.open_is_new or is_fresh:
            self._copy.void_block()
        if reading.opened:
            self._copy.stream(reading.opened, "")

    @property
    def name(self) -> str:
        return self._copy.name

    def read(self, cursor: Cursor = Cursor()) -> Reading:
        return self._copy.read(cursor)

    async def next_change(self) -> None:
        await self._copy.next_change()


def find_new(held: Sequence[Entry], told: Sequence[Entry]) -> Sequence[Entry]:
    """The entries of `told`, a conversation from its beginning, that come after those in `held`. Where the last held
    one was never recorded, and so is not in `told`, those with a later time are new."""
    if not held:
        return told
    last = held[-1]
    for place in range(len(told) - 1, -1, -1):
        if told[place] == last:
            return told[place + 1 :]
    return [entry for entry in told if entry.at > last.at]
