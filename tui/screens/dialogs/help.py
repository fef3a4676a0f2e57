"""All keys, grouped, from the same list as the bindings."""

from __future__ import annotations

from functools import lru_cache
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content
from textual.geometry import Size
from textual.widget import Widget

from supervisor import SlotState
from tui.screens.dialogs.dialog import SHEET, Dialog
from tui.tables.rows import OUTDATED_GLYPH, SPARE_GLYPH
from tui.themes import ASLEEP, MUTED
from tui.wording import format
from tui.wording.verbs import ANSWER, LOOK, PROGRAM, STEER, STOP, VERBS, WRITE, key_caption

WIDGET_KEYS: dict[str, list[tuple[str, str]]] = {
    "In a table": [("↑↓ j k", "move"), ("space", "mark"), ("⇧letter", "sort by the underlined letter; again reverses")],
    "In a conversation": [
        ("t", "fold or unfold a tool call"),
        ("T", "fold or unfold all of them"),
        ("tab", "to the prompt, the card, the text"),
    ],
}
"""Keys that belong to a widget, not to a verb."""

CAPTION = 9
"""Cells of the column of keys."""

INTERRUPTED = "Decide about a turn that a restart interrupted (while its card has the focus)"
"""Keys of the dashboard that its card takes as well."""

Sides = tuple[tuple[str, ...], tuple[str, ...]]
"""Headings on the left and on the right."""
ON_THE_DASHBOARD: tuple[Sides, ...] = (
    ((LOOK, WRITE, "In a table"), (STOP, STEER, ANSWER, "In a conversation", PROGRAM)),
)
IN_A_CHAT: tuple[Sides, ...] = (
    ((WRITE, "In a conversation"), (ANSWER, INTERRUPTED, PROGRAM)),
    ((LOOK, "In a table"), (STOP, STEER)),
)
"""Its own keys, then those of the dashboard."""

LEGEND = (
    ("asking", "interrupted", "failed", "stalled", "waiting", "working", "idle", "dormant", "hibernated", "new"),
    ("running", "draining", "drained", "paused", "parked", "stopped"),
)
"""Signs of sessions, then of instances."""


class HelpScreen(Dialog[None]):
    CSS_PATH = [SHEET, "help.tcss"]
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q,question_mark,f1,enter", "cancel", "close", show=False),
        Binding("j", "scroll(1)", show=False),
        Binding("k", "scroll(-1)", show=False),
    ]

    def __init__(self, *, in_chat: bool = False) -> None:
        """`in_chat`: a chat's keys come first."""
        super().__init__()
        self._in_chat = in_chat

    def compose(self) -> ComposeResult:
        with self.box("Keys", "↑↓ scroll", "esc closes", scrolls=True):
            if not self._in_chat:
                yield Legend(id="legend")
            for row, sides in enumerate(IN_A_CHAT if self._in_chat else ON_THE_DASHBOARD):
                of_dashboard = self._in_chat and row > 0
                with Container(classes="sides"):
                    for side in sides:
                        yield KeyTable(tuple(_group(heading, of_dashboard=of_dashboard) for heading in side))
            if self._in_chat:
                yield Legend(id="legend")

    def on_screen_resume(self) -> None:
        """Scrolls to the first line: the screen is kept while it is closed."""
        box = self.query_one("#box")
        if box.scroll_y:
            box.scroll_home(animate=False)

    def action_scroll(self, lines: int) -> None:
        self.query_one("#box").scroll_relative(y=lines, animate=False)


def _group(heading: str, *, of_dashboard: bool) -> tuple[str, tuple[tuple[str, str], ...]]:
    title = f"Dashboard: {heading[0].lower()}{heading[1:]}" if of_dashboard else heading
    return title, tuple(_keys(heading))


def _keys(heading: str) -> list[tuple[str, str]]:
    if heading == INTERRUPTED:
        return [(key_caption(verb), verb.description) for verb in VERBS if verb.name in ("replay", "drop_offer")]
    return WIDGET_KEYS.get(heading) or [
        (key_caption(verb), verb.description) for verb in VERBS if verb.group == heading and verb.key
    ]


class KeyTable(Widget):
    """Groups of keys with what they do. One widget draws them all: of one each, the help opened five times slower."""

    def __init__(self, groups: Groups) -> None:
        super().__init__()
        self._groups = groups

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(_lines(self._groups, width))

    def render(self) -> Content:
        return Content("\n").join(_lines(self._groups, self.content_size.width))


Groups = tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
"""Headings, each with its keys and what they do."""


@lru_cache(maxsize=32)
def _lines(groups: Groups, width: int) -> tuple[Content, ...]:
    """The same at each opening, and asked for several times in one."""
    lines: list[Content] = []
    for heading, keys in groups:
        lines += Content.styled(heading, "bold $text-primary").wrap(max(1, width))
        for caption, description in keys:
            rows = Content(description).wrap(max(1, width - CAPTION))
            for number, row in enumerate(rows):
                key = "" if number else caption
                lines.append(Content.assemble((f"{key:<{CAPTION - 1}} ", "bold $text-accent"), row))
        lines.append(Content(""))
    return tuple(lines)


class Legend(Widget):
    """Signs with their words. A line breaks between two of them, never between a sign and its word."""

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(_legend(width))

    def render(self) -> Content:
        return Content("\n").join(_legend(self.content_size.width))


@lru_cache(maxsize=32)
def _legend(width: int) -> tuple[Content, ...]:
    styles = {"busy": "$text-primary", "warn": "$text-warning", "error": "$text-error", "ok": "$text-success",
              "accent": "$text-accent", "asleep": ASLEEP, "dim": MUTED}  # fmt: skip
    lines: list[Content] = []
    for words in LEGEND:
        signs = [
            Content.assemble((format.glyph(word), styles.get(format.role(word), "")), f" {word}") for word in words
        ]
        if words is LEGEND[-1]:
            signs.append(Content.assemble((SPARE_GLYPH, MUTED), " spare client"))
            for word in (SlotState.STARTING, SlotState.WAKING):
                signs.append(Content.assemble((format.glyph(word), styles["accent"]), f" {word} client"))
            signs.append(Content.assemble((OUTDATED_GLYPH, styles["accent"]), " client of an earlier template"))
        line = signs[0]
        for sign in signs[1:]:
            longer = Content("   ").join([line, sign])
            if longer.cell_length <= width:
                line = longer
            else:
                lines.append(line)
                line = sign
        lines.append(line)
    return tuple(lines)
