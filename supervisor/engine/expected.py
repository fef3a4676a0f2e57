"""The rows of an engine that is not open yet, from templates and settings alone: a screen can be drawn from them while
the engine is imported and opened. This module imports nothing of the engine."""

from __future__ import annotations

import time
from collections.abc import Iterable

from supervisor._version import __version__
from supervisor.api.client_limit import ClientLimit
from supervisor.api.snapshot import HostRow, InstanceRow, PoolStatistics, Snapshot
from supervisor.api.states import InstanceState
from supervisor.config.limits import SHORT_IDLE
from supervisor.config.settings import Settings, find_agent_ttl
from supervisor.config.template import NOT_STARTED, RESUME_STARTS, Template


def expect_rows(
    templates: Iterable[Template], settings: Settings, *, endpoint: str, left_out: Iterable[str] = ()
) -> Snapshot:
    """As `Supervisor(templates, settings, …).snapshot()` before it runs, without what that has measured or compiled:
    memory and swap of the host, memory of this process, caches, walls, the folder of transcripts, and what one more
    client is expected to need."""
    return Snapshot(
        host=HostRow(
            version=__version__,
            rehearsal=settings.rehearsal,
            endpoint=endpoint,
            started_at=time.time(),
            memory_bytes=0,
            memory_budget=settings.memory_budget,
            supervisor_bytes=0,
            memory_available=0,
            left_out=tuple(left_out),
            state_dir=str(settings.state_dir),
            drain_deadline=settings.drain_deadline,
            max_agents=settings.max_agents,
            agent_ttl=find_agent_ttl(settings, SHORT_IDLE),
        ),
        instances=tuple(map(_expect_instance, templates)),
        sessions=(),
        clients=(),
        questions=(),
    )


def _expect_instance(template: Template) -> InstanceRow:
    starts = template.auto_start
    return InstanceRow(
        name=template.name,
        description=template.description,
        archetype=template.archetype,
        state=InstanceState.RUNNING if starts else InstanceState.STOPPED,
        note="" if starts else NOT_STARTED,
        pool=PoolStatistics(max_clients=template.client_limit),
        max_sessions=template.concurrency.max_sessions,
        sessions=0,
        active_sessions=0,
        waiting=0,
        oldest_waiting_at=None,
        waiting_trend=(),
        memory_bytes=0,
        first_token_p50=None,
        questions=0,
        failed=0,
        memory_budget=template.pool.memory_budget,
        resume_does="" if starts else RESUME_STARTS,
        client_limit=ClientLimit(extra=template.clients_beyond_turns),
    )
