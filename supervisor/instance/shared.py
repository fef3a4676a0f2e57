"""What all instances of one supervisor share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import anyio

from supervisor.api.client_limit import ClientLimit
from supervisor.api.events import Event
from supervisor.api.snapshot import DiskUse
from supervisor.api.states import Archetype
from supervisor.clock import Clock
from supervisor.config.limits import LONG_IDLE, SHORT_IDLE
from supervisor.config.providers import Providers
from supervisor.config.settings import Settings, find_agent_ttl
from supervisor.config.template import Template
from supervisor.feed import Feed
from supervisor.instance.erasing import Eraser
from supervisor.journal import Journal
from supervisor.process.client import Client
from supervisor.process.departure import ProcessDeadlines
from supervisor.process.patience import Patience
from supervisor.scheduling.admission import HostRoom
from supervisor.scheduling.provider_parks import ProviderParks
from supervisor.sessions.daily_usage import Today
from supervisor.sessions.open_questions import OpenQuestions
from supervisor.sessions.slot import Slot
from supervisor.sessions.spending import Account, Spending
from supervisor.tools.cache import Sources


@dataclass(slots=True)
class HostContext:
    """What an instance shares with all others. Only `settings` is ever replaced: limits change while it runs."""

    clock: Clock
    settings: Settings
    caches: Sources
    """What is prepared once is kept in caches that hear of changes here, and are shown and tidied together."""
    starts: anyio.CapacityLimiter
    """How many processes may be starting at once: about the core count."""
    room: HostRoom
    mark: str
    """Tells this supervisor's processes from those of any other on the machine."""
    workspaces: Path
    keeps_queue: bool
    """What waits, and what is interrupted by the end of this run, is left to the next one."""
    spawn: Callable[[Client[Slot]], None]
    """Runs a client's task."""

    feed: Feed = field(init=False)
    """Set once, before anything is opened: it shows what this context holds. The same goes for the open questions."""
    when_woken: Callable[[object], None] = lambda tenant: None
    """Told that a client of the tenant wakes no more: one of another may wake now."""
    pending_questions: OpenQuestions = field(init=False)
    eraser: Eraser = field(init=False)
    patience: Patience = field(default_factory=Patience)
    """Of all clients that end."""
    today: Today = field(default_factory=Today)
    """What all instances have used."""
    spending: Spending = field(default_factory=Spending)
    """By user, session, instance and provider, for the budgets."""
    hear: Callable[[Event], object] = lambda event: None
    """Tells hooks, and no reader of the feed, of what happened while bullpen did not run."""
    look_at_budgets: Callable[[tuple[Account, ...]], Iterable[Event]] = lambda accounts: ()
    """Which ceilings have come near since it was called last, of those whose spending has grown."""
    providers: Providers = field(init=False)
    """Set once, like the feed."""
    parks: ProviderParks = field(default_factory=ProviderParks)
    """Providers that prompts have asked for, and that take none now."""
    disk: DiskUse | None = None
    """As last measured; None before that."""
    disk_measured_at: float | None = None
    """Unix seconds."""
    log: Journal | None = None
    """While the supervisor runs."""
    hands_back: bool = False
    """The host takes back the memory of clients that sleep; known once the supervisor runs. Elsewhere they sleep as
    well, and cost no processor time."""

    @property
    def idle_ttl(self) -> float:
        """Seconds that a client may be idle where its template does not say it."""
        return LONG_IDLE if self.hands_back else SHORT_IDLE

    @property
    def agent_ttl(self) -> float:
        """Seconds that any client may be idle."""
        return find_agent_ttl(self.settings, self.idle_ttl)

    def client_limit(self, template: Template) -> ClientLimit:
        """How many clients the pool may have. A service whose clients sleep may have as many as the host, unless its
        template gives a number: sleeping clients cost nearly nothing."""
        sleeps = self.hands_back and template.pool.dormant_after is not None
        if template.pool.max_clients is None and template.archetype is Archetype.SERVICE and sleeps:
            return ClientLimit(least=self.settings.max_agents)
        return ClientLimit(extra=template.clients_beyond_turns)

    def limit_clients(self, template: Template) -> int:
        """Clients that an instance may have at most; a template may say fewer than its turns."""
        return max(template.client_limit, self.client_limit(template).least)

    @property
    def journal(self) -> Journal:
        assert self.log is not None, "the supervisor runs"
        return self.log

    @property
    def recording_fails(self) -> str:
        """Why the journal cannot be written; empty when it can, and when nothing runs that would have to be."""
        return self.log.failing if self.log is not None else ""

    @property
    def deadlines(self) -> ProcessDeadlines:
        """The time limits for a client that is started now, in seconds."""
        settings = self.settings
        return ProcessDeadlines(
            connect=settings.connect_timeout,
            control=settings.control_timeout,
            health=settings.health_interval,
            kill=settings.kill_grace,
            wake=settings.wake_timeout,
        )
