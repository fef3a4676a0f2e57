"""Every turn that waits or runs, and every ticket that a caller may hold, each by its id."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from weakref import WeakValueDictionary

from msgspec.structs import replace

from supervisor.api.engine import Ticket
from supervisor.api.errors import AcceptanceUnknown, BullpenError, OutcomeUnknown, RequestConflict, UnknownTarget
from supervisor.api.prompts import Prompt
from supervisor.api.turns import TurnState, TurnView
from supervisor.engine.view import View
from supervisor.instance.shared import HostContext
from supervisor.journal import TurnRecord
from supervisor.sessions.spending import Account, accounts_of
from supervisor.sessions.ticket import CallersTicket, PromptTicket, RecordedTicket
from supervisor.sessions.turn import Turn
from supervisor.text.cleaning import one_line


class TurnRegistry:
    """What lives is told from memory, all else from the journal."""

    def __init__(
        self,
        host: HostContext,
        view: View,
        *,
        on_end: Callable[[], None],
        provider_of: Callable[[str, Prompt], str] = lambda _, prompt: prompt.provider,
    ) -> None:
        """`on_end` is called whenever a turn has ended. `provider_of` names the provider that a prompt to an instance
        would run with."""
        self._provider_of = provider_of
        self._accounts: dict[str, tuple[Account, ...]] = {}
        """Turn id → the accounts that its spending counts for."""
        self._host = host
        self._view = view
        self._on_end = on_end
        self._live: dict[str, Turn] = {}
        """Turns that wait or run, by id."""
        self._prompts: Counter[tuple[str, str]] = Counter()
        """How many of them are prompts, by instance and user."""
        self._tickets: WeakValueDictionary[str, PromptTicket] = WeakValueDictionary()
        """All that a caller may still hold, by the id of its turn."""
        self._requests: WeakValueDictionary[tuple[str, str], PromptTicket] = WeakValueDictionary()
        """Tickets of prompts with a request name, by user and that name."""

    def __len__(self) -> int:
        """How many wait or run."""
        return len(self._live)

    def __iter__(self) -> Iterator[Turn]:
        """The turns that wait or run."""
        return iter(tuple(self._live.values()))

    def add(self, turn: Turn) -> None:
        self._live[turn.id] = turn
        if turn.is_prompt:
            self._prompts[turn.key.instance, turn.prompt.user] += 1
        self._tickets[turn.id] = turn.ticket
        if turn.prompt.request:
            self._requests[turn.prompt.user, turn.prompt.request] = turn.ticket
        provider = self._provider_of(turn.key.instance, turn.prompt)
        self._accounts[turn.id] = accounts_of(turn.key, turn.prompt.user, provider)
        self._host.spending.begin(self._accounts[turn.id])
        turn.on_end(lambda: self._remove(turn))

    def _remove(self, turn: Turn) -> None:
        del self._live[turn.id]
        self._host.spending.leave(self._accounts.pop(turn.id))
        if turn.is_prompt:
            whose = (turn.key.instance, turn.prompt.user)
            self._prompts[whose] -= 1
            if not self._prompts[whose]:
                del self._prompts[whose]
        self._on_end()

    def get(self, turn_id: str) -> Turn | None:
        """The turn with that id while it waits or runs; None otherwise."""
        return self._live.get(turn_id)

    def accounts_of(self, turn: Turn) -> tuple[Account, ...]:
        """The accounts that the turn's spending counts for; empty when it neither waits nor runs."""
        return self._accounts.get(turn.id, ())

    def count_prompts(self, instance: str, user: str) -> int:
        """How many prompts of this user wait or run in the instance."""
        return self._prompts[instance, user]

    async def find_request(self, prompt: Prompt) -> Ticket | None:
        """The ticket of the turn that a request of this name began. Raises `RequestConflict`."""
        journal = self._host.journal
        live = self._requests.get((prompt.user, prompt.request))
        turn_id = live.turn_id if live is not None else journal.find_request(prompt.user, prompt.request)
        record = await journal.find_turn(turn_id) if turn_id else None
        if record is None:
            return None
        if not _is_the_same(record.prompt, prompt):
            raise RequestConflict(
                f"request {prompt.request!r} of {prompt.user} is another prompt already (turn {record.id}): give this "
                "one a name of its own"
            )
        return self._ticket_of(record)

    async def find_ticket(self, turn_id: str) -> Ticket:
        """Raises `UnknownTarget`, or `OutcomeUnknown` when it neither runs nor has an outcome."""
        return self._ticket_of(await self._find(turn_id))

    async def describe(self, turn_id: str) -> TurnView:
        """Raises `UnknownTarget`."""
        record = await self._find(turn_id)
        ticket = self._tickets.get(record.id)
        is_over = record.outcome is not None and (ticket is None or ticket.is_told)
        running = TurnState.RUNNING if record.started_at is not None else TurnState.WAITING
        view = TurnView(
            id=record.id,
            key=record.key,
            state=TurnState.ENDED if is_over else running,
            prompt=record.prompt,
            queued_at=record.queued_at,
            started_at=record.started_at,
            ended_at=record.ended_at if is_over else None,
            outcome=record.outcome if is_over else None,
            served=record.served,
        )
        live = self._live.get(record.id)
        if live is not None and live.served:
            view = replace(view, served=live.served)
        if live is None or live.state is not TurnState.WAITING:
            return view
        row = self._view.session_row(live.key)
        waiting = next((one for one in row.waiting if one.turn_id == record.id), None) if row is not None else None
        if waiting is None:
            return view
        return replace(
            view,
            state=TurnState.WAITING,
            started_at=None,
            why=waiting.why,
            position=waiting.position,
            place=waiting.place,
        )

    def withdraw_tickets(self) -> None:
        """Called when nothing can be recorded any more: callers that still wait get an error that says what is not
        known."""
        for ticket in tuple(self._tickets.values()):
            ticket.withdraw(_tell_unknown(ticket))

    def _ticket_of(self, record: TurnRecord) -> Ticket:
        if (ticket := self._tickets.get(record.id)) is not None:
            return CallersTicket(ticket)
        if record.outcome is None:
            raise OutcomeUnknown(f"turn {record.id} has no outcome, and does not run: look at {record.key}")
        return RecordedTicket(record.id, record.key, record.outcome)

    async def _find(self, turn_id: str) -> TurnRecord:
        if (record := await self._host.journal.find_turn(turn_id)) is None:
            raise UnknownTarget(f"no turn {one_line(turn_id, 100)} is known")
        return record


