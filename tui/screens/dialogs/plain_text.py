"""A conversation without frames and without mouse reports, so that the terminal's own selection can copy from it."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Log, Static

from tui.terminal.driver import SafeDriver


class PlainTextScreen(Screen[None]):
    """Pages through a text. While it is in front the mouse belongs to the terminal."""

    AUTO_FOCUS = "Log"
    DEFAULT_CSS = """
    PlainTextScreen {
        Log {
            height: 1fr;
            padding: 0;
            background: $background;
            scrollbar-size: 0 0;
            overflow-x: hidden;
        }
        Static {
            height: 1;
            color: $text-muted;
            text-wrap: nowrap;
            text-overflow: ellipsis;
        }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,enter,f12", "leave", "back", key_display="esc")]

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def compose(self) -> ComposeResult:
        yield Log(auto_scroll=False)
        yield Static("select and copy with the mouse, as in any terminal · PgUp PgDn Home End · esc back", markup=False)

    def on_screen_resume(self) -> None:
        self._report_mouse(False)

    def on_screen_suspend(self) -> None:
        self._report_mouse(True)

    def on_resize(self) -> None:
        self.call_after_refresh(self._write)

    def _write(self) -> None:
        """Every line as wide as the screen: nothing is to be scrolled sideways."""
        log = self.query_one(Log)
        width = max(10, self.app.size.width)
        lines: list[str] = []
        for line in self._text.split("\n"):
            lines += [line[at : at + width] for at in range(0, len(line), width)] or [" "]
        log.clear()
        log.write_lines(lines, scroll_end=True)

    def _report_mouse(self, is_reported: bool) -> None:
        driver = self.app._driver
        if isinstance(driver, SafeDriver):
            driver.report_mouse(is_reported)

    def action_leave(self) -> None:
        self.dismiss(None)
