"""The table: a cursor that stays on its row, and repaints that cost what changed."""

from __future__ import annotations

from collections.abc import Iterable
from time import monotonic

import pytest
from rich.segment import Segment
from textual.app import App, ComposeResult
from textual.geometry import Region

from tui.tables.layout import lay_out
from tui.tables.table import Cell, Column, LineTable, Row

pytestmark = pytest.mark.anyio

COLUMNS = (
    Column("name", "name", 10, flex=1),
    Column("state", "state", 8, priority=1),
    Column("size", "size", 6, "right", priority=2),
)


def row(key: str, state: str = "idle", size: int = 0) -> Row:
    return Row(
        key,
        (Cell(key, "strong"), (Cell("● ", "ok"), Cell(state, "dim")), Cell(str(size))),
        (key, state, size or None),
    )


def some_rows(count: int) -> list[Row]:
    return [row(f"row-{number:04}", size=number) for number in range(count)]


class Table(LineTable):
    """Counts the lines it is asked to repaint."""

    repainted: set[int]

    def repaint_line(self, y: int, lines: int = 1, *, x: int = 0, width: int | None = None) -> None:
        self.repainted |= set(range(y, y + lines)) & set(range(self.size.height))
        super().repaint_line(y, lines, x=x, width=width)

    def refresh(self, *regions: Region, **options: bool) -> Table:
        if not regions and options.get("repaint", True):
            self.repainted = set(range(self.size.height))
        return super().refresh(*regions, **options)


class TableApp(App[None]):
    def __init__(self, rows: Iterable[Row] = ()) -> None:
        super().__init__()
        self.table = Table(COLUMNS, empty="no sessions yet")
        self.table.repainted = set()
        self.given = list(rows)
        self.said: list[str] = []

    def compose(self) -> ComposeResult:
        yield self.table

    def on_mount(self) -> None:
        self.table.set_rows(self.given)
        self.table.focus()

    def on_line_table_cursor_moved(self, event: LineTable.CursorMoved) -> None:
        self.said.append(f"moved {event.key}")

    def on_line_table_opened(self, event: LineTable.Opened) -> None:
        self.said.append(f"opened {event.key}")

    def on_line_table_header_clicked(self, event: LineTable.HeaderClicked) -> None:
        self.said.append(f"header {event.column}")

    def line(self, y: int) -> str:
        return "".join(segment.text for segment in self.table.render_line(y))


async def test_the_cursor_stays_on_its_row_when_rows_change_around_it() -> None:
    """D1: rows come, go and change places; the operator's row does not slip away under the hand."""
    app = TableApp(some_rows(10))
    async with app.run_test(size=(60, 8)) as pilot:
        app.table.move_to("row-0005")
        app.table.set_rows([row("new-a"), row("new-b"), *some_rows(10)])
        assert app.table.cursor_key == "row-0005"
        app.table.set_rows(list(reversed(some_rows(10))))
        assert app.table.cursor_key == "row-0005"
        app.table.sort_by("size", reverse=True)
        assert app.table.cursor_key == "row-0005"
        await pilot.pause()
        cursor = [y for y in range(1, 8) if "row-0005" in app.line(y)]
        assert len(cursor) == 1, "and it is still in sight"


async def test_a_cursor_whose_row_vanished_stays_at_its_place() -> None:
    app = TableApp(some_rows(5))
    async with app.run_test(size=(60, 12)) as pilot:
        app.table.move_to("row-0002")
        app.table.set_rows([each for each in some_rows(5) if each.key != "row-0002"])
        assert app.table.cursor_key == "row-0003"
        app.table.set_rows(some_rows(1))
        assert app.table.cursor_key == "row-0000"
        app.table.set_rows([])
        assert app.table.cursor_key is None
        await pilot.pause()
        assert app.said[-1] == "moved None"
        assert any("no sessions yet" in app.line(y) for y in range(12))


