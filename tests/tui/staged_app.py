"""Runs the dashboard over a stage in a terminal of its own, and writes down what it was told to do.

staged_app.py SCENE REPORT [SECONDS]

With SECONDS the engine is at the end of a line that takes about so long, one way.
"""

from __future__ import annotations

import inspect
import json
import os
import sys
from pathlib import Path

from msgspec.structs import replace
from textual.widgets import Input, TextArea

from supervisor import Refused, SessionState
from tests.far_engine import FarEngine, Line
from tests.tui import stage, troubles
from tests.tui.stage_engine import NOW, StageEngine
from tui.app import BullpenApp
from tui.terminal.driver import SafeDriver


class StagedApp(BullpenApp):
    """Reports calls of the engine, the screen in front, what has the focus, and what stands in its text fields."""

    CSS_PATH = [Path(inspect.getfile(BullpenApp)).parent / sheet for sheet in BullpenApp.CSS_PATH]

    def __init__(self, stage_engine: StageEngine, report: Path, seconds: float = 0.0) -> None:
        engine = FarEngine(stage_engine, line=Line(1, seconds * 0.8, seconds * 1.2)) if seconds else stage_engine
        super().__init__(engine, rehearsal=True, clock=lambda: NOW, driver_class=SafeDriver)
        self.stage_engine = stage_engine
        self.report = report

    def on_mount(self) -> None:
        # Textual runs the handlers of every class.
        self.set_interval(0.05, self.go_on)

    def go_on(self) -> None:
        """Rows change and conversations grow while keys are pressed, and what the test asked for arrives."""
        engine = self.stage_engine
        wanted = self.report.with_suffix(".arrive")
        if wanted.exists():
            for name in wanted.read_text().split():
                self.arrive(name)
            wanted.unlink()
        for key, talk in engine.conversations.items():
            talk.stream("and so it goes on ", engine.sessions[key].turn_id)
        engine.put(*engine.clients.values())

    def arrive(self, name: str) -> None:
        """A question, a choice or an interrupted turn comes to one session; `goes` takes its questions away, and
        `refuse` lets the engine refuse the next thing it is told."""
        engine, key = self.stage_engine, stage.ROOT
        row, number = engine.sessions[key], len(engine.calls)
        match name:
            case "permission" | "choice":
                first = stage.PERMISSION if name == "permission" else replace(stage.CHOICE, key=key)
                question = replace(first, id=f"{name}-{number}")
                ids = (*row.questions, question.id)
                engine.put(question, replace(row, state=SessionState.ASKING, questions=ids))
            case "offer":
                engine.put(replace(row, offer=troubles.offer(key, "do it again", turn_id=f"t-{number}")))
            case "goes":
                for question_id in list(engine.questions):
                    engine.remove_question(question_id)
                engine.put(replace(engine.sessions[key], offer=None))
            case "refuse":
                engine.refuses_with = Refused("admin is stopped")

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
            "questions": len(self.bridge.questions),
            "waiting": len(self.inputs._waiting) + (self.inputs._settling is not None) + (not self.verbs.is_idle),
        }
        scratch = self.report.with_suffix(".new")
        scratch.write_text(json.dumps(said))
        os.replace(scratch, self.report)


if __name__ == "__main__":
    app = StagedApp(getattr(stage, sys.argv[1])(), Path(sys.argv[2]), *map(float, sys.argv[3:]))
    app.run()
    sys.exit(app.return_code or 0)
