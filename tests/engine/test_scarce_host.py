"""For a while the system gives this process no descriptors, or no threads: what needs one waits, and nothing ends."""

from __future__ import annotations

from typing import Any

import anyio
import anyio.to_thread
import pytest

from supervisor import in_thread
from supervisor.api.outcomes import Done
from supervisor.api.prompts import Prompt
from supervisor.engine import housekeeping
from supervisor.engine.supervisor import Supervisor
from supervisor.in_thread import run_in_thread
from supervisor.testing import FakeWorld
from tests.engine.conftest import Start
from tests.scarcity import no_descriptors
from tests.waiting import until

pytestmark = pytest.mark.anyio


async def is_well(supervisor: Supervisor, user: str) -> bool:
    outcome = await (await supervisor.submit(Prompt("desk", "well?", user=user))).outcome()
    return isinstance(outcome, Done) and supervisor.failure is None


@pytest.fixture(autouse=True)
def _in_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "MEASURING", 0.001)
    monkeypatch.setattr(housekeeping, "LOOK", 0.001)
    monkeypatch.setattr(in_thread, "PAUSE", 0.001)


async def test_without_descriptors_clients_come_and_go_and_what_is_measured_stays_as_it_was(
    start: Start, world: FakeWorld, caplog: pytest.LogCaptureFixture
) -> None:
    def is_told(words: str) -> bool:
        return any(words in record.message for record in caplog.records)

    async with start(memory_interval=0.1) as supervisor:
        assert await is_well(supervisor, "ana")
        await until(lambda: supervisor._host.disk_measured_at)
        with no_descriptors():
            await until(lambda: is_told("what is on disk") and is_told("what clients use"))
            (slot,) = supervisor._instances["desk"].pool
            await supervisor.kill_client(slot.id)
            await until(lambda: not world.live)
            assert await is_well(supervisor, "ben")
            assert supervisor._host.disk.total > 0
        assert await is_well(supervisor, "cia")


async def test_without_threads_what_needs_one_waits(
    start: Start, world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that starts processes without end takes them where threads count as processes."""
    is_scarce, run_sync = True, anyio.to_thread.run_sync
    refused: dict[str, int] = {}

    async def refuse(work: Any, *given: Any, **named: Any) -> Any:
        if is_scarce:
            name = getattr(work, "func", work).__name__
            refused[name] = refused.get(name, 0) + 1
            raise RuntimeError("can't start new thread")
        return await run_sync(work, *given, **named)

    async with start(memory_interval=0.1) as supervisor:
        assert await is_well(supervisor, "ana")
        monkeypatch.setattr(anyio.to_thread, "run_sync", refuse)
        await until(lambda: sum(times > 3 for times in refused.values()) >= 3)  # census, disk, state directory
        assert await is_well(supervisor, "ben")
        is_scarce = False
        measured_at = supervisor._host.disk_measured_at
        await until(lambda: supervisor._host.disk_measured_at != measured_at)
        assert await is_well(supervisor, "cia")


async def test_only_a_missing_thread_is_waited_for() -> None:
    calls: list[int] = []

    def fail(number: int) -> None:
        calls.append(number)
        raise RuntimeError("another mistake")

    with pytest.raises(RuntimeError, match="another"):
        await run_in_thread(fail, 1)
    assert calls == [1]
