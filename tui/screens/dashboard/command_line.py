"""`:` — a verb and its target, typed: the dialog."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.suggester import Suggester
from textual.widgets import Input, Static
from textual.widgets.input import Selection

from supervisor import show_name
from tui.engine_link.newest import Newest
from tui.operator.completion import ON_LIMIT, LineNames, common_start, complete, split_line
from tui.operator.limit_line import read_limit, tell_limit
from tui.screens.dashboard.typed_verbs import Commanded, is_about_limits, mistake_in, refusal_of, run
from tui.screens.dialogs.ask_text import AskTextScreen

EXAMPLES = (
    "a verb and its target: drain helpdesk · open printer · sort memory · set helpdesk.maxClients 8 · tab completes"
)

SHOWN_FITS = 6
"""Completions shown below the line."""


def ask_command(screen: Commanded, typed: str = "") -> None:
    """Asks for a line and runs it; a line that cannot be run is answered in place."""

    def decided(line: str | None) -> None:
        if line and not is_about_limits(line):
            run(screen, line)

    screen.app.push_screen(CommandScreen(screen, typed), decided)


class CommandLine(Input):
    """An input that posts `Completed` when the suggestion behind the cursor was taken."""

    class Completed(Message):
        def __init__(self, line: CommandLine) -> None:
            super().__init__()
            self.line = line

    def action_cursor_right(self, select: bool = False) -> None:
        before = self.value
        super().action_cursor_right(select)
        if self.value != before:
            self.post_message(self.Completed(self))


class CommandScreen(AskTextScreen):
    """A dialog for a typed command. Tab completes as far as all candidates agree, then walks through them."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "complete(1)", "complete", priority=True, show=False),
        Binding("shift+tab", "complete(-1)", "complete", priority=True, show=False),
    ]

    DEFAULT_CSS = """
    CommandScreen .fits {
        height: auto;
        color: $text-muted;
    }
    """

    def __init__(self, screen: Commanded, typed: str = "") -> None:
        self._names = names = line_names_of(screen)
        super().__init__(
            "Command",
            EXAMPLES,
            value=typed,
            mistake_in=lambda line: mistake_in(screen, line),
            refusal_of=lambda line: refusal_of(screen, line) if is_about_limits(line) else None,
            hint_for=lambda line: hint_for(names, line),
            keep=screen.keep_line,
        )
        self._limits: Newest[None, None] = Newest(
            self, lambda _: names.bridge.refresh_limits(), lambda *_: self._look_at_limits()
        )
        self._fits: list[str] = []
        self._at: int | None = None
        """Which of them stands in the line; None while the operator's own words do."""
        self._put = ""

    def on_mount(self) -> None:
        self.query_one("#box").mount(Static(classes="fits", markup=False), after="#line")
        self._look(self.query_one("#line", Input).value)
        self._limits.want(None)

    def _look_at_limits(self) -> None:
        """Limits have arrived: they may have changed since they were asked for last."""
        line = self.query("#line").results(Input)
        for each in line:
            if is_about_limits(each.value) and self._at is None:
                self._look(each.value)
                self.show_hint(each.value)

    @on(Input.Changed, "#line")
    def look_again(self, event: Input.Changed) -> None:
        if event.value != self._put:
            self._look(event.value)

    def _look(self, line: str) -> None:
        self._fits, self._at, self._put = complete(line, self._names), None, ""
        self._show_fits(line)

    def _show_fits(self, line: str) -> None:
        shown = self.query(".fits")
        if not shown:
            return
        is_whole = self._fits == [line] or (not line and self._at is None)
        first = max(0, min((self._at or 0) - SHOWN_FITS // 2, len(self._fits) - SHOWN_FITS))
        rows = [
            Content.styled(show_name(fit), "$foreground bold" if first + place == self._at else "")
            for place, fit in enumerate(self._fits[first : first + SHOWN_FITS])
        ]
        if (more := len(self._fits) - SHOWN_FITS) > 0:
            rows.append(Content(f"… {more} more fit"))
        shown.first(Static).update(Content("") if is_whole else Content("\n").join(rows))

    def action_complete(self, step: int) -> None:
        line = self.query_one("#line", Input)
        if not self._fits:
            return
        start = common_start(self._fits)
        if self._at is None and len(start) > len(line.value) and start.startswith(line.value):
            self._replace(line, start)
            if len(self._fits) == 1:
                self._look(start)
            return
        self._at = (0 if step > 0 else len(self._fits) - 1) if self._at is None else (self._at + step) % len(self._fits)
        self._replace(line, self._fits[self._at])
        self._show_fits(line.value)

    def _replace(self, line: Input, text: str) -> None:
        self._put = line.value = text
        line.cursor_position = len(text)
        if text in self._fits:
            self.select_value(line)

    def select_value(self, line: Input) -> None:
        """The value that a limit has now is there to be typed over."""
        verb, rest = split_line(line.value)
        if verb in ON_LIMIT and (value := read_limit(rest, self._names.bridge.instances).value):
            line.selection = Selection(len(line.value) - len(value), len(line.value))

    def make_line(self, value: str) -> Input:
        return CommandLine(
            value, placeholder="verb target", id="line", suggester=LineSuggester(self._names), max_length=2000
        )

    @on(CommandLine.Completed)
    def take_suggestion(self, event: CommandLine.Completed) -> None:
        self.select_value(event.line)


class LineSuggester(Suggester):
    """The first whole line that begins as what was typed."""

    def __init__(self, names: LineNames) -> None:
        # What can be suggested changes with the rows.
        super().__init__(use_cache=False, case_sensitive=True)
        self._names = names

    async def get_suggestion(self, value: str) -> str | None:
        return next((line for line in complete(value, self._names) if value and line.startswith(value)), None)


def line_names_of(screen: Commanded) -> LineNames:
    """The names, limits, columns and themes that a line on this screen may use now."""
    columns = {column.title: column.key for column in screen.active_columns() if column.sort_letter}
    return LineNames(screen.bridge, screen.bridge.limits, columns, sorted(screen.app.available_themes))


def hint_for(names: LineNames, line: str) -> str:
    """The value that a limit had when the line was begun, while a new one is typed."""
    verb, rest = split_line(line)
    known = names.limits
    return tell_limit(rest, names.bridge.instances, lambda name: known.get(name, {})) if verb in ON_LIMIT else ""
