"""What always holds, whatever was done in whatever order. Each function yields the breaches it sees, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Set

from supervisor.api.outcomes import FailureKind
from supervisor.api.snapshot import ClientRow, Snapshot
from supervisor.api.states import InstanceState, SessionState, SlotState, WhyWaiting
from supervisor.engine.row_builders import SHOWN_WAITING
from supervisor.sessions.slot import Slot
from tests.engine.model.book import Book
from tests.engine.model.entry import COME_BACK
from tests.engine.model.order import breaches_of_order
from tests.engine.model.stage import Stage

_COMING = (SlotState.RESERVED, SlotState.STARTING)


class Sizes:
    """How big everything was, and might have been, when it was last looked at: what is above its limit only shrinks."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[int, int]] = {}

    def exceeds(self, name: str, size: int, limit: int) -> bool:
        allowed = max(limit, *self._last.get(name, (0, 0)))
        self._last[name] = size, limit
        return size > allowed


def breaches_at_any_time(stage: Stage, book: Book, picture: Snapshot, sizes: Sizes) -> Iterator[str]:
    """Also in the middle of things."""
    if not stage.is_running:
        yield f"the supervisor has ended: {stage.main!r}"
    if stage.supervisor.failure is not None:
        yield f"the engine failed: {stage.supervisor.failure!r}"
    for instance in stage.supervisor._instances.values():
        if instance.pool.failures[FailureKind.ENGINE]:
            yield f"{instance.name}: an internal error has ended a client; see the log"
    yield from breaches_of_the_world(stage, book)
    yield from stage.unrecorded
    yield from (f"nobody handled {problem}" for problem in stage.loop.problems)
    yield from _breaches_of_processes(stage, picture)
    yield from _breaches_of_pools(picture, sizes)
    yield from _breaches_of_memory(picture, stage.thin)
    yield from _breaches_of_pairs(picture)


def breaches_of_the_world(stage: Stage, book: Book) -> Iterator[str]:
    """Rules of the processes that were broken. Where a task is cancelled natively, or a process eats up the host's
    memory, there is no time for an interrupt."""
    for violation in stage.world.violations:
        client = violation.partition(" ")[0]
        is_excused = client in book.cancelled | book.swollen and violation.endswith("without an interrupt")
        if not is_excused:
            yield violation


def _breaches_of_processes(stage: Stage, picture: Snapshot) -> Iterator[str]:
    writers = Counter(one.launch.session_uuid for one in stage.world.live)
    yield from (f"{count} processes write to {uuid}" for uuid, count in writers.items() if count > 1)
    for uuid, texts in stage.world.transcripts.items():
        asked = Counter(text for text in texts if not text.endswith(COME_BACK))
        yield from (f"{text!r} stands {count} times in {uuid}" for text, count in asked.items() if count > 1)
    clients = {row.id for row in picture.clients}
    for connection in stage.live:
        if connection.launch.client_id not in clients:
            yield f"{connection!r} lives and stands in no pool"
    if lost := clients ^ stage.clients_at_work.keys():
        yield f"places without a task, or tasks without a place: {lost}"


def _breaches_of_pools(picture: Snapshot, sizes: Sizes) -> Iterator[str]:
    for row in picture.instances:
        own = _clients_of(row.name, picture)
        if row.pool.total != len(own):
            yield f"{row.name}: its pool counts {row.pool.total} clients, there are {len(own)}"
        if sizes.exceeds(f"{row.name} turns", row.active_sessions, row.max_sessions):
            yield f"{row.name} runs {row.active_sessions} turns, {row.max_sessions} are allowed"


def _breaches_of_memory(picture: Snapshot, thin: Set[str]) -> Iterator[str]:
    """The ledger: what is shown adds up, and what is expected of those on their way in is charged."""
    reserved = 0
    for row in picture.instances:
        own = _clients_of(row.name, picture)
        if row.memory_bytes != sum(client.memory_bytes for client in own):
            yield f"{row.name}: its memory is not that of its clients"
        reserved += sum(charge(client, row.memory_reserve, thin) - client.memory_bytes for client in own)
    if picture.host.memory_bytes != sum(client.memory_bytes for client in picture.clients):
        yield "the host's memory is not that of its clients"
    if picture.host.memory_reserved != reserved:
        yield f"the host expects {picture.host.memory_reserved} bytes, its clients on their way in need {reserved}"


