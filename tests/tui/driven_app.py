"""A small app under `SafeDriver`, run in a terminal of its own by test_driver.py.

Paints the whole screen all the time, and writes down how long its event loop was ever held up.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path

from rich.segment import Segment
from rich.style import Style
from textual.app import App, ComposeResult
from textual.strip import Strip
from textual.widget import Widget

from tui.terminal.driver import SafeDriver
from tui.terminal.notifications import title_of


class Wall(Widget):
    """Every cell differs from the picture before, in colour and in text."""

    frame = 0

    def render_line(self, y: int) -> Strip:
        return Strip(
            [
                Segment(f"{(self.frame + x + y) % 10}", Style(color=f"rgb({x * 2},{y * 5},{self.frame % 255})"))
                for x in range(self.size.width)
            ]
        )


class Driven(App[None]):
    CSS = "Wall { width: 1fr; height: 1fr; }"

    def __init__(self, report: Path) -> None:
        super().__init__(driver_class=SafeDriver)
        self.report = report
        self.longest_gap = 0.0

    def compose(self) -> ComposeResult:
        yield Wall()

    def on_mount(self) -> None:
        self.painting = self.set_interval(1 / 30, self.paint)
        self.beat_task = asyncio.create_task(self.beat())

    async def beat(self) -> None:
        last = time.monotonic()
        while True:
            await asyncio.sleep(0.01)
            now = time.monotonic()
            self.longest_gap = max(self.longest_gap, now - last)
            last = now
            self.write_report()

    def write_report(self) -> None:
        scratch = self.report.with_suffix(".new")
        scratch.write_text(json.dumps({"gap": self.longest_gap, "frame": self.query_one(Wall).frame}))
        os.replace(scratch, self.report)

    def paint(self) -> None:
        wall = self.query_one(Wall)
        wall.frame += 1
        wall.refresh()

    def key_s(self) -> None:
        """Leaves the terminal to others for a moment, while the timers go on."""
        with self.suspend():
            for _ in range(200):
                self.paint()
                self._driver_writes_anyway()
            os.write(2, b"<suspended>")

    def _driver_writes_anyway(self) -> None:
        assert self._driver is not None
        self._driver.write("a picture nobody should see")

    def key_t(self) -> None:
        """Says in the title that two questions wait."""
        assert isinstance(self._driver, SafeDriver)
        self._driver.keep_title()
        self._driver.announce(title_of(2))

    def key_f(self) -> None:
        """Stands still on a picture that can be recognised."""
        self.query_one(Wall).frame = 0
        self.painting.pause()
        self.query_one(Wall).refresh()


if __name__ == "__main__":
    app = Driven(Path(sys.argv[1]))
    app.run()
    sys.exit(app.return_code or 0)
