"""Pictures that are the same everywhere: no colour switches, one time zone, no blinking, and no crash unseen."""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Callable, Generator, Iterable
from typing import Any

import anyio
import pytest
from textual._compositor import Compositor
from textual.css.model import RuleSet
from textual.css.stylesheet import Stylesheet
from textual.screen import Screen
from textual.widgets import Input, TextArea

from tests.tui.stage_engine import NOW, StageEngine
from tests.tui.theatre import FarAway, Frames, attend, engine_of, leave, rest, settle
from tests.waiting import until
from tui.app import BullpenApp
from tui.screens.dashboard.dashboard import DashboardScreen
from tui.terminal.input_queue import ENGINE_WORK

KEPT_VARIABLES = ("PATH", "HOME", "TMPDIR", "TEXTUAL_SNAPSHOT_TEMPDIR", "PYTEST_CURRENT_TEST", "PYTEST_XDIST_WORKER")
"""All that a picture, or the report about pictures, may learn of the machine."""

Draw = Callable[..., None]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The line is another one for each test, and the same each time."""
    is_always_far = metafunc.config.getoption("--engine") == "far"
    if metafunc.definition.get_closest_marker("far") is not None and not is_always_far:
        metafunc.parametrize("_engine_place", ["here", "far"], indirect=True)


@pytest.fixture(autouse=True)
def _engine_place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if getattr(request, "param", request.config.getoption("--engine")) == "far":
        monkeypatch.setattr(FarAway, "seed", zlib.crc32(request.node.nodeid.encode()))


@pytest.fixture(autouse=True, scope="session")
def _sheets_are_parsed_once() -> Generator[None]:
    """The same sheets with the same colours give the same rules in each app: parsing them was an eighth of a test."""
    parse = Stylesheet._parse_rules
    parsed: dict[object, list[RuleSet]] = {}

    def parse_once(
        self: Stylesheet,
        css: str,
        read_from: tuple[str, str],
        is_default_rules: bool = False,
        tie_breaker: int = 0,
        scope: str = "",
    ) -> list[RuleSet]:
        key = (css, read_from, is_default_rules, tie_breaker, scope, tuple(self._variables.items()))
        if (rules := parsed.get(key)) is None:
            rules = parsed[key] = parse(self, css, read_from, is_default_rules, tie_breaker, scope)
        return rules

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stylesheet, "_parse_rules", parse_once)
        yield


@pytest.fixture(autouse=True, scope="session")
def _frames_are_drawn_when_looked_at(request: pytest.FixtureRequest) -> Generator[None]:
    """And every one of them where the whole screen runs over a far engine (`make soak`)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Frames, "are_drawn", request.config.getoption("--engine") == "far")
        patch.setattr(Compositor, "render_update", lambda *given, **named: Frames.render_update(*given, **named))
        yield


@pytest.fixture(autouse=True, scope="session")
def _a_step_has_its_whole_effect() -> Generator[None]:
    """However little of the processor this process is given."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("textual.pilot.wait_for_idle", rest)
        patch.setattr("textual.app.wait_for_idle", rest)
        yield


@pytest.fixture
def every_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a test of what is drawn between two looks at the screen."""
    monkeypatch.setattr(Frames, "are_drawn", True)


@pytest.fixture(autouse=True)
def _same_everywhere(monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    for name in set(os.environ).difference(KEPT_VARIABLES):
        monkeypatch.delenv(name)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish() -> Generator[None, Any, Any]:
    """The snapshot report embeds the whole environment: show it none that matters."""
    kept = dict(os.environ)
    for name in set(os.environ).difference(KEPT_VARIABLES):
        del os.environ[name]
    try:
        return (yield)
    finally:
        os.environ.update(kept)


SIZES = [(80, 24), (120, 36), (200, 50)]
"""Columns and lines that the dashboard is made for (D5)."""

Picture = dict[tuple[int, int], str]
"""One scene in every size."""

DRAWN: dict[str, Picture] = {}
"""By test, without its size: starting an app costs ten times what it takes to draw it in another size."""


@pytest.fixture
def looks_as_before(
    request: pytest.FixtureRequest, snap_compare: Callable[..., bool], monkeypatch: pytest.MonkeyPatch
) -> Draw:
    """Compares a screen with its stored picture. A crashed app has a picture too, so that is asserted as well.

    An app is started in the smallest size and made larger: what it looks like is the same as after a start.
    """
    monkeypatch.setattr(Input, "cursor_blink", False)
    monkeypatch.setattr(TextArea, "cursor_blink", False)

    def draw(
        stage: StageEngine,
        size: tuple[int, int],
        press: Iterable[str] = (),
        before: Callable[[BullpenApp], None] | None = None,
    ) -> None:
        scene = request.node.nodeid.replace(f"{size[0]}x{size[1]}", "")
        app = BullpenApp(engine_of(stage), rehearsal=True, clock=lambda: NOW)
        app.animation_level = "none"
        if scene not in DRAWN:
            DRAWN[scene] = anyio.run(_all_sizes, app, press, before)
        monkeypatch.setattr("textual._doc.take_svg_screenshot", lambda **_: DRAWN[scene][size])
        assert snap_compare(app)

    return draw


def _in_sight(app: BullpenApp) -> tuple[Screen[Any], ...]:
    """The screen in front, and those seen behind a dialog: each learns of a new size by a message of its own."""
    return (app.screen, *app._background_screens)


async def _all_sizes(app: BullpenApp, press: Iterable[str], before: Callable[[BullpenApp], None] | None) -> Picture:
    drawn = {}
    async with app.run_test(size=SIZES[0]) as pilot:
        attend(app, pilot)
        await pilot.pause()
        if before is not None:
            before(app)
            await pilot.pause()
        await settle(app, pilot)
        await pilot.press(*press)
        for size in SIZES:
            if app.size != size:
                await pilot.resize_terminal(*size)
            await until(lambda size=size: all(one._compositor.size == size for one in _in_sight(app)))
            await settle(app, pilot)
            # Behind a dialog the dashboard divides its lines anew with the next refresh, whenever that is.
            for screen in _in_sight(app):
                if isinstance(screen, DashboardScreen):
                    screen.fit()
            await settle(app, pilot)
            # What the larger size asks the engine for, such as the words of a preview, is on the picture too.
            await until(lambda: not any(one.group == ENGINE_WORK and one.is_running for one in app.workers))
            await settle(app, pilot)
            await pilot.wait_for_scheduled_animations()
            await pilot.pause()
            drawn[size] = app.export_screenshot(simplify=True)
    assert app._exception is None
    leave(app)
    return drawn
