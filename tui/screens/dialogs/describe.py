"""Every fact about one thing, to be read and scrolled."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Static

from tui.screens.dialogs.dialog import SHEET, Dialog
from tui.wording.facts import Facts
from tui.wording.sanitize import clean_text


class DescribeScreen(Dialog[None]):
    CSS_PATH = [SHEET, "describe.tcss"]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q,d,enter,f2", "cancel", "close", show=False),
        Binding("j", "scroll(1)", show=False),
        Binding("k", "scroll(-1)", show=False),
    ]

    def __init__(self, title: str, facts: Facts) -> None:
        super().__init__()
        self._title, self._facts = title, facts

    def compose(self) -> ComposeResult:
        with self.box(clean_text(self._title), "↑↓ scroll", "esc closes", scrolls=True):
            for label, text in self._facts:
                yield Static(Content(label), classes="label", markup=False)
                yield Static(Content(clean_text(text)), classes="fact", markup=False)

    def action_scroll(self, lines: int) -> None:
        self.query_one("#box").scroll_relative(y=lines, animate=False)
