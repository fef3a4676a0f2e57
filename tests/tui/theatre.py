"""Runs the dashboard on a stage, and tells the test when it crashed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from textual.pilot import Pilot

from tests.tui.stage_engine import NOW, StageEngine
from tui.app import BullpenApp
from tui.kept.drafts import DraftFile
from tui.kept.preferences import PreferenceFile


class HandClock:
    """Time that moves only when a test moves it."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def playing(
    stage: StageEngine,
    size: tuple[int, int] = (120, 36),
    clock: HandClock | None = None,
    kept: PreferenceFile | None = None,
    drafts: DraftFile | None = None,
) -> AsyncIterator[tuple[BullpenApp, Pilot[Any]]]:
    app = BullpenApp(stage, rehearsal=True, clock=clock or HandClock(), kept=kept, drafts=drafts)
    async with app.run_test(size=size, notifications=True) as pilot:
        await pilot.pause()
        yield app, pilot
    assert app._exception is None


async def settle(app: BullpenApp, pilot: Pilot[Any]) -> None:
    """What the flush timer would do, now; then lets the screen catch up."""
    app.flush()
    await pilot.pause()
    await pilot.pause()


def screen_text(app: BullpenApp) -> str:
    """What the operator reads."""
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip) for strip in strips)


def told(app: BullpenApp) -> str:
    """The notifications on show."""
    return "\n".join(notification.message for notification in app._notifications)
