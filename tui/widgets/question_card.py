"""The card on which an agent's question is answered: its keys work only while it has the focus."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widgets import Static

from supervisor import Allow, Answer, ChoiceItem, Choose, Question, QuestionKind
from tui.operator.app import app_of
from tui.themes import MUTED
from tui.widgets.card import DockedCard, how_to_reach
from tui.widgets.question_view import QuestionView
from tui.wording import format
from tui.wording.format import tool_name
from tui.wording.question_lines import always_words
from tui.wording.sanitize import clean_cell, clean_text
from tui.wording.verbs import Where, bindings

SCROLLING: tuple[BindingType, ...] = (
    Binding("up,k", "scroll(-1)", show=False),
    Binding("down,j", "scroll(1)", show=False),
    Binding("pagedown,space", "page(1)", show=False),
    Binding("pageup,b", "page(-1)", show=False),
    Binding("home,g", "edge(False)", show=False),
    Binding("end,G", "edge(True)", show=False),
)
"""Keys that move the text of a question."""


class QuestionCard(DockedCard):
    """One open question. It answers nothing itself: it posts what was decided."""

    class Answered(Message):
        def __init__(self, question: Question, answer: Answer) -> None:
            super().__init__()
            self.question = question
            self.answer = answer

    class ReasonWanted(Message):
        """The operator denies and is to be asked why."""

        def __init__(self, question: Question) -> None:
            super().__init__()
            self.question = question

    class TextWanted(Message):
        """The operator wants to answer an item in words of their own."""

        def __init__(self, card: ChoiceCard, item: ChoiceItem) -> None:
            super().__init__()
            self.card = card
            self.item = item

    def __init__(self, question: Question) -> None:
        super().__init__()
        self.question = question

    @property
    def subject(self) -> object:
        return self.question.id

    @property
    def since(self) -> float:
        return self.question.asked_at

    def show_age(self, now: float) -> None:
        """Writes how long it has been asked, and how long is left."""
        question = self.question
        self.border_subtitle = Content(
            f"asked {format.age(now - question.asked_at)} ago · expires in {format.age(question.expires_at - now)}"
        )
        asks = "◐ The agent asks" if question.choices else f"◐ May {clean_cell(tool_name(question.tool), 40)} run?"
        self.write_line(asks, f"asked {format.age(now - question.asked_at)} ago", clean_cell(question.summary, 200))


class PermissionCard(QuestionCard):
    """May this tool run? `a` once, `A` always in this session, `d` no; `enter` shows it on the whole screen."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings(Where.QUESTION),
        Binding("enter", "enlarge", "whole screen", key_display="⏎"),
        *SCROLLING,
    ]

    class Enlarged(Message):
        """The operator wants to read it on the whole screen."""

        def __init__(self, card: PermissionCard) -> None:
            super().__init__()
            self.card = card

    def compose(self) -> ComposeResult:
        question = self.question
        yield self.line
        self.border_title = Content.assemble("May ", (clean_cell(tool_name(question.tool), 40), "bold"), " run?")
        if question.warnings:
            yield Static(Content(warning_words(question)), classes="warning", markup=False)
        yield QuestionView(question, classes="detail")
        yield Static(classes="place", markup=False)
        yield Static(permission_keys(question), classes="keys", markup=False)
        yield how_to_reach("to answer: once, always or no" if question.always else "to answer: once or no")

    def on_question_view_scrolled(self) -> None:
        if self.query(QuestionView) and self.query(".place"):  # not while the card is being removed
            line, place = self.query_one(".place", Static), self.view.place
            line.update(Content(f"{place} · j k space b g G scroll" if place else ""))
            line.display = bool(place)

    @property
    def view(self) -> QuestionView:
        return self.query_one(QuestionView)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return bool(self.question.always) if action == "always" else True

    def action_approve(self) -> None:
        if self.takes_keys():
            self.post_message(self.Answered(self.question, Allow()))

    def action_always(self) -> None:
        if self.question.always and self.takes_keys():
            self.post_message(self.Answered(self.question, Allow(always=True)))

    def action_deny(self) -> None:
        if self.takes_keys():
            self.post_message(self.ReasonWanted(self.question))

    def action_enlarge(self) -> None:
        self.post_message(self.Enlarged(self))

    def action_scroll(self, lines: int) -> None:
        self.view.scroll_relative(y=lines, animate=False)

    def action_page(self, pages: int) -> None:
        self.view.scroll_relative(y=pages * max(1, self.view.size.height - 1), animate=False)

    def action_edge(self, is_end: bool) -> None:
        self.view.scroll_to(y=self.view.max_scroll_y if is_end else 0, animate=False)


class Drawn(NamedTuple):
    """How the items of a choice were drawn last."""

    width: int
    """Cells of a line."""
    total: int
    """Lines."""
    cursor: int
    """The line of the option under the cursor."""