async def test_the_view_stays_where_it_is_read_while_rows_change() -> None:
    """D1: whoever has scrolled away from the cursor is not taken back to it by a row that comes or goes."""
    app = TableApp(some_rows(100))
    async with app.run_test(size=(60, 10)) as pilot:
        app.table.move_to("row-0005")
        await pilot.pause()
        app.table.scroll_to(y=50, animate=False, force=True)
        await pilot.pause()
        for rows in ([row("new"), *some_rows(100)], some_rows(100), [*some_rows(100), row("last")]):
            app.table.set_rows(rows)
            await pilot.pause()
            assert app.table.scroll_offset.y == 50
            assert app.table.cursor_key == "row-0005"
        app.table.move_to("row-0050")
        await pilot.pause()
        top = app.table.scroll_offset.y
        app.table.set_rows([row(f"new-{number}") for number in range(20)] + some_rows(100))
        await pilot.pause()
        assert app.table.scroll_offset.y > top, "a cursor in sight stays in sight"


async def test_one_changed_row_repaints_one_line() -> None:
    """Of a thousand rows; what is out of sight repaints nothing."""
    app = TableApp(some_rows(1_000))
    async with app.run_test(size=(60, 20)) as pilot:
        await pilot.pause()
        app.table.repainted = set()
        app.table.set_rows(some_rows(1_000))
        assert app.table.repainted == set()
        app.table.update_rows([row("row-0003", "busy", 3), row("row-0900", "busy", 900)])
        assert app.table.repainted == {4}
        await pilot.pause()
        assert "busy" in app.line(4)
        assert app.table.keys[900] == "row-0900"
        now = monotonic()
        assert [
            app.table.was_seen(key, at) for key, at in (("row-0003", now), ("row-0003", 0.0), ("row-0900", now))
        ] == [
            True,
            False,
            False,
        ], "only what was drawn, and before that time"


