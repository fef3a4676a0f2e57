"""One reader of the feed for all that come through the door: hundreds of streams cost the engine one."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager

import anyio

from supervisor.api.changes import Changes
from supervisor.api.engine import Engine, FeedReader
from supervisor.api.events import Event, QuestionAsked
from supervisor.api.keys import SessionKey
from supervisor.api.questions import Question, QuestionKind
from supervisor.api.snapshot import ClientRow, HostRow, InstanceRow, SessionRow, Snapshot, WaitingTurn

PAUSE = 0.05
"""Seconds between two looks at what has changed."""
MOST_QUESTIONS = 5_000
"""Questions whose session is known, closed ones included: five times as many as the engine knows the end of."""


class Mirror:
    """The state as it is now, without having the rows built of what has not changed; and whose the questions are."""

    def __init__(self, engine: Engine, on_events: Callable[[Iterable[Event]], object] = lambda events: None) -> None:
        """`on_events` is given every event, in order."""
        self._engine = engine
        self._on_events = on_events
        self._feed: FeedReader | None = None
        """None while it does not run."""
        self._host: HostRow
        self._instances: dict[str, InstanceRow] = {}
        self._sessions: dict[SessionKey, SessionRow] = {}
        self._clients: dict[str, ClientRow] = {}
        self._questions: tuple[Question, ...] = ()
        self._asked: OrderedDict[str, SessionKey] = OrderedDict()
        """The session of each question, by its id; the one that was put last is last."""
        self.on_gone: list[Callable[[SessionKey], object]] = []
        """Called with each session that is no more."""
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
        """The turn in the session's queue, as last told; None when it does not wait there, or was not told yet."""
        row = self._sessions.get(key)
        return next((turn for turn in row.waiting if turn.turn_id == turn_id), None) if row is not None else None

    def snapshot(self) -> Snapshot:
        """The snapshot that `Engine.snapshot` would return, from what this mirror holds. Cheap, however many sessions
        there are."""
        self.catch_up()
        return Snapshot(
            host=self._host,
            instances=tuple(self._instances.values()),
            sessions=tuple(self._sessions.values()),
            clients=tuple(self._clients.values()),
            questions=self._questions,
        )

    def session(self, key: SessionKey) -> SessionRow | None:
        self.catch_up()
        return self._sessions.get(key)

    def sessions(self) -> tuple[SessionRow, ...]:
        self.catch_up()
        return tuple(self._sessions.values())

    def session_of(self, question_id: str) -> SessionKey | None:
        """The session that asked a question. The question may be open, or closed in this run; None when it is not
        remembered."""
        self.catch_up()
        return self._asked.get(question_id)

    def is_about_budget(self, question_id: str) -> bool:
        """Whether the question is open, and asks to spend more than a budget allows."""
        self.catch_up()
        return any(one.id == question_id and one.kind is QuestionKind.BUDGET for one in self._questions)

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
        if (whole := changes.snapshot) is not None:
            self._host, self._questions = whole.host, whole.questions
            self._instances = {row.name: row for row in whole.instances}
            self._sessions = {row.key: row for row in whole.sessions}
            self._clients = {row.id: row for row in whole.clients}
            self._note_questions(whole.questions)
            touched = set(self._watchers)
        else:
            self._host = changes.host or self._host
            self._questions = self._questions if changes.questions is None else changes.questions
            self._instances.update((row.name, row) for row in changes.instances)
            self._sessions.update((row.key, row) for row in changes.sessions)
            self._clients.update((row.id, row) for row in changes.clients)
            touched = {row.key for row in changes.sessions} & self._watchers.keys()
        for name in changes.gone_instances:
            self._instances.pop(name, None)
        self._forget(changes.gone_sessions)
        for client in changes.gone_clients:
            self._clients.pop(client, None)
        self._note_questions(event.question for event in changes.events if isinstance(event, QuestionAsked))
        self._on_events(changes.events)
        for key in touched:
            for call in tuple(self._watchers[key]):
                call()

    def _forget(self, gone: Collection[SessionKey]) -> None:
        """Drops everything that is kept of a session that is gone: its user may have been forgotten."""
        for key in gone:
            self._sessions.pop(key, None)
            for call in self.on_gone:
                call(key)
        if gone:
            self._asked = OrderedDict((asked, key) for asked, key in self._asked.items() if key not in set(gone))

    def _note_questions(self, questions: Iterable[Question]) -> None:
        for question in questions:
            self._asked.setdefault(question.id, question.key)
        while len(self._asked) > MOST_QUESTIONS:
            self._asked.popitem(last=False)
