"""One reader of the feed for all that come through the door: hundreds of streams cost the engine one."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import anyio

from supervisor.api.changes import Changes
from supervisor.api.engine import Engine, FeedReader
from supervisor.api.events import Event, QuestionAsked
from supervisor.api.snapshot import SessionRow, WaitingTurn
from supervisor.api.types import Question, SessionKey

PAUSE = 0.05
"""Seconds between two looks at what has changed."""
MOST_QUESTIONS = 5_000
"""Questions whose session is known, closed ones included: five times as many as the engine knows the end of."""


class Mirror:
    """The rows of all sessions, and whose the questions are."""

    def __init__(self, engine: Engine, on_events: Callable[[Iterable[Event]], object] = lambda events: None) -> None:
        """`on_events` is given every event, in order."""
        self._engine = engine
        self._on_events = on_events
        self._feed: FeedReader | None = None
        """None while it does not run."""
        self._sessions: dict[SessionKey, SessionRow] = {}
        self._asked: OrderedDict[str, SessionKey] = OrderedDict()
        """The session of each question, by its id; the one that was put last is last."""
        self._watchers: defaultdict[SessionKey, set[Callable[[], None]]] = defaultdict(set)

    async def run(self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Reads until it is cancelled: at the first change, and then what came until the end of a pause, since each
        look has the engine build every row that has changed."""
        with await self._engine.watch() as self._feed:
            self._take(Changes(snapshot=self._feed.snapshot))
            task_status.started()
            while True:
                await self._feed.wait()
                self.catch_up()
                await anyio.sleep(PAUSE)

    def waiting(self, key: SessionKey, turn_id: str) -> WaitingTurn | None:
        """That turn in the session's queue, as it was told last; None when it does not wait there, or was not told."""
        row = self._sessions.get(key)
        return next((turn for turn in row.waiting if turn.turn_id == turn_id), None) if row is not None else None

    def session(self, key: SessionKey) -> SessionRow | None:
        self.catch_up()
        return self._sessions.get(key)

    def sessions(self) -> tuple[SessionRow, ...]:
        self.catch_up()
        return tuple(self._sessions.values())

    def session_of(self, question_id: str) -> SessionKey | None:
        """Of a question that is open, or was closed in this run; None when there is none that is remembered."""
        self.catch_up()
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

    def catch_up(self) -> None:
        """Takes what has changed until now."""
        if self._feed is not None:
            self._take(self._feed.take())

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
        self._on_events(changes.events)
        for key in touched:
            for call in tuple(self._watchers[key]):
                call()

    def _note_questions(self, questions: Iterable[Question]) -> None:
        for question in questions:
            self._asked.setdefault(question.id, question.key)
        while len(self._asked) > MOST_QUESTIONS:
            self._asked.popitem(last=False)
