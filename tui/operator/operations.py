"""Does what a verb says. Every method returns the sentence that tells the operator what was done.

What the engine refuses is raised as `Refused`; the caller shows it.
"""

from __future__ import annotations

from collections.abc import Callable

from supervisor import (
    Answer,
    BullpenError,
    ConversationReader,
    Engine,
    Event,
    Glimpse,
    InstanceState,
    Prompt,
    Refused,
    SessionKey,
    Source,
    Ticket,
)
from tui.wording import format

HARD_DRAIN_SECONDS = 30.0
OPERATOR = "operator"
"""The user of the operator's own sessions."""


class Operations:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.unsent: dict[SessionKey, str] = {}
        """Words that were not sent when their chat was left, or refused after that: the chat takes them back."""
        self.on_forgotten: Callable[[str], object] = lambda _user: None
        """Called with a user who is to be forgotten: drops the drafts and recalled prompts for that user."""

    def keep_unsent(self, key: SessionKey, text: str) -> None:
        """For the chat that was left; what came before stands first."""
        later = self.unsent.get(key, "")
        self.unsent[key] = f"{text}\n{later}" if later else text

    def ask(self, key: SessionKey, text: str) -> Ticket:
        """Sends the operator's prompt; the ticket names the session it went to."""
        return self._engine.submit(
            Prompt(agent=key.instance, text=text, user=key.user, session=key.session, source=Source.OPERATOR)
        )

    def conversation(self, key: SessionKey) -> ConversationReader:
        """Raises `UnknownTarget` before the session's first prompt."""
        return self._engine.conversation(key)

    def glimpse(self, key: SessionKey, count: int = 20) -> Glimpse:
        """The end of a conversation; empty when it cannot be read, or before the first prompt."""
        try:
            return self._engine.glimpse(key, count)
        except BullpenError:
            return Glimpse((), "")

    def past(self) -> tuple[Event, ...]:
        """What earlier runs did."""
        return self._engine.past()

    def answer(self, question_id: str, answer: Answer) -> None:
        self._engine.answer(question_id, answer)

    def interrupt(self, key: SessionKey, turn_id: str = "") -> str:
        """Stops that turn, or without an id the one that runs or is next. Raises `Refused` when there is none."""
        if not self._engine.interrupt(key, turn_id):
            raise Refused(f"{key}: the turn has ended already" if turn_id else f"{key}: no turn runs or waits")
        return f"{key}: stopping its turn"

    def withdraw(self, turn_id: str) -> str:
        self._engine.withdraw(turn_id)
        return "withdrawn"

    def replay(self, key: SessionKey) -> Ticket:
        """Sends the interrupted turn again; the ticket says when that is recorded."""
        return self._engine.replay(key)

    def drop_offer(self, key: SessionKey) -> str:
        self._engine.drop_offer(key)
        return f"{key}: the interrupted turn is left as it is"

    def limits(self, instance: str = "") -> dict[str, str]:
        """By name, as people write them; those of the host when no instance is named. Empty when it is unknown."""
        try:
            return self._engine.limits(instance)
        except Refused:
            return {}

    def adjust(self, instance: str, limit: str, value: str) -> str:
        self._engine.adjust(instance, limit, value)
        return f"{f'{instance}.' if instance else ''}{limit} is {value} until the next restart"

    def clear_queue(self, instance: str, key: SessionKey | None = None) -> str:
        cancelled = self._engine.clear_queue(instance, key)
        return f"{key or instance}: {format.some(cancelled, 'waiting turn')} cancelled"

    def pause(self, instance: str) -> str:
        self._engine.pause(instance)
        return f"{instance} paused: prompts queue, what runs goes on; p resumes"

    def resume(self, instance: str) -> str:
        self._engine.resume(instance)
        return f"{instance} runs again"

    def drain(self, instance: str) -> str:
        self._engine.drain(instance, deadline=HARD_DRAIN_SECONDS)
        return f"{instance} drains; D takes it back"

    def kill(self, instance: str) -> str:
        self._engine.kill(instance)
        return f"{instance}: ending its processes"

    def scale(self, instance: str, max_sessions: int) -> str:
        self._engine.scale(instance, max_sessions)
        clients = self.limits(instance).get("pool.maxClients", "")
        return f"{instance}: up to {format.some(max_sessions, 'turn')} in parallel, clients at most: {clients}"

    def kill_client(self, client_id: str) -> str:
        self._engine.kill_client(client_id)
        return f"{client_id}: ending its process tree"

    def hibernate(self, key: SessionKey) -> str:
        self._engine.hibernate(key)
        return f"{key}: hibernating"

    def compact(self, key: SessionKey) -> str:
        self._engine.compact(key)
        return f"{key}: its conversation is compacted"

    def close_session(self, key: SessionKey) -> str:
        self._engine.close_session(key)
        return f"{key} closed"

    def forget_user(self, user: str) -> str:
        count = self._engine.forget_user(user)
        for key in [key for key in self.unsent if key.user == user]:
            del self.unsent[key]
        self.on_forgotten(user)
        return f"{user}: forgetting {format.some(count, 'session')}"

    def drain_all(self, instances: list[str]) -> str:
        return self._each(instances, self.drain) or "every instance drains"

    def kill_all(self, instances: list[str]) -> str:
        return self._each(instances, self.kill) or "ending every process"

    def take_back_drain(self, states: dict[str, InstanceState]) -> str:
        """Brings instances back to the states they had before `drain_all`."""

        def restore(name: str) -> None:
            if states[name] in (InstanceState.RUNNING, InstanceState.PAUSED, InstanceState.PARKED):
                self._engine.resume(name)
            if states[name] is InstanceState.PAUSED:
                self._engine.pause(name)

        return self._each(list(states), restore) or "drain taken back"

    async def wait_until_drained(self) -> None:
        await self._engine.drained()

    def _each(self, names: list[str], act: Callable[[str], object]) -> str:
        """Acts on every one, also when one refuses; returns what was refused."""
        refused = []
        for name in names:
            try:
                act(name)
            except Refused as error:
                refused.append(str(error))
        return "; ".join(refused)
