"""One place in a pool, and the rules of its life."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sized
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from supervisor.api.keys import SessionKey
from supervisor.api.prompts import Choice
from supervisor.api.states import MemoryLevel, Server, ServerState, SlotState

if TYPE_CHECKING:
    from supervisor.process.client import Client
    from supervisor.process.process_tree import TreeUsage

MEMORY_SAMPLES = 30
"""Samples kept for the small trend on screen."""
BACK = 60.0
"""Seconds after which a client that was woken has taken back what it needs for a turn."""

_ALLOWED: dict[SlotState, frozenset[SlotState]] = {
    SlotState.RESERVED: frozenset({SlotState.STARTING, SlotState.CLOSING}),
    SlotState.STARTING: frozenset({SlotState.READY, SlotState.CLOSING}),
    SlotState.READY: frozenset({SlotState.BUSY, SlotState.DORMANT, SlotState.CLOSING}),
    SlotState.DORMANT: frozenset({SlotState.WAKING, SlotState.CLOSING}),
    SlotState.WAKING: frozenset({SlotState.READY, SlotState.BUSY, SlotState.CLOSING}),
    SlotState.BUSY: frozenset({SlotState.READY, SlotState.ASKING, SlotState.CLOSING}),
    SlotState.ASKING: frozenset({SlotState.BUSY, SlotState.READY, SlotState.CLOSING}),
    SlotState.CLOSING: frozenset({SlotState.GONE}),
    SlotState.GONE: frozenset(),
}


class Occupant(Protocol):
    """What a place needs to know of the session that holds it."""

    @property
    def key(self) -> SessionKey: ...

    @property
    def running(self) -> object | None:
        """The session's turn that runs, or is on its way to the process; None without."""

    @property
    def mailbox(self) -> Sized:
        """The session's turns that wait."""


OccupantT = TypeVar("OccupantT", bound=Occupant)


