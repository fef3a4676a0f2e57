"""What reaches the terminal is what has changed: a row's age costs its cells, and a quiet dashboard next to nothing."""

from __future__ import annotations

import re
from typing import Any

import pytest
from msgspec.structs import replace
from rich.console import Console
from rich.segment import Segment
from textual._compositor import ChopsUpdate
from textual.strip import Strip

from tests.tui import stage
from tests.tui.stage import ANA
from tests.tui.theatre import HandClock, playing, settle
from tui.app import BullpenApp
from tui.terminal.partial_repaint import CroppedUpdate, crop

pytestmark = pytest.mark.usefixtures("every_frame")

CONSOLE = Console(color_system="truecolor", force_terminal=True, width=40, _environ={})


def sent(update: Any) -> str:
    """As it goes to the terminal, without styles."""
    return re.sub(r"\x1b\[[0-9;]*m", "", update.render_segments(CONSOLE))


def update(*spans: tuple[int, int, int], line: str = "0123456789abcdef") -> ChopsUpdate:
    """Two pieces of one line: from column 0, and from column 10."""
    chops = [{0: Strip([Segment(line[:10])]), 10: Strip([Segment(line[10:])])}]
    return ChopsUpdate(chops, list(spans), [[10, 16]])


def test_both_ends_of_a_line_are_cropped() -> None:
    assert sent(crop(update((0, 3, 5)))) == "\x1b[1;4H34"
    assert sent(crop(update((0, 8, 12)))) == "\x1b[1;9H89\x1b[1;11Hab"
    assert sent(crop(update((0, 0, 16)))) == "\x1b[1;1H0123456789\x1b[1;11Habcdef"


def test_a_wide_character_that_is_cut_becomes_a_space() -> None:
    line = "日本語日本" + "abcdef"
    wide = ChopsUpdate([{0: Strip([Segment(line[:5])]), 10: Strip([Segment("abcdef")])}], [(0, 3, 6)], [[10, 16]])
    assert sent(crop(wide)) == "\x1b[1;4H 語"


def test_anything_else_is_left_alone() -> None:
    assert crop(None) is None
    assert crop("text") == "text"


async def painted(app: BullpenApp, pilot: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the next flush would send, line by line of its spans."""
    found: list[str] = []

    def display(self: BullpenApp, screen: Any, renderable: Any) -> None:
        cropped = crop(renderable)
        if isinstance(cropped, CroppedUpdate):
            found.append(sent(cropped))
        elif renderable is not None:
            found.append("everything")

    while app.screen._dirty_widgets or app.screen._repaint_required:
        await pilot.pause(0.02)  # what was asked for before is painted first
    monkeypatch.setattr(BullpenApp, "_display", display)
    await settle(app, pilot)
    while app.screen._dirty_widgets:
        await pilot.pause(0.02)
    monkeypatch.undo()
    return found


@pytest.mark.anyio
async def test_a_second_that_passes_repaints_ages_and_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = HandClock()
    async with playing(stage.busy(), size=(160, 50), clock=clock) as (app, pilot):
        for _ in range(3):
            clock.now += 1.5
            await settle(app, pilot)
        clock.now += 1.5
        sent_now = "".join(await painted(app, pilot, monkeypatch))
        assert "everything" not in sent_now
        assert len(re.sub(r"\x1b\[\d+;\d+H", "", sent_now)) < 600
        assert "ticket-4711" not in sent_now


@pytest.mark.anyio
async def test_a_row_that_changes_sends_its_cells_only(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = stage.busy()
    async with playing(engine, size=(160, 50)) as (app, pilot):
        for size in (1, 2):  # after a layout the first change of a pane paints all of it
            engine.put(replace(engine.sessions[ANA], memory_bytes=size * 10**8))
            await settle(app, pilot)
        engine.put(replace(engine.sessions[ANA], memory_bytes=999_000_000))
        sent_now = "".join(await painted(app, pilot, monkeypatch))
        assert "999M" in sent_now
        assert "ticket-4711" not in sent_now
