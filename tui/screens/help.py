"""All keys, grouped, from the same list as the bindings."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical
from textual.content import Content
from textual.widgets import Static

from tui import format
from tui.actions import ANSWER, LOOK, PROGRAM, STEER, STOP, VERBS, WRITE, key_caption
from tui.rows import SPARE_GLYPH
from tui.screens.dialog import Dialog
from tui.themes import MUTED

WIDGET_KEYS: dict[str, list[tuple[str, str]]] = {
    "In a table": [("↑↓ j k", "move"), ("space", "mark"), ("⇧letter", "sort by a column; again reverses")],
    "In a conversation": [
        ("t", "fold or unfold a tool call"),
        ("T", "fold or unfold all of them"),
        ("tab", "to the prompt, the card, the text"),
    ],
}
"""Keys that belong to a widget, not to a verb."""

LEFT = (LOOK, WRITE, "In a table")
RIGHT = (STOP, STEER, ANSWER, "In a conversation", PROGRAM)

LEGEND = (
    ("asking", "interrupted", "failed", "stalled", "waiting", "working", "idle", "hibernated", "new"),
    ("running", "draining", "drained", "paused", "parked", "stopped"),
)
"""Signs of sessions, then of instances."""


class HelpScreen(Dialog[None]):
    CSS_PATH = ["dialog.tcss", "help.tcss"]
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q,question_mark,enter", "cancel", "close", show=False),
        Binding("j", "scroll(1)", show=False),
        Binding("k", "scroll(-1)", show=False),
    ]

    def compose(self) -> ComposeResult:
        with self.box("Keys", "↑↓ scroll", "esc closes", scrolls=True):
            yield Static(_legend(), id="legend", markup=False)
            with Container(id="sides"):
                for side in (LEFT, RIGHT):
                    with Vertical(classes="side"):
                        for heading in side:
                            yield from _group(heading)

    def action_scroll(self, lines: int) -> None:
        self.query_one("#box").scroll_relative(y=lines, animate=False)


def _group(heading: str) -> ComposeResult:
    keys = WIDGET_KEYS.get(heading) or [
        (key_caption(verb), verb.description) for verb in VERBS if verb.group == heading and verb.key
    ]
    yield Static(heading, classes="heading", markup=False)
    with Container(classes="keys"):
        for caption, description in keys:
            yield Static(caption, classes="key", markup=False)
            yield Static(description, markup=False)


def _legend() -> Content:
    styles = {"busy": "$text-primary", "warn": "$text-warning", "error": "$text-error", "ok": "$text-success",
              "accent": "$text-accent", "dim": MUTED}  # fmt: skip
    lines = [
        Content("   ").join(
            [Content.assemble((format.glyph(word), styles.get(format.role(word), "")), f" {word}") for word in words]
        )
        for words in LEGEND
    ]
    lines[1] = Content.assemble(lines[1], (f"   {SPARE_GLYPH}", MUTED), " spare client")
    return Content("\n").join(lines)
