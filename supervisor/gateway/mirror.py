"""One reader of the feed for all that come through the door: hundreds of streams cost the engine one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import anyio

from supervisor.api.changes import Changes
from supervisor.api.engine import Engine
from supervisor.api.snapshot import SessionRow, WaitingTurn
from supervisor.api.types import SessionKey


class Mirror:
    """The rows of all sessions as they were told last."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._sessions: dict[SessionKey, SessionRow] = {}
        self._watchers: defaultdict[SessionKey, set[Callable[[], None]]] = defaultdict(set)

    async def run(self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Reads until it is cancelled."""
        with await self._engine.watch() as feed:
            self._take(Changes(snapshot=feed.snapshot))
            task_status.started()
            while True:
                await feed.wait()
                self._take(feed.take())

    def waiting(self, key: SessionKey, turn_id: str) -> WaitingTurn | None:
        """That turn in the session's queue; None when it does not wait there, or was not told yet."""
        row = self._sessions.get(key)
        return next((turn for turn in row.waiting if turn.turn_id == turn_id), None) if row is not None else None

    def session(self, key: SessionKey) -> SessionRow | None:
        return self._sessions.get(key)

    def sessions(self) -> tuple[SessionRow, ...]:
        return tuple(self._sessions.values())

    @contextmanager
    def watching(self, key: SessionKey, call: Callable[[], None]) -> Iterator[None]:
        """Has `call` made whenever that session's row has changed."""
        self._watchers[key].add(call)
        try:
            yield
        finally:
            self._watchers[key].discard(call)
            if not self._watchers[key]:
                del self._watchers[key]

    def _take(self, changes: Changes) -> None:
        if changes.snapshot is not None:
            self._sessions = {row.key: row for row in changes.snapshot.sessions}
            touched = set(self._watchers)
        else:
            self._sessions.update((row.key, row) for row in changes.sessions)
            touched = {row.key for row in changes.sessions} & self._watchers.keys()
        for key in changes.gone_sessions:
            self._sessions.pop(key, None)
        for key in touched:
            for call in tuple(self._watchers[key]):
                call()
