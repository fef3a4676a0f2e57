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
from supervisor.settings import Settings


@dataclass(slots=True)
class House:
    """What an instance shares with all others. Only `settings` is ever replaced: limits change while it runs."""

    feed: Feed
    desk: QuestionDesk
    clock: Clock
    settings: Settings
    starts: anyio.CapacityLimiter
    """How many processes may be starting at once: about the core count."""
    room: HostRoom
    mark: str
    """Tells this supervisor's processes from those of any other on the machine."""
    workspaces: Path
    spawn: Callable[[Client], None]
    """Runs a client's task."""

    @property
    def deadlines(self) -> Deadlines:
        """Of a client that is started now."""
        settings = self.settings
        return Deadlines(
            connect=settings.connect_timeout,
            control=settings.control_timeout,
            health=settings.health_interval,
            kill=settings.kill_grace,
        )
