"""What always holds, whatever was done in whatever order. Each function returns the breaches it sees, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from supervisor.dispatcher import Adopt, Begin, Decision, decide
from supervisor.model import SessionState, SlotState, WhyWaiting
from supervisor.rows import SHOWN_WAITING
from supervisor.snapshot import Snapshot
from tests.engine.model.book import Book
from tests.engine.model.stage import Stage


class Sizes:
    """How big everything was, and might have been, when it was last looked at: what is above its limit only shrinks."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[int, int]] = {}

    def exceeds(self, name: str, size: int, limit: int) -> bool:
        allowed = max(limit, *self._last.get(name, (0, 0)))
        self._last[name] = size, limit
        return size > allowed


def breaches_at_any_time(
    stage: Stage, book: Book, picture: Snapshot, sizes: Sizes, limits: dict[str, int]
) -> Iterator[str]:
    """Also in the middle of things."""
    if not stage.is_running:
        yield f"the supervisor has ended: {stage.main!r}"
    if stage.supervisor.failure is not None:
        yield f"the engine failed: {stage.supervisor.failure!r}"
    yield from stage.world.violations
    yield from (f"nobody handled {problem}" for problem in stage.loop.problems)
    yield from _breaches_of_pools(stage, picture, sizes, limits)
    yield from _breaches_of_order(stage, book)
    if stage.world.most_starting > limits["connect_limit"]:
        yield f"{stage.world.most_starting} clients were starting at once"


def _breaches_of_pools(stage: Stage, picture: Snapshot, sizes: Sizes, limits: dict[str, int]) -> Iterator[str]:
    writers = Counter(one.launch.session_uuid for one in stage.world.live)
    yield from (f"{count} processes write to {uuid}" for uuid, count in writers.items() if count > 1)
    clients = {row.id: row for row in picture.clients}
    for connection in stage.world.live:
        if connection.launch.client_id not in clients:
            yield f"{connection!r} lives and stands in no pool"
    if lost := clients.keys() ^ stage.clients_at_work:
        yield f"places without a task, or tasks without a place: {lost}"
    if sizes.exceeds("host", len(clients), limits["max_agents"]):
        yield f"{len(clients)} clients on a host for {limits['max_agents']}"
    for row in picture.instances:
        own = [client for client in picture.clients if client.instance == row.name]
        if row.pool.total != len(own):
            yield f"{row.name}: its pool counts {row.pool.total} clients, there are {len(own)}"
        if sizes.exceeds(f"{row.name} clients", len(own), row.pool.max_clients):
            yield f"{row.name} has {len(own)} clients, {row.pool.max_clients} are allowed"
        if sizes.exceeds(f"{row.name} turns", row.active_sessions, row.max_sessions):
            yield f"{row.name} runs {row.active_sessions} turns, {row.max_sessions} are allowed"
        if row.memory_bytes != sum(client.memory_bytes for client in own):
            yield f"{row.name}: its memory is not that of its clients"
    if picture.host.memory_bytes != sum(client.memory_bytes for client in picture.clients):
        yield "the host's memory is not that of its clients"
    yield from _breaches_of_pairs(picture)


def _breaches_of_pairs(picture: Snapshot) -> Iterator[str]:
    """A client has one session and a session one client, and both know it."""
    sessions = {row.key: row for row in picture.sessions}
    for client in picture.clients:
        if client.key is not None and (client.key not in sessions or sessions[client.key].client_id != client.id):
            yield f"{client.id} says it is {client.key}'s: {sessions.get(client.key)!r}"
    clients = {row.id: row for row in picture.clients}
    for row in picture.sessions:
        if row.client_id and (row.client_id not in clients or clients[row.client_id].key != row.key):
            yield f"{row.key} says it has {row.client_id}: {clients.get(row.client_id)!r}"


def _breaches_of_order(stage: Stage, book: Book) -> Iterator[str]:
    """No prompt is written twice, none of one conversation into another, none of one session before an earlier one."""
    written = Counter(one.text for one in stage.world.written)
    yield from (f"{text!r} was written {count} times" for text, count in written.items() if count > 1)
    owners: dict[str, object] = {}
    latest: dict[object, int] = {}
    for one in stage.world.written:
        entry = book.by_text[one.text]
        if owners.setdefault(one.session_uuid, entry.key) != entry.key:
            yield f"{entry} was written into a conversation of {owners[one.session_uuid]}"
        queue = (entry.key, entry.prompt.priority)
        if latest.get(queue, -1) > entry.number:
            yield f"{entry} was written after a later one of its session"
        latest[queue] = entry.number


