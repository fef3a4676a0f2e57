"""A stand-in for the engine: canned rows on a real feed, and a record of every call made to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
from msgspec.structs import replace

from supervisor import (
    ActionTaken,
    Answer,
    Budget,
    ClientRow,
    Contexts,
    ConversationReader,
    Event,
    Glimpse,
    HostRow,
    InstanceRow,
    Outcome,
    Prompt,
    ProviderRow,
    Question,
    Refused,
    Route,
    SessionKey,
    SessionRow,
    SessionState,
    Snapshot,
    Ticket,
    TurnView,
    UnknownTarget,
    Usage,
)
from supervisor.api.hook_rows import HookRow, HookRun, ScheduleRow
from supervisor.api.shared_servers import SharedServerRow
from supervisor.conversation import Conversation
from supervisor.feed import Feed, Subscription

NOW = 1_790_000_000.0
"""What the frozen clock says."""

MB = 1_000_000


class StageJournal:
    """What `Ticket.accepted` waits for: by default everything is written at once."""

    def __init__(self) -> None:
        self.is_written = anyio.Event()
        self.is_written.set()
        self.fails_with: Refused | None = None


class StageTicket:
    def __init__(self, turn_id: str, key: SessionKey, journal: StageJournal) -> None:
        self.turn_id = turn_id
        self.key = key
        self.finished: Outcome | None = None
        self._journal = journal

    async def accepted(self) -> None:
        await self._journal.is_written.wait()
        if self._journal.fails_with is not None:
            raise self._journal.fails_with

    async def outcome(self) -> Outcome:
        raise NotImplementedError("nothing runs on a stage")

    def stream(self, whole: bool = False) -> AsyncIterator[str]:
        raise NotImplementedError("nothing runs on a stage")


class _Rows:
    """What the feed of a stage is made of."""

    def __init__(self, engine: StageEngine) -> None:
        self._engine = engine

    def snapshot(self) -> Snapshot:
        return self._engine.picture()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)


class StageEngine:
    """Implements `Engine`. Setting a row tells the feed; verbs only write down that they were called."""

    def __init__(self) -> None:
        self.host = HostRow(
            version="0.1.0",
            rehearsal=True,
            endpoint="rehearsal",
            door="/run/user/1000/bullpen/bullpen.sock",
            started_at=NOW - 3725,
            memory_bytes=0,
            memory_budget=8_000 * MB,
            supervisor_bytes=92 * MB,
            memory_available=11_400 * MB,
            today=Usage(118_200, 31_400, 610_000, 2.47),
        )
        self.instances: dict[str, InstanceRow] = {}
        self.sessions: dict[SessionKey, SessionRow] = {}
        self.clients: dict[str, ClientRow] = {}
        self.questions: dict[str, Question] = {}
        self.conversations: dict[SessionKey, Conversation] = {}
        self.calls: list[tuple[Any, ...]] = []
        """(method, arguments…) in order."""
        self.refuses_with: Refused | None = None
        """Raised by the next verb instead of being done."""
        self.everything_drained = anyio.Event()
        self.journal = StageJournal()
        self.past_events: tuple[Event, ...] = ()
        self.glimpsed = 0
        self.warmed: list[SessionKey] = []
        """How often the end of a conversation was asked for."""
        self.live_limits: dict[str, dict[str, str]] = {}
        """By instance; those of the host under the empty name."""
        self.feed = Feed(_Rows(self))

    # Rows for the feed

    def host_row(self) -> HostRow:
        return replace(self.host, memory_bytes=sum(row.memory_bytes for row in self.clients.values()))

    def instance_row(self, name: str) -> InstanceRow | None:
        return self.instances.get(name)

    def session_row(self, key: SessionKey) -> SessionRow | None:
        return self.sessions.get(key)

    def client_row(self, client_id: str) -> ClientRow | None:
        return self.clients.get(client_id)

    def open_questions(self) -> tuple[Question, ...]:
        return tuple(sorted(self.questions.values(), key=lambda question: question.asked_at))

    def picture(self) -> Snapshot:
        return Snapshot(
            self.host_row(),
            tuple(self.instances.values()),
            tuple(self.sessions.values()),
            tuple(self.clients.values()),
            self.open_questions(),
        )

    # Setting the stage

    def put(self, *things: InstanceRow | SessionRow | ClientRow | Question) -> None:
        for thing in things:
            match thing:
                case InstanceRow():
                    self.instances[thing.name] = thing
                    self.feed.touch_instance(thing.name)
                case SessionRow():
                    self.sessions[thing.key] = thing
                    self.feed.touch_session(thing.key)
                case ClientRow():
                    self.clients[thing.id] = thing
                    self.feed.touch_client(thing.id)
                case Question():
                    self.questions[thing.id] = thing
                    self.feed.touch_questions()

    def remove_question(self, question_id: str) -> None:
        question = self.questions.pop(question_id)
        row = self.sessions[question.key]
        self.put(replace(row, state=SessionState.WORKING, questions=()))
        self.feed.touch_questions()

    def put_host(self, **changes: Any) -> None:
        self.host = replace(self.host, **changes)
        self.feed.touch_host()

    def happen(self, *events: Event) -> None:
        for event in events:
            self.feed.publish(event)

    # Engine

    async def snapshot(self) -> Snapshot:
        return self.picture()

    async def watch(self, recent: int = 0) -> Subscription:
        return self.feed.watch(recent)

    async def conversation(self, key: SessionKey) -> ConversationReader:
        if key not in self.conversations:
            raise UnknownTarget(f"{key}: no such session")
        return self.conversations[key].open_reader()

    async def submit(self, prompt: Prompt) -> StageTicket:
        self._record("submit", prompt)
        return StageTicket("t-new", SessionKey(prompt.agent, prompt.user, prompt.session), self.journal)

    async def withdraw(self, turn_id: str) -> None:
        self._record("withdraw", turn_id)

    async def interrupt(self, key: SessionKey, turn_id: str = "") -> bool:
        self._record("interrupt", key, *filter(None, [turn_id]))
        if (row := self.sessions.get(key)) is None:
            raise UnknownTarget(f"no session {key}")
        return not turn_id or row.stoppable == turn_id

    async def clear_queue(self, instance: str, key: SessionKey | None = None) -> int:
        self._record("clear_queue", instance, key)
        return 1

    async def answer(self, question_id: str, answer: Answer, *, by: str = "operator") -> None:
        self._record("answer", question_id, answer)

    async def replay(self, key: SessionKey) -> StageTicket:
        self._record("replay", key)
        return StageTicket("t-again", key, self.journal)

    async def drop_offer(self, key: SessionKey) -> None:
        self._record("drop_offer", key)

    async def glimpse(self, key: SessionKey, count: int = 20) -> Glimpse:
        self.glimpsed += 1
        if (conversation := self.conversations.get(key)) is None:
            raise UnknownTarget(f"no session {key}")
        return Glimpse(conversation.entries[-count:], conversation.open_text)

    async def past(self) -> tuple[Event, ...]:
        return self.past_events

    async def budgets(self) -> tuple[Budget, ...]:
        return ()

    async def providers(self) -> tuple[ProviderRow, ...]:
        return (ProviderRow("default", ""),)

    async def route(self, text: str, agents: tuple[str, ...] = ()) -> Route:
        return Route("helpdesk", 3.0, "its triggers name “vpn”")

    async def servers(self) -> tuple[SharedServerRow, ...]:
        return ()

    async def hooks(self) -> tuple[HookRow, ...]:
        return ()

    async def hook_runs(self, count: int = 50) -> tuple[HookRun, ...]:
        return ()

    async def schedules(self) -> tuple[ScheduleRow, ...]:
        return ()

    async def test_hook(self, event: str) -> tuple[HookRun, ...]:
        raise UnknownTarget(f"{event} is no event")

    async def contexts(self) -> Contexts:
        return Contexts((), ())

    async def audit(self, count: int = 100) -> tuple[ActionTaken, ...]:
        return tuple(event for event in self.past_events if isinstance(event, ActionTaken))[-count:]

    async def turn(self, turn_id: str) -> TurnView:
        raise UnknownTarget(f"no turn {turn_id} is known")

    async def ticket(self, turn_id: str) -> Ticket:
        raise UnknownTarget(f"no turn {turn_id} is known")

    async def limits(self, instance: str = "") -> dict[str, str]:
        return dict(self.live_limits.get(instance, {}))

    async def adjust(self, instance: str, limit: str, value: str) -> None:
        self._record("adjust", instance, limit, value)

    async def pause(self, instance: str) -> None:
        self._record("pause", instance)

    async def resume(self, instance: str) -> None:
        self._record("resume", instance)

    async def drain(self, instance: str, *, deadline: float | None = None, before_end: bool = False) -> None:
        self._record("drain", instance, *([] if deadline is None else [deadline]), *["before end"] * before_end)

    async def kill(self, instance: str) -> None:
        self._record("kill", instance)

    async def scale(self, instance: str, max_sessions: int) -> None:
        self._record("scale", instance, max_sessions)

    async def kill_client(self, client_id: str) -> None:
        self._record("kill_client", client_id)

    async def warm(self, key: SessionKey) -> bool:
        self.warmed.append(key)
        return True

    async def hibernate(self, key: SessionKey) -> None:
        self._record("hibernate", key)

    async def compact(self, key: SessionKey) -> StageTicket:
        self._record("compact", key)
        return StageTicket("t-compact", key, self.journal)

    async def close_session(self, key: SessionKey) -> None:
        self._record("close_session", key)

    async def forget_user(self, user: str) -> int:
        self._record("forget_user", user)
        return sum(row.key.user == user for row in self.sessions.values())

    async def drained(self, instance: str | None = None) -> None:
        self.calls.append(("drained", instance))
        await self.everything_drained.wait()

    async def stop(self) -> None:
        self.calls.append(("stop",))

    def _record(self, *call: Any) -> None:
        if self.refuses_with is not None:
            error, self.refuses_with = self.refuses_with, None
            raise error
        self.calls.append(call)