class ChoiceCard(QuestionCard):
    """AskUserQuestion: its items one after the other, by number or by arrows and enter."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("enter", "choose", "choose", key_display="⏎"),
        Binding("space", "mark", "mark"),
        Binding("o", "other", "other words"),
        Binding("d", "deny", "decline"),
        *[Binding(str(number), f"pick({number - 1})", show=False) for number in range(1, 10)],
    ]

    at: reactive[int] = reactive(-1)
    """The option under the cursor; one past the last is "other words"; -1 before any was looked at, so that an enter
    meant for something else answers nothing."""

    def __init__(self, question: Question) -> None:
        super().__init__(question)
        self._answers: dict[str, str] = {}
        self._marked: set[int] = set()
        self._drawn = Drawn(0, 0, 0)

    @property
    def item(self) -> ChoiceItem:
        return self.question.choices[len(self._answers)]

    def compose(self) -> ComposeResult:
        yield self.line
        for warning in self.question.warnings:
            yield Static(Content(f"⚠ {clean_text(warning)}"), classes="warning", markup=False)
        with VerticalScroll(classes="options", can_focus=False):
            yield Static(classes="items", markup=False)
        yield Static(classes="place", markup=False)
        yield how_to_reach("to answer: by number, or with the arrows")

    def on_mount(self) -> None:
        self._draw()

    def on_resize(self) -> None:
        self._draw()

    def watch_at(self) -> None:
        self._draw()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return self.item.multiple if action == "mark" else True

    def answer_item(self, text: str) -> None:
        """Answers the item on show; after the last one the whole question is answered."""
        self._answers[self.item.question] = text
        if len(self._answers) == len(self.question.choices):
            self.post_message(self.Answered(self.question, Choose(dict(self._answers))))
            self._answers.popitem()
            return
        self._marked.clear()
        self.at = -1
        self._draw()
        self.refresh_bindings()

    def action_move(self, lines: int) -> None:
        self.at = (max(self.at, 0 if lines < 0 else -1) + lines) % (len(self.item.options) + 1)

    def action_choose(self) -> None:
        options = self.item.options
        if not self.takes_keys():
            return
        if self.at < 0 and not self._marked:
            app_of(self).action_say_idle("↑ ↓ go to an option first; its number chooses it at once")
            return
        if self.at >= len(options):
            self.action_other()
        elif self.item.multiple and self._marked:
            self.answer_item(", ".join(options[index][0] for index in sorted(self._marked)))
        else:
            self.answer_item(options[self.at][0])

    def action_pick(self, index: int) -> None:
        if index > len(self.item.options) or not self.takes_keys():
            return
        self.at = index
        if self.item.multiple and index < len(self.item.options):
            self.action_mark()
        else:
            self.action_choose()

    def action_mark(self) -> None:
        if 0 <= self.at < len(self.item.options):
            self._marked ^= {self.at}
            self._draw()

    def action_other(self) -> None:
        if self.takes_keys():
            self.post_message(self.TextWanted(self, self.item))

    def action_deny(self) -> None:
        if self.takes_keys():
            self.post_message(self.ReasonWanted(self.question))

    def _draw(self) -> None:
        if not (self.query(".items") and self.query(".options")):
            return
        item = self.item
        number, total = len(self._answers) + 1, len(self.question.choices)
        self.border_title = Content(
            clean_cell(item.header or "The agent asks", 40) + (f" · {number} of {total}" if total > 1 else "")
        )
        width = max(20, self.query_one(".options").size.width - 1)
        lines = Content.styled(clean_text(item.question), "bold").wrap(width)
        at = 0
        for index, (label, description) in enumerate((*item.options, ("other words…", ""))):
            if index == self.at:
                at = len(lines)
            lines += self._option(index, label, description).wrap(width)
        self._drawn = Drawn(width, len(lines), at)
        self.query_one(".items", Static).update(Content("\n").join(lines))
        self.call_after_refresh(self._show_cursor)

    def _show_cursor(self) -> None:
        """Brings the option under the cursor into sight, and says how much is out of it. The layout may have settled
        since the lines were drawn: then they are drawn again, and counted again."""
        if not (self.query(".options") and self.query(".place")):
            return  # the card is being removed: it was settled since the lines were drawn
        view, place = self.query_one(".options"), self.query_one(".place", Static)
        if max(20, view.size.width - 1) != self._drawn.width:
            self._draw()
            return
        first, line, height = round(view.scroll_offset.y), self._drawn.cursor, view.size.height
        if not first <= line < first + height - 1:
            first = max(0, min(line - 1, self._drawn.total - height))
            view.scroll_to(y=first, animate=False)
        below = self._drawn.total - height - first
        is_cut = self._drawn.total > height
        words = (
            f"{format.some(below, 'more line')} below · ↑ ↓ go through them" if below > 0 else "the end · ↑ goes back"
        )
        place.update(Content(words if is_cut else ""))
        if place.display != is_cut:
            place.display = is_cut
            self.call_after_refresh(self._show_cursor)

    def _option(self, index: int, label: str, description: str) -> Content:
        is_at = index == self.at
        mark = ""
        if self.item.multiple and index < len(self.item.options):
            mark = "☑ " if index in self._marked else "☐ "
        return Content.assemble(
            ("▌ " if is_at else "  ", "$text-accent"),
            (f"{index + 1} ", "bold $text-accent"),
            mark,
            (clean_text(label), "bold" if is_at else ""),
            (f"  {clean_text(description)}" if description else "", MUTED),
        )


def card_for(question: Question) -> QuestionCard:
    return (
        ChoiceCard(question) if question.kind is QuestionKind.CHOICE and question.choices else PermissionCard(question)
    )


def warning_words(question: Question) -> str:
    """One line that stands out, wherever the text is scrolled to; the text begins with the warnings themselves."""
    number = len(question.warnings)
    return f"⚠ Read it with care: {number} warning{'s' if number > 1 else ''}"


def permission_keys(question: Question) -> Content:
    """The keys that answer it, with what "always" would allow."""
    parts: list[str | tuple[str, str]] = [("a", "bold $text-accent"), " allow once   "]
    if question.always:
        parts += [("A", "bold $text-accent"), f" always in this session: {always_words(question)}   "]
    parts += [("d", "bold $text-accent"), " deny   ", ("tab", MUTED), (" to the message", MUTED)]
    return Content.assemble(*parts)