async def test_what_is_drawn_before_the_message_of_a_resize_is_laid_out_for_the_new_width(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else the header, or a row that does not change, would keep the columns of the old width."""
    monkeypatch.setattr(LineTable, "on_resize", lambda self: None)
    app = TableApp(some_rows(3))
    async with app.run_test(size=(140, 10)) as pilot:
        await pilot.pause()
        await pilot.resize_terminal(60, 10)
        await pilot.pause()
        drawn = app.line(0), app.line(2)
        app.table.forget_strips()
        assert drawn == (app.line(0), app.line(2))


async def test_keys_move_the_cursor_and_the_view_follows() -> None:
    app = TableApp(some_rows(100))
    async with app.run_test(size=(60, 11)) as pilot:
        for keys, expected in (
            (["down", "j"], "row-0002"),
            (["up", "k", "k"], "row-0000"),
            (["pagedown"], "row-0009"),
            (["G"], "row-0099"),
            (["pageup"], "row-0090"),
            (["g"], "row-0000"),
            (["end"], "row-0099"),
        ):
            await pilot.press(*keys)
            assert app.table.cursor_key == expected
            assert any(expected in app.line(y) for y in range(1, 11))
        await pilot.press("enter")
        assert app.said[-1] == "opened row-0099"


async def test_the_mouse_selects_opens_and_names_the_header() -> None:
    app = TableApp(some_rows(5))
    async with app.run_test(size=(60, 10)) as pilot:
        app.table.repainted = set()
        await pilot.click(Table, offset=(5, 3))
        assert app.table.cursor_key == "row-0002"
        assert app.table.repainted >= {1, 3}, "the row that it leaves, too"
        assert not any(words.startswith("opened") for words in app.said)
        await pilot.click(Table, offset=(5, 4), times=2)
        await pilot.click(Table, offset=(4, 0))
        await pilot.pause()
        assert app.said[-2:] == ["opened row-0003", "header name"]
        await pilot.click(Table, offset=(5, 8))
        assert app.table.cursor_key == "row-0003", "below the last row is nothing"


async def test_a_filter_shows_what_matches_and_marks_survive_it() -> None:
    app = TableApp([row("alpha", "busy"), row("beta"), row("gamma", "busy")])
    async with app.run_test(size=(60, 10)) as pilot:
        await pilot.press("space")
        assert app.table.marked == {"alpha"}
        assert app.table.cursor_key == "beta"
        app.table.filter_text = "BUSY"
        assert app.table.keys == ("alpha", "gamma")
        app.table.filter_text = "!busy"
        assert app.table.keys == ("beta",)
        app.table.filter_text = "nowhere"
        await pilot.pause()
        assert any("no row matches “nowhere”" in app.line(y) for y in range(10))
        assert app.table.marked == {"alpha"}
        app.table.filter_text = ""
        app.table.set_rows([row("beta")])
        assert app.table.marked == set(), "a row that is gone is not marked"


async def test_sorting_puts_nothing_last_and_shows_an_arrow() -> None:
    app = TableApp([row("b", size=2), row("none"), row("a", size=10)])
    async with app.run_test(size=(60, 10)):
        app.table.sort_by("size")
        assert app.table.keys == ("b", "a", "none")
        assert "▲size" in app.line(0)
        app.table.sort_by("size", reverse=True)
        assert app.table.keys == ("a", "b", "none")
        assert "▼size" in app.line(0)
        app.table.sort_by(None)
        assert app.table.keys == ("b", "none", "a")
        with pytest.raises(ValueError, match="no column 'colour'"):
            app.table.sort_by("colour")


async def test_rows_are_cleaned_and_measured_in_cells() -> None:
    """R5: escape sequences, markup and wide characters neither act nor shift a column."""
    app = TableApp([row("[red]\x1b[2Jx"), row("日本語のとても長い名前で切られるもの"), row("two\nlines")])
    async with app.run_test(size=(40, 10)) as pilot:
        await pilot.pause()
        lines = [app.table.render_line(y) for y in range(1, 4)]
        assert all(strip.cell_length == app.table.size.width for strip in lines)
        texts = [strip.text for strip in lines]
        assert "[red]�[2Jx" in texts[0]
        assert "…" in texts[1]
        assert "two lines" in texts[2]
        columns = {Segment.get_line_length(list(strip.crop(0, strip.text.index("●")))) for strip in lines[::2]}
        assert len(columns) == 1


async def test_resizing_drops_columns_and_keeps_the_cursor_in_sight() -> None:
    app = TableApp(some_rows(50))
    async with app.run_test(size=(60, 30)) as pilot:
        app.table.move_to("row-0025")
        await pilot.resize_terminal(20, 10)
        await pilot.pause()
        assert app.line(0).split() == ["name"]
        assert any("row-0025" in app.line(y) for y in range(1, 10))


def test_columns_share_the_width_and_the_least_important_go_first() -> None:
    wide = lay_out(COLUMNS, 60)
    assert [(place.index, place.width) for place in wide] == [(0, 44), (1, 8), (2, 6)]
    assert [place.index for place in lay_out(COLUMNS, 22)] == [0, 1]
    assert [place.index for place in lay_out(COLUMNS, 12)] == [0]
    assert lay_out(COLUMNS, 4)[0].width == 4, "the last column is cut, never wider than the table"
    for width in range(1, 80):
        placed = lay_out(COLUMNS, width, 2)
        assert placed[-1].x + placed[-1].width <= width


def test_other_columns_give_way_before_a_name_and_a_long_name_before_its_column() -> None:
    columns = (
        Column("state", "state", 10),
        Column("agent", "agent", 8, priority=1, is_name=True),
        Column("why", "why", 20, narrowest=10, flex=1),
        Column("cost", "cost", 6, priority=3),
    )

    def widths(width: int, name: int) -> dict[str, int]:
        return {columns[place.index].key: place.width for place in lay_out(columns, width, 1, {1: name})}

    assert widths(50, 8) == {"state": 10, "agent": 8, "why": 23, "cost": 6}
    assert widths(50, 24) == {"state": 10, "agent": 24, "why": 14}
    assert widths(42, 24) == {"state": 10, "agent": 20, "why": 10}
    assert widths(28, 24) == {"state": 10, "why": 17}