def charge(client: ClientRow, reserve: int, thin: Set[str]) -> int:
    """Bytes a client counts for: what it uses, and at least the reserve until its first turn is over. One that was
    woken (`thin`) counts for what it used before it slept, until its next turn is over."""
    if client.state is SlotState.DORMANT and client.memory_bytes:
        return client.memory_bytes
    size = max(client.memory_bytes, client.awake_bytes) if client.id in thin else client.memory_bytes
    return size if size > 0 and client.turns > 0 else max(size, reserve)


def breaches_of_waking(stage: Stage, picture: Snapshot, slot: Slot) -> Iterator[str]:
    """One that sleeps is being woken: no more wake than may, and there is memory for it, unless all others sleep."""
    waking = [client for client in picture.clients if client.state is SlotState.WAKING]
    if len(waking) >= stage.supervisor.settings.connect_limit:
        yield f"{slot!r} is woken, and {waking} wake"
    reserves = {one.name: one.memory_reserve for one in picture.instances}
    used = {client.id: charge(client, reserves[client.instance], stage.thin) for client in picture.clients}
    mine = next(client for client in picture.clients if client.id == slot.id)
    target = max(mine.awake_bytes, 0 if mine.turns else reserves[mine.instance])
    after = sum(used.values()) - used[slot.id] + max(used[slot.id], target)
    if after > picture.host.memory_budget and any(one.state is not SlotState.DORMANT for one in picture.clients):
        yield f"{slot!r} is woken beyond the host's memory: {after} of {picture.host.memory_budget}"


def breaches_of_opening(stage: Stage, picture: Snapshot, instance: str, max_agents: int) -> Iterator[str]:
    """One more client of that instance is being opened: by count and by bytes there is room for it."""
    row = next(one for one in picture.instances if one.name == instance)
    own = _clients_of(instance, picture)
    if row.state not in (InstanceState.RUNNING, InstanceState.DRAINING):
        yield f"{instance} opens a client and is {row.state}"
    if len(own) >= row.pool.max_clients:
        yield f"{instance} opens a client and has {len(own)} of {row.pool.max_clients}"
    if len(picture.clients) >= max_agents:
        yield f"{instance} opens a client on a host that has {len(picture.clients)} of {max_agents}"
    reserves = {one.name: one.memory_reserve for one in picture.instances}
    used = {client.id: charge(client, reserves[client.instance], stage.thin) for client in picture.clients}
    host, mine = sum(used.values()), sum(used[client.id] for client in own)
    if used and host + row.memory_reserve > picture.host.memory_budget:
        yield f"{instance} opens a client beyond the host's memory: {host} bytes of {picture.host.memory_budget}"
    if own and row.memory_budget is not None and mine + row.memory_reserve > row.memory_budget:
        yield f"{instance} opens a client beyond its memory: {mine} bytes of {row.memory_budget}"


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


def breaches_at_rest(stage: Stage, book: Book, picture: Snapshot) -> Iterator[str]:
    """When nothing more can happen until somebody does something or time passes."""
    ids = {row.id: row.state for row in picture.clients}
    for one in stage.live:
        if ids.get(one.launch.client_id) in (None, *_COMING):
            yield f"{one!r} is connected and counted as {ids.get(one.launch.client_id)}"
        state = ids.get(one.launch.client_id)
        is_known = one.is_stuck_asleep or state is SlotState.CLOSING
        if one.is_asleep != (state is SlotState.DORMANT) and not is_known:
            yield f"{one!r} is {'asleep' if one.is_asleep else 'awake'} and counted as {state}"
    yield from _breaches_of_sessions(book, picture)
    yield from _breaches_of_counts(book, picture)
    yield from _breaches_of_questions(stage, book, picture)
    yield from _breaches_of_promises(stage, book)
    yield from breaches_of_order(stage, book, picture)


