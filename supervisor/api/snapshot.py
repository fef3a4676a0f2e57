"""Frozen pictures of the engine: what every reader gets, built from live objects in one synchronous step."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from msgspec import Struct

from supervisor.api.caches import CacheStatistics
from supervisor.api.client_limit import AS_MANY_AS_TURNS, ClientLimit
from supervisor.api.keys import SessionKey
from supervisor.api.outcomes import FailureKind, Usage
from supervisor.api.prompts import Source
from supervisor.api.questions import Question
from supervisor.api.states import (
    Archetype,
    InstanceState,
    MemoryLevel,
    Server,
    SessionState,
    SlotState,
    WhyAwake,
    WhyWaiting,
)
from supervisor.api.turns import Offer


class DiskUse(Struct, frozen=True, gc=False):
    """What bullpen uses of the disk, in bytes, as last measured."""

    total: int = 0
    """The state directory with everything in it, and conversations that the CLI keeps elsewhere."""
    journal: int = 0
    workspaces: int = 0
    conversations: int = 0
    """Transcripts, and what the CLI keeps beside them."""
    free: int = 0
    """On the disk of the state directory."""
    of_session: Mapping[str, int] = MappingProxyType({})
    """Workspace and conversation, by the conversation's id."""


class Limit(Struct, frozen=True, gc=False):
    """A limit that is reached, for which turns wait. `str()` is how people read it."""

    setting: str
    """`maxSessions` counts turns; `maxClients` counts clients of the instance, `max_agents` those of all instances."""
    used: int
    most: int

    def __str__(self) -> str:
        if self.setting == "maxSessions":
            return f"{self.used} of {self.most} {'turn runs' if self.most == 1 else 'turns run'} (maxSessions)"
        whose = " of all instances" if self.setting == "max_agents" else ""
        clients = "client is" if self.most == 1 else "clients are"
        return f"{self.used} of {self.most} {clients} taken{whose} ({self.setting})"


class WaitingTurn(Struct, frozen=True, gc=False):
    """A prompt that has not begun."""

    turn_id: str
    text: str
    """The first line of the prompt."""
    source: Source
    queued_at: float
    """Unix seconds."""
    why: WhyWaiting
    position: int
    """1 is next, within its session."""
    place: int | None = None
    """1 is next in the whole instance. Only the first of a session that nothing but the pool holds up has one."""


class SessionRow(Struct, frozen=True, gc=False):
    """One conversation of one user."""

    key: SessionKey
    state: SessionState
    why: WhyWaiting | None
    """Why its first waiting turn waits; None when nothing waits."""
    waiting: tuple[WaitingTurn, ...]
    turn_id: str
    """The running turn; empty when none runs."""
    turn_started_at: float | None
    turns: int
    """Turns that have ended, whatever their outcome."""
    usage: Usage
    memory_bytes: int
    """Bytes of its client's process tree; 0 when hibernated."""
    created_at: float
    last_activity_at: float
    client_id: str
    """Empty when it has no client."""
    session_uuid: str
    """Claude Code's id of the conversation; empty before the first turn."""
    questions: tuple[str, ...]
    """Ids of its open questions."""
    note: str
    """The last failure or notice, one line; empty when all is well."""
    about: str = ""
    """The first words of the latest prompt that began."""
    latest: str = ""
    """The newest line of the reply to it."""
    offer: Offer | None = None
    """A turn that was running when bullpen died, until an operator decides (`Engine.replay`, `Engine.drop_offer`)."""
    disk_bytes: int = 0
    """Its workspace and its conversation, as last measured."""
    silent_since: float | None = None
    """Unix seconds: the last sign of life of a turn that is shown as stalled."""
    context_share: float | None = None
    """How much of the model's context the conversation fills, from 0 to 1; None while that is not known."""
    awaited_servers: tuple[str, ...] = ()
    """Names of MCP servers that its turn, or the start of its client, waits for: up to 30 s."""
    is_self_begun: bool = False
    """The running turn was begun by the agent itself, without a prompt."""
    workspace: str = ""
    """Absolute path of the directory its tools work in; empty before its first client."""
    provider: str = ""
    """The provider that the client was started for; empty without a client."""
    model: str = ""
    """The model that the client was started for; empty for the template's."""
    client_end: str = ""
    """Why its last client ended, in the words of the event; empty before one has since bullpen started."""
    client_ended_at: float | None = None
    """Unix seconds, of the same."""
    ends_with_turn: bool = False
    """It was made for one call: when no turn of it runs or waits any more it is closed, and nothing of it is kept."""

    @property
    def stoppable(self) -> str:
        """Id of the turn that a stop means: the one that runs, else the next that waits; empty when there is none."""
        return self.turn_id or (self.waiting[0].turn_id if self.waiting else "")


