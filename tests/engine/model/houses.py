"""The configurations that examples are played in."""

from __future__ import annotations

from hypothesis import strategies as st

from supervisor.config.templates import Template
from tests.engine.model.stage import House

INSTANCES = ("desk", "clerk", "lookup")
"""A service for many callers, an employee, and a tool."""
USERS = ("ana", "boris", "chen")
MIB = 1024**2
EXPECTED_BYTES = 100 * MIB
"""What a client is expected to use, and does at first."""
PANIC_BYTES = 600 * MIB


@st.composite
def houses(draw: st.DrawFn) -> House:
    sessions = draw(st.integers(1, 3))
    pool: dict[str, object] = {"idle_ttl": 60, "soft_memory": 200 * MIB, "hard_memory": 400 * MIB}
    pool |= {"panic_memory": PANIC_BYTES, "asking_ttl": draw(st.sampled_from(["none", 5]))}
    desk = {
        "concurrency": {"maxSessions": sessions},
        "pool": pool
        | {
            "maxClients": sessions + draw(st.integers(0, 1)),
            "spares": draw(st.integers(0, 1)),
            "minClients": draw(st.integers(0, 1)),
            "memoryBudget": draw(st.sampled_from(["none", "300MiB"])),
        },
        "queue": {"maxWaiting": 12, "maxWaitingPerSession": 6},
        "session_ttl": 900,
        "question_ttl": 200,
        "stall_timeout": draw(st.sampled_from(["none", 50])),
    }
    templates = (
        make_template("desk", **desk),
        make_template("clerk", archetype="employee", pool=pool, session_ttl=900, on_restart="replay"),
        make_template("lookup", archetype="tool", pool=pool, session_ttl=900, on_restart="drop"),
    )
    limits: dict[str, object] = {
        "max_agents": draw(st.integers(2, 7)),
        "connect_limit": draw(st.integers(1, 3)),
        "memory_budget": draw(st.sampled_from(["300MiB", "500MiB", "2GiB"])),
        "cleanup_interval": 5,
    }
    return House(templates, limits)


HOUSES = houses()


def make_template(name: str, **keys: object) -> Template:
    return Template.model_validate({"name": name, "description": "a model", "system_prompt": "Help."} | keys)
