"""The configurations that examples are played in."""

from __future__ import annotations

from hypothesis import strategies as st
from msgspec import Struct

from supervisor.config.templates import Template
from tests.engine.model.stage import Bullpen

INSTANCES = ("desk", "clerk", "lookup")
"""A service for many callers, an employee, and a tool."""
USERS = ("ana", "boris", "chen")
MIB = 1024**2
EXPECTED_BYTES = 100 * MIB
"""What a client is expected to use, and does at first."""
PANIC_BYTES = 600 * MIB


class Figures(Struct, frozen=True):
    """What differs from one example to the next."""

    sessions: int
    """Turns in parallel at the desk; `more` clients than that, or, with None, as many as the host decides."""
    more: int | None
    spares: int
    min_clients: int
    asking_ttl: str | int
    desk_budget: str
    stall_timeout: str | int
    max_agents: int
    connect_limit: int
    memory_budget: str
    dormant_after: str | float = "none"


def make_bullpen(figures: Figures) -> Bullpen:
    pool: dict[str, object] = {"idle_ttl": 60, "soft_memory": 200 * MIB, "hard_memory": 400 * MIB}
    pool |= {"panic_memory": PANIC_BYTES, "asking_ttl": figures.asking_ttl, "dormant_after": figures.dormant_after}
    desk = {
        "concurrency": {"maxSessions": figures.sessions},
        "pool": pool
        | ({} if figures.more is None else {"maxClients": figures.sessions + figures.more})
        | {
            "spares": figures.spares,
            "minClients": figures.min_clients,
            "memoryBudget": figures.desk_budget,
        },
        "queue": {"maxWaiting": 12, "maxWaitingPerSession": 6},
        "session_ttl": 900,
        "question_ttl": 200,
        "stall_timeout": figures.stall_timeout,
    }
    templates = (
        make_template("desk", **desk),
        make_template("clerk", archetype="employee", pool=pool, session_ttl=900, on_restart="replay"),
        make_template("lookup", archetype="tool", pool=pool, session_ttl=900, on_restart="drop"),
    )
    limits: dict[str, object] = {
        "max_agents": figures.max_agents,
        "connect_limit": figures.connect_limit,
        "memory_budget": figures.memory_budget,
        "cleanup_interval": 5,
        "memory_interval": 0.5,
    }
    return Bullpen(templates, limits)


BULLPENS = st.builds(
    Figures,
    sessions=st.integers(1, 3),
    more=st.sampled_from([0, 1, None]),
    spares=st.integers(0, 1),
    min_clients=st.integers(0, 1),
    asking_ttl=st.sampled_from(["none", 5]),
    desk_budget=st.sampled_from(["none", "300MiB"]),
    stall_timeout=st.sampled_from(["none", 50]),
    max_agents=st.integers(2, 7),
    connect_limit=st.integers(1, 3),
    memory_budget=st.sampled_from(["300MiB", "500MiB", "2GiB"]),
    dormant_after=st.sampled_from(["none", 0.3, 0.3, 2.0]),
)


def make_template(name: str, **keys: object) -> Template:
    return Template.model_validate({"name": name, "description": "a model", "system_prompt": "Help."} | keys)
