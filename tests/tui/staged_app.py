"""Runs the dashboard over a stage in a terminal of its own, and writes down what it was told to do.

staged_app.py SCENE REPORT
"""

from __future__ import annotations

import inspect
import json
import os
import sys
from pathlib import Path

from textual.widgets import Input, TextArea

from tests.tui import stage
from tests.tui.stage_engine import NOW, StageEngine
from tui.app import BullpenApp
from tui.driver import SafeDriver


class StagedApp(BullpenApp):
    """Reports calls of the engine, the screen in front, what has the focus, and what stands in its text fields."""

    CSS_PATH = Path(inspect.getfile(BullpenApp)).with_name("app.tcss")

    def __init__(self, stage_engine: StageEngine, report: Path) -> None:
        super().__init__(stage_engine, rehearsal=True, clock=lambda: NOW, driver_class=SafeDriver)
        self.stage_engine = stage_engine
        self.report = report

    def on_mount(self) -> None:
        # Textual runs the handlers of every class.
        self.set_interval(0.05, self.go_on)

    def go_on(self) -> None:
        """Rows change and conversations grow while keys are pressed."""
        engine = self.stage_engine
        for key, talk in engine.conversations.items():
            talk.stream("and so it goes on ", engine.sessions[key].turn_id)
        engine.put(*engine.clients.values())

    def flush(self) -> None:
        super().flush()
        self.write_report()

    def write_report(self) -> None:
        screen = self.screen
        fields = [widget for widget in screen.walk_children() if isinstance(widget, Input | TextArea)]
        said = {
            "calls": [" ".join(map(str, call)) for call in self.stage_engine.calls],
            "screen": type(screen).__name__,
            "focused": "" if screen.focused is None else screen.focused.id or type(screen.focused).__name__,
            "texts": [widget.text if isinstance(widget, TextArea) else widget.value for widget in fields],
            "waiting": len(self.inputs._waiting) + (self.inputs._settling is not None),
        }
        scratch = self.report.with_suffix(".new")
        scratch.write_text(json.dumps(said))
        os.replace(scratch, self.report)


if __name__ == "__main__":
    app = StagedApp(getattr(stage, sys.argv[1])(), Path(sys.argv[2]))
    app.run()
    sys.exit(app.return_code or 0)
