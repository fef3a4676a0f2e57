"""What all instances of one supervisor share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import anyio

from supervisor.admission import HostRoom
from supervisor.client import Client, Deadlines
from supervisor.clock import Clock
from supervisor.feed import Feed
from supervisor.permissions import QuestionDesk


@dataclass(frozen=True, slots=True)
class House:
    """What an instance shares with all others."""

    feed: Feed
    desk: QuestionDesk
    clock: Clock
    deadlines: Deadlines
    starts: anyio.CapacityLimiter
    """How many processes may be starting at once: about the core count."""
    room: HostRoom
    agent_ttl: float
    """Seconds any client may be idle, whatever its template says."""
    mark: str
    """Tells this supervisor's processes from those of any other on the machine."""
    workspaces: Path
    spawn: Callable[[Client], None]
    """Runs a client's task."""