def _breaches_of_sessions(book: Book, picture: Snapshot) -> Iterator[str]:
    rows = {row.key: row for row in picture.sessions}
    if rows.keys() != book.sessions:
        yield f"sessions on the books and not as told: {rows.keys() ^ book.sessions}"
    busy = {key for key, queue in book.waiting.items() if queue} | book.running.keys()
    for key in busy - rows.keys():
        yield f"{key} has turns and no row"
    for key, row in rows.items():
        running, queue = book.running.get(key), book.waiting.get(key, [])
        if row.turn_id != (running.turn_id if running else ""):
            yield f"{key} shows {row.turn_id!r} as running: {running!r}"
        if [one.turn_id for one in row.waiting] != [one.turn_id for one in queue][:SHOWN_WAITING]:
            yield f"{key} shows {row.waiting} as waiting: {queue}"
        if (row.why is None) != (not queue):
            yield f"{key} waits because of {row.why} with {len(queue)} turns waiting"
        if row.turns != book.ended_turns[key]:
            yield f"{key} counts {row.turns} turns, {book.ended_turns[key]} have ended"
        if running is not None and row.state not in (SessionState.WORKING, SessionState.ASKING, SessionState.STALLED):
            yield f"{key} is {row.state} and runs {running!r}"
        if running is not None and queue and row.why not in (WhyWaiting.SESSION_BUSY, WhyWaiting.QUESTION):
            yield f"{key} runs a turn and its next one waits because of {row.why}"
        # While its replay is not recorded yet, an offer is neither open nor settled; also when that is withdrawn.
        withdrawn = (one for one in book.entries.values() if one.key == key and one.ticket and not one.is_accepted)
        is_between = any(one.replays and not one.is_queued and one.error is None for one in (*queue, *withdrawn))
        if not is_between and (row.offer.turn_id if row.offer else None) != book.offers.get(key):
            yield f"{key} offers {row.offer}, it should be turn {book.offers.get(key)}"


def _breaches_of_counts(book: Book, picture: Snapshot) -> Iterator[str]:
    for row in picture.instances:
        states = [session.state for session in picture.sessions if session.key.instance == row.name]
        if row.failed != states.count(SessionState.FAILED):
            yield f"{row.name} counts {row.failed} failed sessions: {states}"
        mine = [session.key for session in picture.sessions if session.key.instance == row.name]
        if row.sessions != len(mine):
            yield f"{row.name} counts {row.sessions} sessions of {len(mine)}"
        if row.waiting != sum(len(book.waiting.get(key, [])) for key in mine):
            yield f"{row.name} counts {row.waiting} waiting turns"
        if row.active_sessions != sum(key in book.running for key in mine):
            yield f"{row.name} counts {row.active_sessions} running turns"
        if row.pool.hot + row.pool.woken + row.pool.adopted + row.pool.cold != book.started[row.name]:
            yield f"{row.name}: its turns by how they got a client are not those that began: {row.pool}, {book.started}"
        # A turn is over at its Result, and its client busy until the idle sign after it.
        resting = [one for one in picture.clients if one.state is SlotState.BUSY and one.key not in book.running]
        resting = [one for one in resting if one.instance == row.name and one.key and book.ended_turns[one.key]]
        if row.pool.busy + row.pool.asking > row.active_sessions + len(resting):
            yield f"{row.name} has more clients at work than turns: {row.pool}"


def _breaches_of_questions(stage: Stage, book: Book, picture: Snapshot) -> Iterator[str]:
    shown = {question.id for question in picture.questions}
    if shown != book.questions.keys():
        yield f"open questions and not as told: {shown ^ book.questions.keys()}"
    if shown != {question for row in picture.sessions for question in row.questions}:
        yield "the sessions' questions are not the open ones"
    running = {row.turn_id for row in picture.sessions}
    # A process that is on its way out, and hangs, asks until it has gone.
    leaving = {client.id for client in picture.clients if client.state is SlotState.CLOSING}
    heard = [one for one in stage.live if one.launch.client_id not in leaving]
    attended = [one for one in picture.questions if one.turn_id in running and one.client_id not in leaving]
    if len(attended) != (asked := sum(one.questions for one in heard)):
        yield f"{len(attended)} questions of running turns are open, agents ask {asked}"
    asking = {question.client_id for question in attended}
    for client in picture.clients:
        if (client.state is SlotState.ASKING) and client.id not in asking:
            yield f"{client.id} is asking, and no question of it is open"
        if client.state is SlotState.BUSY and client.id in asking:
            yield f"{client.id} is busy, and a question of it is open"


def _breaches_of_promises(stage: Stage, book: Book) -> Iterator[str]:
    """Whoever holds a ticket is told what the feed tells, as soon as it is written."""
    for entry in book.entries.values():
        if entry.ticket is None:
            continue
        if entry.is_refused and entry.error is None:
            yield f"{entry} is not in its queue any more, and its caller was not told"
        if stage.is_written and entry.is_open and not entry.is_accepted:
            yield f"{entry} is recorded, and its caller was not told"
        if entry.told is not None and entry.told != entry.outcome:
            yield f"{entry}: its caller was told {entry.told}, the feed {entry.outcome}"
        if stage.is_written and entry.outcome is not None and entry.told is None and entry.error is None:
            yield f"{entry} ended as {entry.outcome}, and its caller was not told"


def _clients_of(instance: str, picture: Snapshot) -> list[ClientRow]:
    return [client for client in picture.clients if client.instance == instance]
