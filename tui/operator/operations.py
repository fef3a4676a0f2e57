"""Does what a verb says. Every method returns the sentence that tells the operator what was done.

What the engine refuses is raised as `Refused`; the caller shows it. Each waits for the engine's answer, so none is
awaited by what handles a key or draws: `VerbQueue` awaits them in the order of the keys.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial

import anyio

from supervisor import (
    Answer,
    BullpenError,
    ConversationReader,
    Engine,
    Glimpse,
    InstanceState,
    Prompt,
    Refused,
    SessionKey,
    Source,
    Ticket,
)
from tui.operator.limit_line import WORDS, LimitLine, tell_change
from tui.operator.listings import Listing
from tui.wording import format

OPERATOR = "operator"
"""The user of the operator's own sessions."""


class Operations:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.unsent: dict[SessionKey, str] = {}
        """Words that were not sent when their chat was left, or refused after that: the chat takes them back."""
        self.unanswered: list[tuple[SessionKey, str]] = []
        """Prompts that the engine has not answered yet, in their order: nothing of them is recorded there."""
        self.on_forgotten: Callable[[str], object] = lambda _user: None
        """Called with a user who is to be forgotten: drops the drafts and recalled prompts for that user."""

    def keep_unsent(self, key: SessionKey, text: str) -> None:
        """Keeps text that a chat could not send, until that chat is opened again. Text that is kept already stands
        behind it."""
        later = self.unsent.get(key, "")
        self.unsent[key] = f"{text}\n{later}" if later else text

    async def ask(self, key: SessionKey, text: str) -> Ticket:
        """Sends the operator's prompt; the ticket names the session it went to."""
        return await self._engine.submit(
            Prompt(agent=key.instance, text=text, user=key.user, session=key.session, source=Source.OPERATOR)
        )

    async def conversation(self, key: SessionKey) -> ConversationReader:
        """Raises `UnknownTarget` before the session's first prompt."""
        return await self._engine.conversation(key)

    async def warm(self, key: SessionKey) -> None:
        """The operator may be about to write there. Where it cannot be done, the prompt waits for its process."""
        with suppress(BullpenError):
            await self._engine.warm(key)

    async def glimpse(self, key: SessionKey, count: int = 20) -> Glimpse:
        """The end of a conversation; empty when it cannot be read, or before the first prompt."""
        try:
            return await self._engine.glimpse(key, count)
        except BullpenError:
            return Glimpse((), "")

    async def rows_of(self, listing: Listing, argument: str = "") -> list[Sequence[str]]:
        """The rows of a list as they are now. Raises `BullpenError`."""
        return [*listing.rows(await listing.ask(self._engine, argument))]

    async def answer(self, question_id: str, answer: Answer) -> None:
        await self._engine.answer(question_id, answer)

    async def interrupt(self, key: SessionKey, turn_id: str = "") -> str:
        """Stops that turn, or without an id the one that runs or is next. Raises `Refused` when there is none."""
        if not await self._engine.interrupt(key, turn_id):
            raise Refused(f"{key}: the turn has ended already" if turn_id else f"{key}: no turn runs or waits")
        return f"{key}: stopping its turn"

    async def withdraw(self, turn_id: str) -> str:
        await self._engine.withdraw(turn_id)
        return "withdrawn"

    async def replay(self, key: SessionKey) -> Ticket:
        """Sends the interrupted turn again; the ticket says when that is recorded."""
        return await self._engine.replay(key)

    async def drop_offer(self, key: SessionKey) -> str:
        await self._engine.drop_offer(key)
        return f"{key}: the interrupted turn is left as it is"

    async def adjust(self, instance: str, limit: str, value: str) -> str:
        await self._engine.adjust(instance, limit, value)
        line = LimitLine(instance, limit, value)
        return tell_change(line, await self._engine.limits(instance) if value.lower() in WORDS else {})

    async def clear_queue(self, instance: str, key: SessionKey | None = None) -> str:
        cancelled = await self._engine.clear_queue(instance, key)
        return f"{key or instance}: {format.some(cancelled, 'waiting turn')} cancelled"

    async def pause(self, instance: str) -> str:
        await self._engine.pause(instance)
        return f"{instance} paused: prompts queue, what runs goes on; p resumes"

    async def resume(self, instance: str) -> str:
        await self._engine.resume(instance)
        return f"{instance} runs again"

    async def drain(self, instance: str, *, before_end: bool = False) -> str:
        await self._engine.drain(instance, before_end=before_end)
        return f"{instance} drains; D takes it back"

    async def kill(self, instance: str) -> str:
        await self._engine.kill(instance)
        return f"{instance}: ending its processes"

    async def scale(self, instance: str, max_sessions: int) -> str:
        await self._engine.scale(instance, max_sessions)
        clients = (await self._engine.limits(instance)).get("pool.maxClients", "")
        return f"{instance}: up to {format.some(max_sessions, 'turn')} in parallel, clients at most: {clients}"

    async def kill_client(self, client_id: str) -> str:
        await self._engine.kill_client(client_id)
        return f"{client_id}: ending its process tree"

    async def hibernate(self, key: SessionKey) -> str:
        await self._engine.hibernate(key)
        return f"{key}: hibernating"

    async def compact(self, key: SessionKey) -> str:
        await self._engine.compact(key)
        return f"{key}: its conversation is compacted"

    async def close_session(self, key: SessionKey) -> str:
        await self._engine.close_session(key)
        return f"{key} closed"

    async def forget_user(self, user: str) -> str:
        count = await self._engine.forget_user(user)
        for key in [key for key in self.unsent if key.user == user]:
            del self.unsent[key]
        self.on_forgotten(user)
        return f"{user}: forgetting {format.some(count, 'session')}"

    async def drain_all(self, instances: list[str], *, before_end: bool = False) -> str:
        return await self._each(instances, partial(self.drain, before_end=before_end)) or "every instance drains"

    async def kill_all(self, instances: list[str]) -> str:
        return await self._each(instances, self.kill) or "ending every process"

    async def take_back_drain(self, states: dict[str, InstanceState]) -> str:
        """Brings instances back to the states they had before `drain_all`. A drain that went on then begins anew, with
        its whole deadline."""

        async def restore(name: str) -> None:
            await self._engine.resume(name)
            if states[name] is InstanceState.PAUSED:
                await self._engine.pause(name)
            elif states[name] is InstanceState.DRAINING:
                await self._engine.drain(name)

        return await self._each(list(states), restore) or "drain taken back"

    async def wait_until_drained(self) -> None:
        await self._engine.drained()

    async def _each(self, names: Iterable[str], act: Callable[[str], Awaitable[object]]) -> str:
        """Acts on every one, also when one refuses; returns what was refused."""
        refused = await tell_each([partial(act, name) for name in names])
        return "; ".join(str(error) for error in refused if error is not None)


async def tell_each(verbs: Sequence[Callable[[], Awaitable[object]]]) -> list[BullpenError | None]:
    """Awaits verbs whose targets have nothing to do with each other: each is told without waiting for the answer to the
    one before. Returns what each was refused with, None where it was done."""
    refused: list[BullpenError | None] = [None] * len(verbs)

    async def tell(number: int) -> None:
        try:
            await verbs[number]()
        except BullpenError as error:
            refused[number] = error

    async with anyio.create_task_group() as group:
        for number in range(len(verbs)):
            group.start_soon(tell, number)
    return refused
