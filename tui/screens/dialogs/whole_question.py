"""One question on the whole screen, to be read to its end and answered."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from supervisor import Question
from tui.screens.dialogs.dialog import SHEET, Dialog
from tui.widgets.question_card import SCROLLING, permission_keys
from tui.widgets.question_view import QuestionView
from tui.wording.format import tool_name
from tui.wording.sanitize import clean_cell
from tui.wording.verbs import Where, bindings


class QuestionScreen(Dialog[str | None]):
    """Dismissed with the answer's action (`approve`, `always` or `deny`), or with None."""

    AUTO_FOCUS = ""
    CSS_PATH = [SHEET, "whole_question.tcss"]
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings(Where.QUESTION),
        Binding("q,enter", "cancel", "close", show=False),
        *SCROLLING,
    ]

    def __init__(self, question: Question, *, may_answer: bool = True) -> None:
        super().__init__()
        self._question = question
        self._may_answer = may_answer

    def compose(self) -> ComposeResult:
        question = self._question
        with Vertical(id="box") as box:
            box.border_title = Content(
                f"May {clean_cell(tool_name(question.tool), 60)} run?  {clean_cell(str(question.key), 80)}"
            )
            yield QuestionView(question)
            yield Static(classes="place", markup=False)
            if self._may_answer:
                yield Static(permission_keys(question), classes="keys", markup=False)

    def on_question_view_scrolled(self) -> None:
        scrolls = "j k space b g G scroll · "
        if self.query(QuestionView) and self.query(".place"):  # not while the screen is being left
            place = self._view.place
            self.query_one(".place", Static).update(
                Content(f"{place} · {scrolls}esc closes" if place else "esc closes")
            )

    @property
    def _view(self) -> QuestionView:
        return self.query_one(QuestionView)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in ("approve", "always", "deny") and not self._may_answer:
            return False
        return bool(self._question.always) if action == "always" else True

    def action_approve(self) -> None:
        self.dismiss("approve")

    def action_always(self) -> None:
        self.dismiss("always")

    def action_deny(self) -> None:
        self.dismiss("deny")

    def action_scroll(self, lines: int) -> None:
        self._view.scroll_relative(y=lines, animate=False)

    def action_page(self, pages: int) -> None:
        self._view.scroll_relative(y=pages * max(1, self._view.size.height - 1), animate=False)

    def action_edge(self, is_end: bool) -> None:
        self._view.scroll_to(y=self._view.max_scroll_y if is_end else 0, animate=False)
