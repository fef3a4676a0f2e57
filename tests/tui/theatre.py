"""Runs the dashboard on a stage, and tells the test when it crashed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import Context
from typing import Any
from weakref import WeakKeyDictionary

from rich.console import RenderableType
from textual._compositor import Compositor
from textual._context import active_app, visible_screen_stack
from textual._wait import SLEEP_GRANULARITY, wait_for_idle
from textual.app import App
from textual.message_pump import MessagePump
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Input

from tests.far_engine import QUIET, FarEngine
from tests.tui.stage_engine import NOW, StageEngine
from tests.waiting import until
from tui.app import BullpenApp
from tui.kept.drafts import DraftFile
from tui.kept.preferences import PreferenceFile
from tui.terminal.input_queue import BRISK, PATIENCE, InputQueue, _is_at_rest
from tui.widgets.card import DockedCard


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
    app = BullpenApp(engine_of(stage), rehearsal=True, clock=clock or HandClock(), kept=kept, drafts=drafts)
    hear_from_outside(app)
    async with app.run_test(size=size, notifications=True) as pilot:
        attend(app, pilot)
        await pilot.pause()
        yield app, pilot
        draw(app)
    assert app._exception is None
    leave(app)


def hear_from_outside(app: BullpenApp) -> None:
    """Keys come as they do from a terminal: from a thread that knows of no app. A pilot presses them inside of it,
    where widgets find their app even when nothing of their own says which it is."""
    take = app.inputs.take
    app.inputs.take = lambda event: Context().run(take, event)  # type: ignore[method-assign]


async def rest(min_sleep: float = SLEEP_GRANULARITY, max_sleep: float = 1) -> None:
    """Returns when the active app has done all that was set off. In the place of Textual's `wait_for_idle`, which looks
    how much processor time this process uses: one that is given none looks idle, whatever it still has to do. Both
    arguments are that function's, which is called first: short timers of Textual's own run out meanwhile."""
    await wait_for_idle(min_sleep, max_sleep)
    app = active_app.get()
    for turn in range(PATIENCE):
        if not app.is_running or app._exception is not None:
            return
        if not _has_to_do(app):
            for _ in range(QUIET):  # for a worker that takes turns of the loop, and no message
                await asyncio.sleep(0)
            if not _has_to_do(app):
                return
        await asyncio.sleep(0 if turn < BRISK else 0.001)


def _has_to_do(app: App[Any]) -> bool:
    inputs = getattr(app, "inputs", None)
    stuck = inputs._stuck if isinstance(inputs, InputQueue) else ()
    if isinstance(inputs, InputQueue) and inputs._settling is not None:
        return True
    if app._resize_event is not None:  # Textual waits for a moment whether the size changes again
        return True
    pumps: list[MessagePump] = [app]
    if app._screen_stacks:
        pumps += (node for screen in app._screen_stack for node in screen.walk_children(with_self=True))
    return any(pump not in stuck and not _is_at_rest(pump) for pump in pumps)


class Frames:
    """Whether every frame is drawn. None of them reaches a terminal, and drawing all was more than a third of a test:
    what a test looks at is drawn when it looks (`screen_text`, a picture), and what is on the screen at its end. While
    something waits for an answer all are: whether it has been drawn decides what a key may answer."""

    are_drawn = False
    _drawing = Compositor.render_update

    @staticmethod
    def render_update(
        compositor: Compositor, full: bool = False, screen_stack: list[Screen] | None = None, simplify: bool = False
    ) -> RenderableType | None:
        """In the place of Textual's own; what is seen behind a dialog is noted as there."""
        if full or Frames.are_drawn or _may_be_answered(compositor.root):
            return Frames._drawing(compositor, full, screen_stack, simplify)
        visible_screen_stack.set(screen_stack or [])
        compositor._dirty_regions.clear()
        return None


def _may_be_answered(screen: object) -> bool:
    if not isinstance(screen, Screen) or not isinstance(app := screen.app, BullpenApp):
        return True
    return bool(app.bridge.questions or app.bridge.offers or screen.query(DockedCard))


def draw(app: BullpenApp) -> None:
    """The whole screen as it is now, whatever of it has changed. Raises what a widget raises that cannot be drawn."""
    if app._screen_stack:
        app.screen._compositor.render_update(full=True, screen_stack=app._background_screens)


class FarAway:
    """Whether the engine of a stage is at the end of a slow line; chosen for each test by `conftest`."""

    seed: int | None = None
    """Of the line; None when the engine is here."""
    engines: WeakKeyDictionary[BullpenApp, FarEngine] = WeakKeyDictionary()


def engine_of(stage: StageEngine) -> StageEngine | FarEngine:
    """The engine that an app is to look at."""
    return stage if FarAway.seed is None else FarEngine(stage, FarAway.seed)


def attend(app: BullpenApp, pilot: Pilot[Any]) -> None:
    """Has every step of the pilot wait until what it set off has been to the engine and back. Nothing in the app waits
    for that."""
    far = app.bridge._engine
    if not isinstance(far, FarEngine):
        return
    FarAway.engines[app] = far
    for name in ("press", "pause", "click", "double_click", "hover", "resize_terminal"):
        setattr(pilot, name, _patiently(getattr(pilot, name), far))


def _patiently(act: Callable[..., Awaitable[Any]], far: FarEngine) -> Callable[..., Awaitable[Any]]:
    async def step(*arguments: Any, **named: Any) -> Any:
        result = await act(*arguments, **named)
        is_over = False
        while not is_over:  # what has arrived may ask for more
            await far.quiet()
            await rest()
            is_over = far.is_calm
        return result

    return step


def leave(app: BullpenApp) -> None:
    if (far := FarAway.engines.get(app)) is not None:
        far.close()


async def arrived(app: BullpenApp) -> None:
    """Returns when what the stage has told is on this side of the line. The screen has not looked at it."""
    if (far := FarAway.engines.get(app)) is not None:
        await far.quiet()


async def settle(app: BullpenApp, pilot: Pilot[Any]) -> None:
    """What the flush timer would do, now; then lets the screen catch up."""
    await until(lambda: app._resize_event is None)  # Textual hands a new size on by a timer of its own
    await arrived(app)
    app.flush()
    await pilot.pause()
    await pilot.pause()


async def command(app: BullpenApp, pilot: Pilot[Any], line: str) -> None:
    """Opens the command line, with this line in it, and enters it."""
    await pilot.press(":")
    app.screen.query_one("#line", Input).value = line
    await pilot.press("enter")
    await pilot.pause()


def screen_text(app: BullpenApp) -> str:
    """What the operator reads."""
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip) for strip in strips)


def told(app: BullpenApp) -> str:
    """The notifications on show."""
    return "\n".join(notification.message for notification in app._notifications)