class _Told:
    """An attribute of a place whose every new value is told (`Place.on_change`). Reading it costs what reading any
    other costs: a descriptor that only sets leaves the value where Python looks for it."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __set__(self, place: Place[Any], value: object) -> None:
        values = vars(place)
        if values.get(self._name, self) is not value:
            values[self._name] = value
            place.tell_change()


def _told() -> Any:
    return _Told()


class Place(Generic[OccupantT]):
    """Belongs to one session from its first prompt to its end; to none while it is a spare.

    The session id (`uuid`) and the workspace are the slot's from birth: a new session that takes a spare adopts both.
    """

    session: OccupantT | None = _told()
    """None while it is a spare."""
    is_stale: bool = _told()
    """Started with other options than are wanted of it by now, as last judged (`Clients.judge`): no turn begins on it
    any more."""
    memory_level: MemoryLevel = _told()
    """As last measured (`MemoryCeilings.judge`)."""
    turns: int = _told()
    """Turns that have ended on this client. One whose prompt was never written to it does not count."""
    awake_bytes: int = _told()
    """What it measured when it was put to sleep last; 0 when it never was."""
    swap_bytes: int = _told()
    """Of its process tree, as last measured."""
    is_thin: bool = _told()
    """It has slept since its last turn: it measures less than it will need for the next one."""
    is_falling_asleep: bool = _told()
    """DORMANT, and its memory has not been handed back yet."""

    def __init__(self, slot_id: str, uuid: str, workspace: Path, digest: str, *, resume: bool, at: float) -> None:
        self.on_change: Callable[[Place[OccupantT]], None] | None = None
        """Told when anything has changed that the pool files it by, or that it is charged for."""
        self.id = slot_id
        self.uuid = uuid
        self.workspace = workspace
        self.digest = digest
        """Of the options it is started with; a spare serves only the same digest."""
        self.choice = Choice("")
        """The provider and the model that it is started for; without a provider, those of the template."""
        self.provider = ""
        """By its name."""
        self.is_stale = False
        self.resume = resume
        """Started with `resume`: the conversation exists already."""
        self.mark = ""
        """What its processes carry in their environment."""
        self.session = None
        self.client: Client[Place[OccupantT]] | None = None
        self.created_at = at
        """Unix seconds."""
        self.opened_at = 0.0
        """When the place was opened, in steady seconds."""
        self.idle_since = 0.0
        """Steady seconds: its start, or the end of its last turn."""
        self.asking_since: float | None = None
        """Steady seconds; None while it does not wait for an answer."""
        self.last_event_at = at
        self.turns = 0
        self.tool = ""
        self.tool_started_at: float | None = None
        self.memory_trend: deque[int] = deque(maxlen=MEMORY_SAMPLES)
        self.memory_level = MemoryLevel.NORMAL
        self.servers: tuple[Server, ...] = ()
        """Its MCP servers, as they were seen last."""
        self.processes = 0
        self.cpu_percent = 0.0
        self.cpu_since = -math.inf
        """Steady seconds: the beginning of the time that `cpu_percent` is the average of."""
        self.swap_bytes = 0
        self.peak_bytes = 0
        """Of its control group, as last measured; 0 without."""
        self.pressure: float | None = None
        """Percent of the last ten seconds in which its control group waited for memory; None without."""
        self.awake_bytes = 0
        self.is_thin = self.is_falling_asleep = False
        self.is_sleep_told = False
        """Whether its last sleep was published, which is done once its memory has been handed back."""
        self.is_sleepless = False
        """It must not sleep: it waits for a time of its own choice."""
        self.is_unstoppable = False
        """It could not be stopped the last time, on a host that is too busy, say: tried again after its next turn."""
        self.dormant_since: float | None = None
        """Unix seconds; None while it is not dormant."""
        self.slept_at = self.woken_at = 0.0
        """Steady seconds: when it was put to sleep last, and woken last."""
        self.wake_seconds: float | None = None
        """From being woken to its first sign of life, the last time."""
        self.is_resting = False
        """BUSY though its turn is over: the idle sign after the Result has not come."""
        self.step = ""
        """Where on the ladder it is while CLOSING."""
        self._worked_at = -math.inf
        """Steady seconds: the end of the first turn since it slept last."""
        self._measured_at: deque[float] = deque(maxlen=MEMORY_SAMPLES)
        self._state = SlotState.RESERVED

    def __repr__(self) -> str:
        return f"<Slot {self.id} {self._state} for {self.session.key if self.session else 'no session'}>"

    @property
    def instance(self) -> str:
        """Name of the instance it belongs to: its id without the number."""
        return self.id.rpartition("-")[0]

    @property
    def state(self) -> SlotState:
        return self._state

    @property
    def pid(self) -> int:
        return self.client.pid if self.client is not None else 0

    @property
    def process_started(self) -> float:
        """The start time of its process, as the system gives it; 0 before it runs."""
        return self.client.started if self.client is not None else 0.0

    @property
    def memory_bytes(self) -> int:
        return self.memory_trend[-1] if self.memory_trend else 0

    @property
    def measures_thin(self) -> bool:
        """What was measured last is less than it needs: nothing was measured since its first turn after a sleep."""
        return self.is_thin or (bool(self._measured_at) and self._measured_at[-1] <= self._worked_at)

    @property
    def unused_since(self) -> float:
        """Steady seconds of the client's last use, by which the least recently used is found. Waking it ahead of a
        prompt counts as a use."""
        return max(self.idle_since, self.woken_at)

    @property
    def memory_growth(self) -> int:
        """Growth in bytes a minute, from the first to the last sample that is kept. What a client takes back after a
        sleep is no growth: only samples from `BACK` seconds after it was woken count."""
        since = self.woken_at + BACK if self.woken_at else 0.0
        samples = [one for one in zip(self._measured_at, self.memory_trend, strict=True) if one[0] >= since]
        if self.is_dormant or len(samples) < 2:
            return 0
        (began, first), (ended, last) = samples[0], samples[-1]
        return int((last - first) / (ended - began) * 60) if ended > began else 0

    @property
    def has_worked(self) -> bool:
        """Whether the client has run, or runs, a turn: only then its memory says what a client of this kind needs."""
        return self.turns > 0 or self.is_running

    @property
    def is_outgrown(self) -> bool:
        """Above its soft ceiling: it gets no new turn. Not before it has worked: a fresh one would be no smaller."""
        return self.turns > 0 and self.memory_level is not MemoryLevel.NORMAL

    @property
    def is_overdue(self) -> bool:
        """Above its hard ceiling: it is ended as soon as it is idle."""
        return self.turns > 0 and self.memory_level in (MemoryLevel.HARD, MemoryLevel.PANIC)

    @property
    def awaited_servers(self) -> tuple[str, ...]:
        """Names of the MCP servers that are still connecting: the first turn waits for them."""
        return tuple(server.name for server in self.servers if server.state is ServerState.PENDING)

    @property
    def is_spare(self) -> bool:
        return self.session is None

    @property
    def is_coming(self) -> bool:
        """Counted, and not yet able to take a prompt."""
        return self._state in (SlotState.RESERVED, SlotState.STARTING)

    @property
    def is_ready(self) -> bool:
        return self._state is SlotState.READY

    @property
    def is_dormant(self) -> bool:
        return self._state is SlotState.DORMANT

    @property
    def is_waking(self) -> bool:
        return self._state is SlotState.WAKING

    @property
    def takes_prompts(self) -> bool:
        """The next turn may begin on it now: also on one that wakes ahead of it."""
        return self.is_ready or (self.is_waking and not self.has_turn)

    @property
    def has_turn(self) -> bool:
        """A turn of its session runs, or is on its way to the process."""
        return self.session is not None and self.session.running is not None

    @property
    def is_free(self) -> bool:
        """No turn runs on it; ready for one, asleep, or about to be."""
        return self.is_ready or self.is_resting or self.is_dormant or (self.is_waking and not self.has_turn)

    @property
    def is_running(self) -> bool:
        """A turn runs on it, or has just run: another one cannot begin yet."""
        return self._state in (SlotState.BUSY, SlotState.ASKING)

    @property
    def has_turn_to_end(self) -> bool:
        """On the way out with a turn that runs until the process has stopped."""
        return self.is_leaving and self.has_turn

    @property
    def is_leaving(self) -> bool:
        return self._state in (SlotState.CLOSING, SlotState.GONE)

    @property
    def is_evictable(self) -> bool:
        """Idle, and nothing is about to begin on it. Busy and asking ones never are (S1.14)."""
        return self.is_free and (self.session is None or len(self.session.mailbox) == 0)

    @property
    def value(self) -> tuple[bool, bool, bool, float]:
        """What is given up first is worth least: what gets no turn any more (outgrown or stale), then a spare, then one
        that sleeps, then the least recently used."""
        return (not self.is_worthless, not self.is_spare, not self.is_dormant, self.unused_since)

    @property
    def is_worthless(self) -> bool:
        """Whether the client gets no further turn: it has outgrown its ceiling, or was started with options that are
        out of date."""
        return self.is_outgrown or self.is_stale

    def note_measure(self, measure: TreeUsage, at: float) -> None:
        """Keeps what its whole tree uses. `at` in steady seconds."""
        self.note_memory(measure.memory_bytes, at)
        self.processes, self.swap_bytes = measure.processes, measure.swap_bytes
        self.peak_bytes, self.pressure = measure.peak_bytes, measure.pressure

    def note_memory(self, memory_bytes: int, at: float) -> None:
        """Keeps a measurement. `at` in steady seconds: when it began."""
        self.memory_trend.append(memory_bytes)
        self._measured_at.append(at)
        self.tell_change()

    def note_worked(self, at: float) -> None:
        """A turn of it is over: what it measures from now on is what it needs. `at` in steady seconds."""
        self.is_unstoppable = False
        if self.is_thin:
            self._worked_at = at
            self.is_thin = False

    def move(self, state: SlotState) -> None:
        if state is not self._state and state not in _ALLOWED[self._state]:
            raise AssertionError(f"{self!r} cannot become {state}")
        self._state, self.is_resting = state, False
        self.tell_change()

    def tell_change(self) -> None:
        """Tells the pool that the place has to be filed or charged anew."""
        if self.on_change is not None:
            self.on_change(self)