class ClientRow(Struct, frozen=True, gc=False):
    """One Claude Code process, with those that it has started."""

    id: str
    """`helpdesk-3`: the instance and a number never used again."""
    instance: str
    pid: int
    """0 before the process runs."""
    state: SlotState
    key: SessionKey | None
    """None for a spare."""
    memory_bytes: int
    """The whole process tree: PSS where the system gives it, else RSS."""
    memory_trend: tuple[int, ...]
    """Recent samples in bytes, oldest first, at most 30."""
    processes: int
    """Processes in its tree."""
    cpu_percent: float
    """Of one core, over the last sampling interval, whole tree."""
    started_at: float
    turns: int
    last_event_at: float
    tool: str
    """The tool in flight; empty when none."""
    tool_started_at: float | None
    note: str
    """While CLOSING: the step of the ladder it is on."""
    memory_level: MemoryLevel = MemoryLevel.NORMAL
    memory_growth: int = 0
    """Bytes a minute over the samples of `memory_trend`."""
    servers: tuple[Server, ...] = ()
    """Its MCP servers, as they were seen last."""
    provider: str = ""
    """The provider that the client was started for."""
    model: str = ""
    """The model that the client was started for; empty for the template's."""
    is_outdated: bool = False
    """The client runs an earlier version of its template, until its next idle boundary."""
    dormant_since: float | None = None
    """Unix seconds; None while it is not dormant."""
    swap_bytes: int = 0
    """Bytes that its process tree has in swap, as last measured."""
    awake_bytes: int = 0
    """What it used when it was put to sleep last; 0 when it never was."""
    wake_seconds: float | None = None
    """Seconds from being woken to its first sign of life, the last time; None when it was never woken."""
    why_awake: WhyAwake | None = None
    """Why it is not put to sleep while it is idle; None when nothing keeps it awake, or it is not idle."""
    peak_bytes: int = 0
    """The most that was charged to its control group at once: pages of files count too, what is in swap does not. 0
    where clients have no group of their own, or the controller of memory is not on cgroup v2."""
    pressure: float | None = None
    """Percent of the last ten seconds in which some process of its control group waited for memory; None without one.
    """


class PoolStatistics(Struct, frozen=True, gc=False):
    """`repr()` of a pool states these."""

    reserved: int = 0
    starting: int = 0
    spare: int = 0
    idle: int = 0
    """Clients of a session that are connected, and neither run a turn nor sleep."""
    busy: int = 0
    asking: int = 0
    closing: int = 0
    dormant: int = 0
    """Asleep, spares included."""
    waking: int = 0
    max_clients: int = 0
    hot: int = 0
    """Turns that began on their session's own warm client."""
    adopted: int = 0
    """Turns that began on a spare."""
    cold: int = 0
    """Turns that had to wait for a process to start."""
    woken: int = 0
    """Turns that woke their session's own client."""
    evictions: int = 0
    crashes: int = 0
    failures: tuple[tuple[FailureKind, int], ...] = ()
    """Clients that ended badly, by kind; the kinds that occurred, the most frequent first."""
    wait_p50: float | None = None
    """Seconds from submit to start, of the last 100 turns; None before the first."""
    wait_p95: float | None = None
    start_p50: float | None = None
    """Seconds from reserving a client to its being connected, of the last 100 starts."""
    start_p95: float | None = None

    @property
    def total(self) -> int:
        awake = self.reserved + self.starting + self.spare + self.idle + self.busy + self.asking + self.closing
        return awake + self.dormant + self.waking

    @property
    def active(self) -> int:
        """Clients that run a turn, or are being woken."""
        return self.busy + self.asking + self.waking

    @property
    def hit_rate(self) -> float | None:
        """Share of turns that began on a process that was there, asleep or not; None before the first."""
        warm = self.hot + self.adopted + self.woken
        return warm / (warm + self.cold) if warm + self.cold else None


