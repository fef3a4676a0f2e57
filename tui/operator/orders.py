"""What a verb does to each of its targets. The targets are frozen when the operator presses the key: what is confirmed
is what is told to the engine, whatever the rows do in the meantime."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from supervisor import (
    ClientRow,
    InstanceRow,
    InstanceState,
    Offer,
    Question,
    Refused,
    SessionKey,
    SessionRow,
    SessionState,
    Ticket,
)
from tui.engine_link.bridge import Bridge
from tui.engine_link.verb_queue import Act
from tui.operator.operations import Operations, tell_each
from tui.wording import format

Thing = InstanceRow | SessionRow | ClientRow | Question | Offer
"""What a row of the dashboard stands for."""

DRAINING = (InstanceState.DRAINING, InstanceState.DRAINED)
CLOSED = (InstanceState.PAUSED, InstanceState.STOPPED, InstanceState.PARKED)
DRAINABLE = (InstanceState.RUNNING, InstanceState.PAUSED, InstanceState.PARKED)

MOST_TOLD = 8
"""Lines of a result about targets that could not be done."""


class Order(NamedTuple):
    """A verb for one target."""

    name: str
    """Of the target, as the screen calls it."""
    facts: str
    """What the operator should know of the target before confirming: memory, turns in flight, turns that wait."""
    act: Act
    """Tells the engine; returns what was done. Raises `Refused`."""
    memory_bytes: int = 0
    running: int = 0
    """Turns in flight."""


class OrdersResult(NamedTuple):
    """What became of several orders."""

    done: int
    refused: tuple[str, ...]
    """One line for each target that could not be done."""


async def carry_out(orders: Sequence[Order]) -> OrdersResult:
    """Tells the engine of each; a refusal of one leaves the others alone."""
    told = await tell_each([order.act for order in orders])
    refused = [(order.name, str(error)) for order, error in zip(orders, told, strict=True) if error is not None]
    lines = (why if name in why else f"{name}: {why}" for name, why in refused)
    return OrdersResult(len(orders) - len(refused), tuple(lines))


def tell_result(verb: str, result: OrdersResult) -> str:
    """One line for each target that could not be done, and a summary: `interrupt: 2 of 3 done`."""
    total = result.done + len(result.refused)
    what = "sent" if verb == "broadcast" else "done"  # a prompt that is sent has still to run
    lines = [f"{verb}: {'all ' if result.done == total else f'{result.done} of '}{total} {what}"]
    lines += result.refused[:MOST_TOLD]
    if (more := len(result.refused) - MOST_TOLD) > 0:
        lines.append(f"… and {more} more")
    return "\n".join(lines)


# Targets of a row


def instance_of(thing: Thing | None) -> str | None:
    """The name of the instance that a row belongs to."""
    match thing:
        case InstanceRow(name=name):
            return name
        case ClientRow(instance=name):
            return name
        case SessionRow(key=key) | Question(key=key) | Offer(key=key):
            return key.instance
    return None


def session_of(thing: Thing | None) -> SessionKey | None:
    match thing:
        case ClientRow(key=key) | SessionRow(key=key) | Question(key=key) | Offer(key=key):
            return key
    return None


def client_of(thing: Thing | None) -> str | None:
    """The id of the client that serves a row."""
    match thing:
        case ClientRow(id=client_id):
            return client_id
        case SessionRow(client_id=client_id) | Question(client_id=client_id):
            return client_id or None
    return None


class Orders:
    """Makes orders from rows."""

    def __init__(self, bridge: Bridge, operations: Operations, follow: Callable[[Ticket], object]) -> None:
        """`follow` is given the ticket of a turn that is sent again."""
        self._bridge = bridge
        self._operations = operations
        self._follow = follow

    def of(self, verb: str, things: Iterable[Thing]) -> tuple[list[Order], int]:
        """An order for each target that the verb can be done to now (two rows of one target make one order), and the
        number of rows that it cannot be done to."""
        make = getattr(self, f"_{verb}")
        found: dict[str, Order] = {}
        left_out = 0
        for thing in things:
            order = make(thing)
            if order is None:
                left_out += 1
            else:
                found.setdefault(order.name, order)
        return list(found.values()), left_out

    def can(self, verb: str, things: Iterable[Thing]) -> bool:
        """Whether the verb applies to at least one of the things."""
        make = getattr(self, f"_{verb}")
        return any(make(thing) is not None for thing in things)

    # Rows as they are now

    def _session(self, thing: Thing) -> SessionRow | None:
        key = session_of(thing)
        return None if key is None else self._bridge.sessions.get(key)

    def _instance(self, thing: Thing) -> InstanceRow | None:
        name = instance_of(thing)
        return None if name is None else self._bridge.instances.get(name)

    def _on_session(self, row: SessionRow, act: Act) -> Order:
        return Order(str(row.key), session_words(row), act, row.memory_bytes, int(bool(row.turn_id)))

    def _on_instance(self, row: InstanceRow, act: Act) -> Order:
        return Order(row.name, instance_words(row), act, row.memory_bytes, row.active_sessions)

    # Stops

    def _interrupt(self, thing: Thing) -> Order | None:
        row = self._session(thing)
        if row is None or not row.stoppable:
            return None
        key, turn = row.key, row.stoppable
        return self._on_session(row, lambda: self._operations.interrupt(key, turn))

    def _clear_queue(self, thing: Thing) -> Order | None:
        if session_of(thing) is not None:
            row = self._session(thing)
            if row is None or not row.waiting:
                return None
            key = row.key
            return self._on_session(row, lambda: self._operations.clear_queue(key.instance, key))
        instance = self._instance(thing) if isinstance(thing, InstanceRow) else None
        if instance is None or not instance.waiting:
            return None
        name = instance.name
        return self._on_instance(instance, lambda: self._operations.clear_queue(name))

    def _drain(self, thing: Thing) -> Order | None:
        row = self._instance(thing)
        if row is None or row.state not in DRAINABLE:
            return None
        return self._on_instance(row, lambda: self._operations.drain(row.name))

    def _undo_drain(self, thing: Thing) -> Order | None:
        row = self._instance(thing)
        return None if row is None or row.state not in DRAINING else self._resume(thing)

    def _kill(self, thing: Thing) -> Order | None:
        client_id = client_of(thing)
        client = None if client_id is None else self._bridge.clients.get(client_id)
        if client is not None:
            return self._kill_client(client)
        if not isinstance(thing, InstanceRow) or (row := self._instance(thing)) is None:
            return None
        return self._on_instance(row, lambda: self._operations.kill(row.name))

    def _kill_client(self, client: ClientRow) -> Order:
        session = None if client.key is None else self._bridge.sessions.get(client.key)
        whose = "a spare" if client.key is None else str(client.key)
        words = [whose, format.bytes_short(client.memory_bytes)] if client.memory_bytes else [whose]
        is_running = session is not None and bool(session.turn_id)
        if is_running:
            words.append("its turn runs")
        return Order(
            client.id,
            ", ".join(words),
            lambda: self._operations.kill_client(client.id),
            client.memory_bytes,
            int(is_running),
        )

    # Steering

    def _pause(self, thing: Thing) -> Order | None:
        row = self._instance(thing)
        if row is None or row.state is not InstanceState.RUNNING:
            return None
        return self._on_instance(row, lambda: self._operations.pause(row.name))

    def _resume(self, thing: Thing) -> Order | None:
        row = self._instance(thing)
        if row is None or row.state not in (*CLOSED, *DRAINING):
            return None
        return self._on_instance(row, lambda: self._operations.resume(row.name))

    def _hibernate(self, thing: Thing) -> Order | None:
        row = self._session(thing)
        if row is None or not row.client_id or row.turn_id:
            return None
        return self._on_session(row, lambda: self._operations.hibernate(row.key))

    def _compact(self, thing: Thing) -> Order | None:
        row = self._session(thing)
        if row is None or row.turn_id or not row.turns:
            return None
        return self._on_session(row, lambda: self._operations.compact(row.key))

    def _close_session(self, thing: Thing) -> Order | None:
        row = self._session(thing)
        if row is None or row.turn_id or row.waiting:
            return None
        return self._on_session(row, lambda: self._operations.close_session(row.key))

    # Turns that a restart interrupted

    def _replay(self, thing: Thing) -> Order | None:
        offer, row = self._offer(thing), self._session(thing)
        if offer is None or row is None:
            return None

        async def act() -> str:
            self._check_offer(offer)
            self._follow(await self._operations.replay(offer.key))
            return f"{offer.key}: the interrupted turn is sent again"

        return Order(str(offer.key), f"“{offer.text}”", act, row.memory_bytes)

    def _drop_offer(self, thing: Thing) -> Order | None:
        offer = self._offer(thing)
        if offer is None:
            return None

        async def act() -> str:
            self._check_offer(offer)
            return await self._operations.drop_offer(offer.key)

        return Order(str(offer.key), f"“{offer.text}”", act)

    def _offer(self, thing: Thing) -> Offer | None:
        key = session_of(thing)
        return None if key is None else self._bridge.offers.get(key)

    def _check_offer(self, offer: Offer) -> None:
        now = self._bridge.offers.get(offer.key)
        if now is not None and now.turn_id != offer.turn_id:
            raise Refused(f"{offer.key}: another turn is on offer since")

    def scaled(self, things: Iterable[Thing], most: int) -> list[Order]:
        """Each of their instances with `most` turns in parallel."""

        def scale(row: InstanceRow) -> Order:
            return self._on_instance(row, lambda: self._operations.scale(row.name, most))

        rows = {row.name: row for thing in things if (row := self._instance(thing)) is not None}
        return [scale(row) for row in rows.values()]


def session_words(row: SessionRow) -> str:
    """`412M, its turn runs, 2 turns wait`; the state when there is nothing of that."""
    words = [format.bytes_short(row.memory_bytes)] if row.memory_bytes else []
    if row.turn_id:
        words.append("its turn asks you" if row.state is SessionState.ASKING else "its turn runs")
    if row.waiting:
        words.append(f"{format.some(len(row.waiting), 'turn')} {'waits' if len(row.waiting) == 1 else 'wait'}")
    return ", ".join(words) or str(row.state)


def instance_words(row: InstanceRow) -> str:
    """`1.0G, 2 turns run, 3 turns wait`; the state when there is nothing of that."""
    words = [format.bytes_short(row.memory_bytes)] if row.memory_bytes else []
    if row.active_sessions:
        words.append(f"{format.some(row.active_sessions, 'turn')} {'runs' if row.active_sessions == 1 else 'run'}")
    if row.waiting:
        words.append(f"{format.some(row.waiting, 'turn')} {'waits' if row.waiting == 1 else 'wait'}")
    return ", ".join(words) or str(row.state)


def count_words(orders: Sequence[Order]) -> str:
    """Memory and turns of all orders together: `1.2G of memory, 3 turns in flight`."""
    memory, running = sum(order.memory_bytes for order in orders), sum(order.running for order in orders)
    words = [f"{format.bytes_short(memory)} of memory"] if memory else []
    if running:
        words.append(f"{format.some(running, 'turn')} in flight")
    return ", ".join(words) or "no memory, no turn in flight"
