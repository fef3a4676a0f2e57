"""What is shown before the engine is open is what it shows as soon as it is there."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from supervisor.config.settings import Settings
from supervisor.engine.expected import expect_rows
from supervisor.engine.supervisor import Supervisor
from supervisor.testing import FakeWorld
from tests.engine.conftest import MakeTemplate

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"archetype": "tool", "concurrency": {"maxSessions": 7}},
        {"archetype": "employee", "autoStart": False},
        {"pool": {"maxClients": 9, "memoryBudget": "2G"}, "concurrency": {"maxSessions": 2}},
    ],
    ids=["plain", "tool", "employee that is not started", "limits of its own"],
)
@pytest.mark.parametrize("rehearsal", [False, True])
async def test_expected_rows_are_those_of_an_engine_that_does_not_run_yet(
    world: FakeWorld, make_template: MakeTemplate, tmp_path: Path, keys: dict[str, object], rehearsal: bool
) -> None:
    template = make_template(**keys)
    settings = Settings(state_dir=tmp_path / "state", rehearsal=rehearsal, max_agents=40, drain_deadline=7)
    left_out = ("bad.md:3: no such key",)
    supervisor = Supervisor(
        [template], settings, connect=world.connect, endpoint="a host", left_out=left_out, keeps_queue=True
    )
    actual = await supervisor.snapshot()
    expected = expect_rows([template], settings, endpoint="a host", left_out=left_out)
    assert expected.instances == tuple(replace(row, walls=(), memory_reserve=0) for row in actual.instances)
    measured = {
        "started_at": expected.host.started_at,
        "supervisor_bytes": 0,
        "memory_available": 0,
        "swap_bytes": 0,
        "swap_budget": 0,
        "caches": (),
        "transcripts_dir": "",
    }
    assert expected.host == replace(actual.host, **measured)
    assert (expected.sessions, expected.clients, expected.questions) == ((), (), ())