class InstanceRow(Struct, frozen=True, gc=False):
    """One instance: its state, limits, queue and clients."""

    name: str
    description: str
    archetype: Archetype
    state: InstanceState
    note: str
    """What holds up a drain, or why the instance is parked; empty otherwise."""
    pool: PoolStatistics
    max_sessions: int
    """Turns in parallel, at most."""
    sessions: int
    active_sessions: int
    """Sessions with a turn running now (derived, never stored)."""
    waiting: int
    """Turns queued."""
    oldest_waiting_at: float | None
    """Unix seconds: since when the oldest of them waits; None without one."""
    waiting_trend: tuple[int, ...]
    """Queue depth once a second, oldest first, at most 60."""
    memory_bytes: int
    first_token_p50: float | None
    """Seconds from start of the turn to the first text, median of the last 100 turns."""
    questions: int
    failed: int
    """Sessions in the state FAILED: the last turn failed, or was refused after it had waited for too long, and none of
    theirs waits or runs since."""
    offers: int = 0
    """Sessions with an interrupted turn that waits for a decision."""
    stalled: int = 0
    """Sessions whose running turn is shown as stalled."""
    parked_for: FailureKind | None = None
    """Why the pool has stopped itself; None when it has not."""
    walls: tuple[str, ...] = ()
    """What its clients cannot reach, in words: a line for each wall."""
    parked_until: float | None = None
    """Unix seconds: when it tries again by itself, with one turn first."""
    memory_budget: int | None = None
    """Bytes all clients of this instance may use; None when only the host's budget counts."""
    memory_reserve: int = 0
    """Bytes one more client is expected to need: the measured 95th percentile of this template."""
    version: int = 1
    """Version of its template: 1, and one more for each change since bullpen started to what clients are started
    with."""
    outdated: int = 0
    """Drift: clients that still run an earlier version."""
    rolled: int = 0
    """How many of the clients that the last change has to replace (`to_roll`) have been replaced."""
    to_roll: int = 0
    template_mistake: str = ""
    """What is wrong with its file as it was saved last, with file and line: the version before goes on."""
    is_removed: bool = False
    """Its template is not in the folder any more: it drains, and is gone when it is empty."""
    resume_does: str = ""
    """What the verb `resume` does to it now that it is closed: `opens it again`, `starts it`. Empty where it is open,
    and where its template was removed."""
    limit: Limit | None = None
    """Why the next of its turns finds no place (`WhyWaiting.NO_SLOT`); None when no limit keeps it."""
    refused: int = 0
    """Prompts that found no room since bullpen started: the queue was full, or they waited longer than `maxWait`."""
    refused_at: float | None = None
    """Unix seconds, of the last of them; None when there was none."""
    client_limit: ClientLimit = AS_MANY_AS_TURNS
    """What `pool.max_clients` becomes when `scale` changes `max_sessions`."""


class HostRow(Struct, frozen=True, gc=False):
    """Figures of the host, which all instances share."""

    version: str
    rehearsal: bool
    endpoint: str
    """`rehearsal`, or the host name the clients talk to."""
    started_at: float
    memory_bytes: int
    """Bytes of all clients."""
    memory_budget: int
    supervisor_bytes: int
    """Resident memory of this process."""
    memory_available: int
    """Bytes that the host has available."""
    memory_reserved: int = 0
    """Bytes that clients on their way in are expected to need."""
    journal_failing: str = ""
    """Why the journal cannot be written, in words; empty when it can."""
    disk: DiskUse | None = None
    """Use of the disk, as last measured; None before that."""
    disk_measured_at: float | None = None
    """Unix seconds."""
    today: Usage = Usage()
    """What all turns have used that ended since midnight, local time."""
    not_removed: tuple[str, ...] = ()
    """Files of ended sessions that could not be removed when it was last tried, each with the reason."""
    left_out: tuple[str, ...] = ()
    """Mistakes in the files of templates that do not run, each with file and line."""
    caches: tuple[CacheStatistics, ...] = ()
    """What is prepared once and used again: contexts, tool lists."""
    state_dir: str = ""
    """Absolute path: journal, workspaces and logs lie below it."""
    transcripts_dir: str = ""
    """Absolute path: the CLI keeps its transcripts below it, one `SESSION_UUID.jsonl` for each session."""
    drain_deadline: float = 30.0
    """Seconds that a drain lets turns run before it interrupts them."""
    max_agents: int = 100
    """Clients there may be at most, over all instances."""
    agent_ttl: float = 3600.0
    """Seconds that any client may be idle."""
    dormant: int = 0
    """Clients that sleep, over all instances."""
    swap_bytes: int = 0
    """Bytes that clients have in swap."""
    swap_budget: int = 0
    """Bytes that clients may have in swap; above it those that have slept longest are ended. 0 without swap."""
    door: str = ""
    """Where other programs reach bullpen: socket and address; or why they do not. Empty before it is tried."""


class Snapshot(Struct, frozen=True, gc=False):
    """Everything at one moment."""

    host: HostRow
    instances: tuple[InstanceRow, ...]
    sessions: tuple[SessionRow, ...]
    clients: tuple[ClientRow, ...]
    questions: tuple[Question, ...]
    """Oldest first."""
