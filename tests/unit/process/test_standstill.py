"""Deadlines for others, of a supervisor that may stand still itself."""

from __future__ import annotations

import time

import anyio
import anyio.lowlevel
import pytest

from supervisor.process.standstill import happens_within

pytestmark = pytest.mark.anyio


async def test_what_comes_in_time_has_happened() -> None:
    assert await happens_within(60, anyio.lowlevel.checkpoint)


async def test_what_never_comes_is_given_up() -> None:
    given_up = anyio.Event()

    async def wait() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            given_up.set()

    assert not await happens_within(0.05, wait)
    assert given_up.is_set()


async def test_its_parts_are_as_long_as_the_whole_together(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    real = anyio.move_on_after

    def move_on_after(seconds: float) -> anyio.CancelScope:
        waited.append(seconds)
        return real(0)

    monkeypatch.setattr("supervisor.process.standstill.anyio.move_on_after", move_on_after)
    assert not await happens_within(60, anyio.sleep_forever)
    assert sum(waited) == pytest.approx(60)


async def test_time_in_which_this_process_stood_still_does_not_count() -> None:
    async def wait() -> None:
        time.sleep(0.3)  # noqa: ASYNC251 - that is what it is about
        for _ in range(3):
            await anyio.lowlevel.checkpoint()

    assert await happens_within(0.1, wait)


async def test_what_it_raises_is_not_lost() -> None:
    async def wait() -> None:
        raise ValueError("broken")

    with pytest.raises(ExceptionGroup) as told:
        await happens_within(60, wait)
    assert told.group_contains(ValueError, match="broken")
