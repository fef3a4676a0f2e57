"""One reader of the feed for all that come through the door: hundreds of streams cost the engine one."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import anyio

from supervisor.api.changes import Changes
from supervisor.api.engine import Engine
from supervisor.api.events import QuestionAsked
from supervisor.api.snapshot import SessionRow, WaitingTurn
from supervisor.api.types import Question, SessionKey

MOST_QUESTIONS = 5_000
"""Questions whose session is known, closed ones included: five times as many as the engine knows the end of."""


class Mirror:
    """The rows of all sessions as they were told last, and whose the questions are."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._sessions: dict[SessionKey, SessionRow] = {}
        self._asked: OrderedDict[str, SessionKey] = OrderedDict()
        """The session of each question, by its id; the one that was put last is last."""
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

    def session_of(self, question_id: str) -> SessionKey | None:
        """Of a question that is open, or was closed in this run; None when it is not known, or was not told yet."""
        return self._asked.get(question_id)

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
            self._note_questions(changes.snapshot.questions)
            touched = set(self._watchers)
        else:
            self._sessions.update((row.key, row) for row in changes.sessions)
            touched = {row.key for row in changes.sessions} & self._watchers.keys()
        for key in changes.gone_sessions:
            self._sessions.pop(key, None)
        self._note_questions(event.question for event in changes.events if isinstance(event, QuestionAsked))
        for key in touched:
            for call in tuple(self._watchers[key]):
                call()

    def _note_questions(self, questions: Iterable[Question]) -> None:
        for question in questions:
            self._asked.setdefault(question.id, question.key)
        while len(self._asked) > MOST_QUESTIONS:
            self._asked.popitem(last=False)
