"""How much and how long: the limits of an instance, as files spell them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from supervisor.config.budgets import TemplateBudget
from supervisor.config.byte_sizes import Memory
from supervisor.config.durations import IdleTtl, Limit, PositiveLimit, PositiveSeconds
from supervisor.config.field_types import Count, PositiveCount
from supervisor.config.validation import section, spelled

SHORT_IDLE, LONG_IDLE = 900.0, 4 * 3600.0
"""Seconds that a client may be idle where no template says it: where it uses its memory all the while, and where it
sleeps."""
WORKSPACE_TTL = 7 * 86400.0
"""Seconds that the working directory of a session outlives it unless told otherwise."""


class Keys(BaseModel):
    """Files spell keys in camelCase, Python in snake_case. What is not a key is refused."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        extra="forbid",
        frozen=True,
        field_title_generator=lambda name, _: to_camel(name),
        defer_build=True,  # built with what holds them, and else when they are first validated
    )


class Concurrency(Keys):
    max_sessions: PositiveCount = Field(
        default=1, description="Turns that may run in parallel, each in a session of its own."
    )


class PoolLimits(Keys):
    min_clients: Count = Field(default=0, description="Clients kept running even when there is nothing to do.")
    max_clients: PositiveCount | None = Field(
        default=None,
        description="Clients there may be at most, busy, idle or asleep. Default: `concurrency.maxSessions`; for a "
        "service `max_agents` where the host takes back the memory of clients that sleep.",
    )
    spares: Count | None = Field(
        default=None,
        description="Connected clients kept unused for sessions to come. "
        "Default: 1 for a service that may have more than one client, else 0.",
    )
    dormant_after: Limit = Field(
        default=60,
        description="How long a client may be idle before it sleeps, or `none`: its processes are stopped and their "
        "memory is handed back, until its next prompt wakes it.",
    )
    idle_ttl: IdleTtl = Field(
        default=None,
        description="How long a client may be idle, asleep or not, before it is hibernated; its session stays "
        "resumable. Default: 4h where the host takes back the memory of clients that sleep, else 15m.",
    )
    asking_ttl: Limit = Field(
        default=300,
        description="How long a client may wait for a human answer while other turns wait for a place, or `none`; then "
        "its process ends, and the question stays answerable.",
    )
    memory_budget: Memory = Field(
        default=None, description="Memory all clients of this instance together may use. Default: `none`."
    )
    soft_memory: Memory = Field(
        default=1024**3,
        description="A client's process tree above this gets no new turn, or `none`: its session's next turn starts a "
        "fresh process.",
    )
    hard_memory: Memory = Field(
        default=2 * 1024**3, description="A client's process tree above this is ended after its turn, or `none`."
    )
    panic_memory: Memory = Field(
        default=4 * 1024**3,
        description="A client's process tree above this is ended at once, or `none`; its turn fails as out-of-memory.",
    )


class QueueLimits(Keys):
    max_waiting: Count = Field(default=100, description="Turns that may wait in the whole instance.")
    max_waiting_per_session: Count = Field(default=20, description="Turns that may wait in one session.")
    max_per_user: Count = Field(default=50, description="Turns of one user that may wait and run in the instance.")
    max_wait: Limit = Field(
        default=None,
        description="How long a turn may wait for a place before it is refused, or `none`. "
        "Default: 30s for tool and service, `none` for employee.",
    )


class Limits(Keys):
    """How much and how long: the keys of a template that a host may change for its own."""

    concurrency: Concurrency = Field(
        default_factory=Concurrency.model_construct, description="How much runs at the same time."
    )
    pool: PoolLimits = Field(default_factory=PoolLimits.model_construct, description="The clients behind the instance.")
    queue: QueueLimits = Field(
        default_factory=QueueLimits.model_construct, description="What may wait, and for how long."
    )
    budget: TemplateBudget = Field(
        default_factory=TemplateBudget.model_construct, description="What all its turns together may cost in a day."
    )
    question_ttl: PositiveSeconds = Field(
        default=3600, description="How long an agent's question waits for an answer before it expires."
    )
    stall_timeout: PositiveLimit = Field(
        default=None, description="A turn that gives no sign of life for this long is stopped. Default: `none`."
    )
    turn_timeout: PositiveLimit = Field(
        default=None,
        description="How long a turn may run, or `none`. Default: 5m for tool, 10m for employee, `none` for service.",
    )
    session_ttl: PositiveSeconds = Field(
        default=7 * 86400, description="How long a session may go unused before it is forgotten."
    )
    workspace_ttl: Limit = Field(
        default=WORKSPACE_TTL,
        description="How long the working directory of a session that was closed or forgotten is kept, or `none`. Its "
        "conversation is removed at once, and a call that leaves nothing behind leaves no directory either.",
    )
    on_restart: Literal["ask", "replay", "drop"] = Field(
        default="ask", description="What becomes of turns that were running when the supervisor died."
    )


def _locations() -> Iterator[tuple[str, ...]]:
    for name in Limits.model_fields:
        inner = section(Limits, name)
        keys = [(spelled(one, inner),) for one in inner.model_fields] if inner else [()]
        yield from ((spelled(name, Limits), *key) for key in keys)


LIMITS = tuple(_locations())
"""Every limit as files spell it: (`pool`, `idleTtl`), (`questionTtl`,) and so on."""