def breaches_at_rest(stage: Stage, book: Book, picture: Snapshot) -> Iterator[str]:
    """When nothing more can happen until somebody does something or time passes."""
    if stage.world.live:
        ids = {row.id: row.state for row in picture.clients}
        for one in stage.world.live:
            if ids.get(one.launch.client_id) in (None, SlotState.RESERVED, SlotState.STARTING):
                yield f"{one!r} is connected and counted as {ids.get(one.launch.client_id)}"
    yield from _breaches_of_queues(book, picture)
    yield from _breaches_of_questions(stage, book, picture)
    for name, step in find_steps_left(stage).items():
        # Room that another instance has given up, and pauses that are over, are found by the housekeeping.
        if isinstance(step, Begin | Adopt):
            yield f"{name} has a step left that nobody takes: {step}"


def find_steps_left(stage: Stage) -> dict[str, Decision]:
    """What the dispatcher would do now if it were asked."""
    steps = {name: decide(instance._scene()) for name, instance in stage.supervisor._instances.items()}
    return {name: step for name, step in steps.items() if step is not None}


def _breaches_of_queues(book: Book, picture: Snapshot) -> Iterator[str]:
    rows = {row.key: row for row in picture.sessions}
    if rows.keys() != book.sessions:
        yield f"sessions on the books and not as told: {rows.keys() ^ book.sessions}"
    busy = {key for key, queue in book.waiting.items() if queue} | book.running.keys()
    for key in busy - rows.keys():
        yield f"{key} has turns and no row"
    for key, row in rows.items():
        running, queue = book.running.get(key), book.waiting.get(key, [])
        if row.turn_id != (running.ticket.turn_id if running else ""):
            yield f"{key} shows {row.turn_id!r} as running: {running!r}"
        if [one.turn_id for one in row.waiting] != [one.ticket.turn_id for one in queue][:SHOWN_WAITING]:
            yield f"{key} shows {row.waiting} as waiting: {queue}"
        if (row.why is None) != (not queue):
            yield f"{key} waits because of {row.why} with {len(queue)} turns waiting"
        if row.turns != book.ended_turns[key]:
            yield f"{key} counts {row.turns} turns, {book.ended_turns[key]} have ended"
        if (row.state in (SessionState.WORKING, SessionState.ASKING)) != (running is not None):
            yield f"{key} is {row.state} and runs {running!r}"
        if running is not None and queue and row.why not in (WhyWaiting.SESSION_BUSY, WhyWaiting.QUESTION):
            yield f"{key} runs a turn and its next one waits because of {row.why}"
    for one in picture.instances:
        mine = [key for key in rows if key.instance == one.name]
        if one.sessions != len(mine):
            yield f"{one.name} counts {one.sessions} sessions of {len(mine)}"
        if one.waiting != sum(len(book.waiting.get(key, [])) for key in mine):
            yield f"{one.name} counts {one.waiting} waiting turns"
        if one.active_sessions != sum(key in book.running for key in mine):
            yield f"{one.name} counts {one.active_sessions} running turns"
        if one.pool.hot + one.pool.adopted + one.pool.cold != book.started[one.name]:
            yield f"{one.name}: hot, adopted and cold turns are not those that began: {one.pool}, {book.started}"
        if one.pool.busy + one.pool.asking > one.active_sessions:
            yield f"{one.name} has more clients at work than turns: {one.pool}"


def _breaches_of_questions(stage: Stage, book: Book, picture: Snapshot) -> Iterator[str]:
    shown = {question.id for question in picture.questions}
    if shown != book.questions.keys():
        yield f"open questions and not as told: {shown ^ book.questions.keys()}"
    if shown != {question for row in picture.sessions for question in row.questions}:
        yield "the sessions' questions are not the open ones"
    if len(shown) != (asked := sum(one.questions for one in stage.world.connections)):
        yield f"{len(shown)} questions are open, agents ask {asked}"
    asking = {question.client_id for question in picture.questions}
    for client in picture.clients:
        if (client.state is SlotState.ASKING) and client.id not in asking:
            yield f"{client.id} is asking, and no question of it is open"
        if client.state is SlotState.BUSY and client.id in asking:
            yield f"{client.id} is busy, and a question of it is open"