def _is_the_same(recorded: Prompt, prompt: Prompt) -> bool:
    """Whether a prompt that is handed in again is the one that was recorded. Of a conversation that is over, the words
    are not kept; of one that a gate has rewritten, the caller's are known by their digest."""
    # One that names no agent keeps its first choice.
    prompt = replace(prompt, agent=prompt.agent or recorded.agent, route=recorded.route)
    if not recorded.text:
        return recorded == replace(prompt, text="", written=recorded.written)
    if recorded.written:
        return recorded == replace(prompt, text=recorded.text, written=digest_of(prompt.text))
    return recorded == prompt


def digest_of(text: str) -> str:
    """SHA-256 of the text in hexadecimal digits: a text that is not kept is recognised by it."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def _tell_unknown(ticket: PromptTicket) -> BullpenError:
    """The error for a caller when nothing can be recorded any more: what is not known of the turn."""
    if not ticket.is_accepted:
        return AcceptanceUnknown(
            f"it is not known whether prompt {ticket.turn_id} was recorded before bullpen ended: if it was, it runs "
            f"after the next start; look there for {ticket.key} before you send it again"
        )
    return OutcomeUnknown(
        f"how turn {ticket.turn_id} ended could not be recorded: the next start offers it again or runs it; look there "
        f"for {ticket.key} before you send it again"
    )
