"""All keys, grouped, from the same list as the bindings."""

from __future__ import annotations

from itertools import groupby
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from tui import format
from tui.actions import VERBS, Verb, key_caption
from tui.rows import SPARE_GLYPH
from tui.screens.dialog import Dialog

KEY_WIDTH = 9

WIDGET_KEYS = (
    ("In a table", (("↑↓ j k", "move"), ("space", "mark"), ("⇧letter", "sort by a column; again reverses"))),
    ("In a conversation", (("t", "fold a tool call"), ("T", "fold all of them"), ("tab", "to the prompt"))),
)
"""Keys that belong to a widget, not to a verb."""

LEGEND = ("asking", "failed", "waiting", "working", "idle", "hibernated", "draining", "paused", "parked")


class HelpScreen(Dialog[None]):
    CSS_PATH = "help.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q,question_mark,enter", "cancel", "close", show=False),
        Binding("j", "scroll(1)", show=False),
        Binding("k", "scroll(-1)", show=False),
    ]

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="box") as box:
            box.border_title = "Keys"
            box.border_subtitle = "esc closes · ↑↓ scroll"
            yield Static(_legend(), id="legend", markup=False)
            ordered = sorted((verb for verb in VERBS if verb.key), key=_group_index)
            for group, verbs in groupby(ordered, lambda verb: verb.group):
                yield Static(_card(group, [(key_caption(verb), verb.description) for verb in verbs]), markup=False)
            for title, keys in WIDGET_KEYS:
                yield Static(_card(title, list(keys)), markup=False)

    def action_scroll(self, lines: int) -> None:
        self.query_one("#box").scroll_relative(y=lines, animate=False)


def _group_index(verb: Verb) -> int:
    return [each.group for each in VERBS].index(verb.group)


def _card(title: str, keys: list[tuple[str, str]]) -> Content:
    lines = [Content.styled(title, "bold $text-primary")]
    lines += [
        Content.assemble((caption.ljust(KEY_WIDTH), "bold $text-accent"), description) for caption, description in keys
    ]
    return Content("\n").join(lines)


def _legend() -> Content:
    styles = {"busy": "$text-primary", "warn": "$text-warning", "error": "$text-error", "ok": "$text-success",
              "accent": "$text-accent", "dim": "$text-muted"}  # fmt: skip
    parts = [
        Content.assemble((format.glyph(word), styles.get(format.role(word), "")), f" {word}   ") for word in LEGEND
    ]
    return Content("").join([*parts, Content.assemble((SPARE_GLYPH, "$text-muted"), " spare")])
