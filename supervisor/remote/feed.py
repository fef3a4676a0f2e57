"""The feed of an engine at the far end of a line, folded on this side until its reader looks."""

from __future__ import annotations

from types import TracebackType
from typing import Self

import anyio
from anyio.abc import TaskGroup
from msgspec.structs import replace

from supervisor.api.changes import Changes
from supervisor.api.checks import MOST_RECENT
from supervisor.api.codec import unpack
from supervisor.api.events import Event
from supervisor.api.snapshot import Snapshot
from supervisor.remote.line import Line
from supervisor.remote.reconnecting import Reader, read_as
from supervisor.remote.server_events import ServerEvent

MOST_EVENTS = 5_000
"""Events that are kept for a reader that does not look. Then nothing more is read from the line, until the other side
cuts this reader and sends a fresh snapshot."""


class RemoteFeed(Reader):
    """State: what has arrived and was not taken. After a break of the line it begins anew, with a snapshot. When recent
    events were wanted, those of the break are told as well."""

    path = "/feed"
    event = "changes"
    snapshot: Snapshot
    """There from `open` on."""

    def __init__(self, line: Line, recent: int = 0) -> None:
        super().__init__(line)
        self._recent = recent
        self._last: Event | None = None
        """The last event that has arrived, where they are to be told without a gap."""
        self._is_open = False
        self._arrived: Changes | None = None
        self._news = anyio.Event()
        self._taken = anyio.Event()

    @classmethod
    async def open(cls, line: Line, group: TaskGroup, recent: int = 0) -> RemoteFeed:
        """Returns when the snapshot is there. Raises what the other side refuses it with."""
        feed = cls(line, recent)
        await group.start(feed.run)
        return feed

    async def hear(self, event: ServerEvent, *, is_fresh: bool) -> None:
        changes: Changes = read_as(lambda packed: unpack(Changes, packed), event.data)
        if self._recent and is_fresh and self._last in changes.events:
            changes = replace(changes, events=changes.events[changes.events.index(self._last) + 1 :])
        if self._recent and changes.events:
            self._last = changes.events[-1]
        if not self._is_open and changes.snapshot is not None:
            self._is_open, self.snapshot = True, changes.snapshot
            if changes.events:
                await self._fold(Changes(events=changes.events))
        else:
            await self._fold(changes)

    def place(self) -> dict[str, str]:
        return {} if not self._recent else {"recent": str(MOST_RECENT if self._is_open else self._recent)}

    async def _fold(self, changes: Changes) -> None:
        self._arrived = changes if self._arrived is None else self._arrived.then(changes)
        self._news.set()
        while self._arrived is not None and len(self._arrived.events) > MOST_EVENTS:
            self._taken = anyio.Event()
            await self._taken.wait()

    async def wait(self) -> None:
        while self._arrived is None:
            if self._news.is_set():
                self._news = anyio.Event()
            await self._news.wait()

    def take(self) -> Changes:
        arrived, self._arrived = self._arrived, None
        self._taken.set()
        return Changes() if arrived is None else arrived

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
