"""`Engine` over the door of a running bullpen: each method is one request, each reader a stream."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self, TypeVar

import anyio
from anyio.abc import TaskGroup
from msgspec.structs import replace

from supervisor.api import checks
from supervisor.api.budgets import Budget
from supervisor.api.caches import Contexts
from supervisor.api.codec import pack, unpack
from supervisor.api.entries import Glimpse
from supervisor.api.errors import AcceptanceUnknown, BullpenError
from supervisor.api.events import ActionTaken, Event
from supervisor.api.hook_rows import HookRow, HookRun, ScheduleRow
from supervisor.api.ids import new_id, validate_id
from supervisor.api.keys import SessionKey
from supervisor.api.prompts import Prompt, Route
from supervisor.api.providers import ProviderRow
from supervisor.api.questions import Allow, Answer, Choose, Deny
from supervisor.api.shared_servers import SharedServerRow
from supervisor.api.snapshot import Snapshot
from supervisor.api.turns import TurnView
from supervisor.remote.answers import Begun, Cleared, Forgot, Stopped, Warmed
from supervisor.remote.conversation import RemoteConversation
from supervisor.remote.feed import RemoteFeed
from supervisor.remote.line import AnswerLost, Line, NotDrained, NotReached, part, session_path
from supervisor.remote.reconnecting import LEAST_PAUSE, RetryPause
from supervisor.remote.ticket import RemoteTicket

Value = TypeVar("Value")

SENT_AGAIN_FOR = 15.0
"""Seconds for which a prompt whose answer was lost is sent again, by its name: the same turn, however often."""
TEST_TIME = 60.0
"""Seconds that hooks may take that are tried; they are given up earlier."""
DRAIN_POLL = 30.0
"""Seconds that one request waits for an instance to be empty."""


class RemoteEngine:
    """`async with RemoteEngine(socket=…) as engine`. Its readers live as long as it does, at most."""

    def __init__(self, *, socket: Path | None = None, url: str = "", token: str = "", via: str = "command") -> None:
        """As `Line` takes them. Raises `Refused`."""
        self._line = Line(socket=socket, url=url, token=token, via=via)
        self._readers: TaskGroup

    async def __aenter__(self) -> Self:
        self._readers = anyio.create_task_group()
        await self._readers.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._readers.cancel_scope.cancel()
        try:
            # What was raised inside goes on as it is, and in no group.
            await self._readers.__aexit__(None, None, None)
        finally:
            with anyio.CancelScope(shield=True):
                await self._line.close()

    @property
    def name(self) -> str:
        """Name of the bullpen at the other end: the path of its socket, or its address."""
        return self._line.name

    @property
    def trouble(self) -> str:
        """Why nothing arrives at the moment, in one line; empty when all is well."""
        return self._line.trouble

    async def whoami(self) -> dict[str, str]:
        """`name`, `role`, `user` and `agent` of the token; raises when the other side cannot be reached."""
        return await self._read(dict[str, str], "/whoami")

    # Queries

    async def watch(self, recent: int = 0) -> RemoteFeed:
        return await RemoteFeed.open(self._line, self._readers, checks.check_recent(recent))

    async def snapshot(self) -> Snapshot:
        return await self._read(Snapshot, "/snapshot")

    async def conversation(self, key: SessionKey) -> RemoteConversation:
        return await RemoteConversation.open(self._line, key, self._readers)

    async def glimpse(self, key: SessionKey, count: int = 20) -> Glimpse:
        path = f"{session_path(key)}/glimpse"
        return await self._read(Glimpse, path, count=checks.check_entries(count))

    async def contexts(self) -> Contexts:
        return await self._read(Contexts, "/contexts")

    async def past(self) -> tuple[Event, ...]:
        return await self._read(tuple[Event, ...], "/events")

    async def audit(self, count: int = 100) -> tuple[ActionTaken, ...]:
        return await self._read(tuple[ActionTaken, ...], "/audit", count=checks.check_actions(count))

    async def budgets(self) -> tuple[Budget, ...]:
        return await self._read(tuple[Budget, ...], "/budgets")

    async def providers(self) -> tuple[ProviderRow, ...]:
        return await self._read(tuple[ProviderRow, ...], "/providers")

    async def route(self, text: str, agents: tuple[str, ...] = ()) -> Route:
        body = {"text": checks.check_text(text), "agents": checks.check_agents(agents)}
        return self._unpack(Route, await self._line.ask("POST", "/route", body, what="route"))

    # Prompts

    async def submit(self, prompt: Prompt) -> RemoteTicket:
        prompt = checks.check_prompt(prompt, may_lack_user=True)
        if not prompt.request:
            prompt = replace(prompt, request=f"sent-{new_id()}")
        packed, pause, began = pack(prompt), RetryPause(), anyio.current_time()
        lost: AnswerLost | None = None
        while True:
            try:
                answer = await self._line.ask("POST", "/prompts", packed, what="the prompt")
                break
            except AnswerLost as error:
                lost = error
            except NotReached:
                if lost is None:
                    raise
            if anyio.current_time() - began > SENT_AGAIN_FOR:
                raise AcceptanceUnknown(
                    f"the line to bullpen at {self.name} broke before it said whether it has the prompt: it may run; "
                    "see there before you send it again"
                ) from lost
            await pause.wait()
        turn = self._unpack(TurnView, answer)
        return RemoteTicket(self._line, turn.id, turn.key, turn.outcome)

    async def turn(self, turn_id: str) -> TurnView:
        return await self._read(TurnView, f"{_turn_path(turn_id)}/view")

    async def ticket(self, turn_id: str) -> RemoteTicket:
        turn = await self.turn(turn_id)
        return RemoteTicket(self._line, turn.id, turn.key, turn.outcome)

    async def withdraw(self, turn_id: str) -> None:
        await self._do("POST", f"{_turn_path(turn_id)}/withdraw", "withdraw")

    async def interrupt(self, key: SessionKey, turn_id: str = "") -> bool:
        path = f"{session_path(key)}/interrupt"
        body = {"turn_id": checks.check_turn_meant(turn_id)}
        return (await self._ask(Stopped, "POST", path, "interrupt", body)).interrupted

    async def clear_queue(self, instance: str, key: SessionKey | None = None) -> int:
        instance, key = checks.check_queue(instance, key)
        query: dict[str, Any] = {} if key is None else {"user": key.user, "session": key.session}
        path = f"{_instance_path(instance)}/queue"
        return (await self._ask(Cleared, "DELETE", path, "clear-queue", **query)).cancelled

    # Questions

    async def answer(self, question_id: str, answer: Answer, *, by: str = "operator") -> None:
        """`by` is what the other side knows: the operator, or the name of the token."""
        body: dict[str, Any]
        path = f"/questions/{part(checks.check_question(question_id))}/answer"
        match checks.check_answer(answer):
            case Allow(always):
                body = {"answer": "allow", "always": always}
            case Deny(reason):
                body = {"answer": "deny", "reason": reason}
            case Choose(answers):
                body = {"answer": "choose", "choices": dict(answers)}
        checks.check_signature(by)
        await self._do("POST", path, "answer", body)

    # Turns that a restart interrupted

    async def replay(self, key: SessionKey) -> RemoteTicket:
        return await self._begin(key, "replay")

    async def compact(self, key: SessionKey) -> RemoteTicket:
        return await self._begin(key, "compact")

    async def _begin(self, key: SessionKey, verb: str) -> RemoteTicket:
        begun = await self._ask(Begun, "POST", f"{session_path(key)}/{verb}", verb)
        return RemoteTicket(self._line, begun.id, checks.check_key(key))

    async def drop_offer(self, key: SessionKey) -> None:
        await self._do("POST", f"{session_path(key)}/drop", "drop")

    # Hooks and schedules

    async def hooks(self) -> tuple[HookRow, ...]:
        return await self._read(tuple[HookRow, ...], "/hooks")

    async def hook_runs(self, count: int = 50) -> tuple[HookRun, ...]:
        return await self._read(tuple[HookRun, ...], "/hooks/runs", count=checks.check_runs(count))

    async def test_hook(self, event: str) -> tuple[HookRun, ...]:
        path = f"/hooks/test/{part(checks.check_event(event))}"
        told = await self._line.ask("POST", path, what="test-hook", timeout=TEST_TIME)
        return self._unpack(tuple[HookRun, ...], told)

    async def schedules(self) -> tuple[ScheduleRow, ...]:
        return await self._read(tuple[ScheduleRow, ...], "/schedules")

    # What agents share

    async def servers(self) -> tuple[SharedServerRow, ...]:
        return await self._read(tuple[SharedServerRow, ...], "/servers")

    # Limits

    async def limits(self, instance: str = "") -> Mapping[str, str]:
        found = await self._read(dict[str, str], "/limits", instance=checks.check_instance(instance))
        return MappingProxyType(found)

    async def adjust(self, instance: str, limit: str, value: str) -> None:
        instance, limit = checks.check_instance(instance), checks.check_limit(limit)
        body = {"instance": instance, "value": checks.check_limit_value(value)}
        await self._do("PUT", f"/limits/{part(limit)}", "set", body)

    # Instances

    async def pause(self, instance: str) -> None:
        await self._do("POST", f"{_instance_path(instance)}/pause", "pause")

    async def resume(self, instance: str) -> None:
        await self._do("POST", f"{_instance_path(instance)}/resume", "resume")

    async def drain(self, instance: str, *, deadline: float | None = None, before_end: bool = False) -> None:
        path = f"{_instance_path(instance)}/drain"
        body: dict[str, Any] = {} if deadline is None else {"deadline": checks.check_deadline(deadline)}
        if checks.check_flag(before_end, "before_end"):
            body["before_end"] = True
        await self._do("POST", path, "drain", body)

    async def kill(self, instance: str) -> None:
        await self._do("POST", f"{_instance_path(instance)}/kill", "kill")

    async def scale(self, instance: str, max_sessions: int) -> None:
        path = f"{_instance_path(instance)}/scale"
        await self._do("POST", path, "scale", {"max_sessions": checks.check_scale(max_sessions)})

    # Single things

    async def kill_client(self, client_id: str) -> None:
        await self._do("DELETE", f"/clients/{part(checks.check_client(client_id))}", "kill-client")

    async def warm(self, key: SessionKey) -> bool:
        return (await self._ask(Warmed, "POST", f"{session_path(key)}/warm", "warm")).warms

    async def hibernate(self, key: SessionKey) -> None:
        await self._do("POST", f"{session_path(key)}/hibernate", "hibernate")

    async def close_session(self, key: SessionKey) -> None:
        await self._do("POST", f"{session_path(key)}/close", "close")

    async def forget_user(self, user: str) -> int:
        path = f"/users/{part(validate_id(user, 'user'))}"
        return (await self._ask(Forgot, "DELETE", path, "forget")).sessions

    # The end

    async def drained(self, instance: str | None = None) -> None:
        query = {} if instance is None else {"instance": checks.check_agent(instance)}
        while True:
            try:
                await self._line.ask("GET", "/drained", what="drained", timeout=DRAIN_POLL, **query)
                return
            except NotDrained:
                pass

    async def stop(self) -> None:
        """Returns when the other side does not answer any more."""
        await self._do("POST", "/stop", "stop")
        try:
            while True:
                await self._line.ask("GET", "/healthz", what="stop")
                await anyio.sleep(LEAST_PAUSE)
        except (NotReached, AnswerLost):
            return

    # What all have in common

    async def _read(self, kind: type[Value], path: str, **query: Any) -> Value:
        return self._unpack(kind, await self._line.ask("GET", path, **query))

    async def _ask(
        self, kind: type[Value], method: str, path: str, what: str, body: dict[str, Any] | None = None, **query: Any
    ) -> Value:
        return self._unpack(kind, await self._line.ask(method, path, body, what=what, **query))

    async def _do(self, method: str, path: str, what: str, body: dict[str, Any] | None = None) -> None:
        await self._line.ask(method, path, body, what=what)

    def _unpack(self, kind: type[Value], packed: str) -> Value:
        try:
            found: Value = unpack(kind, packed)
        except ValueError as error:
            raise BullpenError(
                f"bullpen at {self.name} answers what this version cannot read ({error}): use the same version"
            ) from None
        return found


def _turn_path(turn_id: str) -> str:
    return f"/turns/{part(checks.check_turn(turn_id))}"


def _instance_path(instance: str) -> str:
    return f"/instances/{part(checks.check_agent(instance))}"
