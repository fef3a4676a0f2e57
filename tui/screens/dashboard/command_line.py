"""`:` — a verb and its target, typed."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.suggester import Suggester
from textual.widgets import Input, Static
from textual.widgets.input import Selection

from supervisor import Archetype, BullpenError, InstanceState, SessionKey, show_name
from tui.engine_link.newest import Newest
from tui.operator import consequences
from tui.operator.completion import (
    ALONE,
    NEED,
    ON_INSTANCE,
    ON_LIMIT,
    ON_MARKS,
    ON_PROGRAM,
    ON_SESSION,
    ON_USER,
    ON_VIEW,
    VERBS,
    Mirror,
    common_start,
    complete,
    find_sessions,
    split_line,
    split_target,
    targets_of,
    users,
)
from tui.operator.limit_line import mistake_in_limit, read_limit, tell_limit
from tui.operator.listings import LISTINGS
from tui.operator.operations import OPERATOR
from tui.operator.orders import Thing
from tui.screens.dialogs.ask_text import AskTextScreen

if TYPE_CHECKING:
    from tui.screens.dashboard.operator_verbs import OperatorScreen

EXAMPLES = (
    "a verb and its target: drain helpdesk · open printer · sort memory · set helpdesk.maxClients 8 · tab completes"
)

SHOWN_FITS = 6
"""Completions shown below the line."""

BY_WORD = {
    "clear": "clear_queue",
    "close": "close_session",
    "drop": "drop_offer",
    "interrupt": "interrupt",
    "hibernate": "hibernate",
    "compact": "compact",
    "replay": "replay",
    "pause": "pause",
    "resume": "resume",
    "drain": "drain",
    "kill": "kill",
}
"""The typed verbs that take marked rows when no target is typed, and their actions."""


def ask_command(screen: OperatorScreen, typed: str = "") -> None:
    """Asks for a line and runs it; a line that cannot be run is answered in place."""

    def decided(line: str | None) -> None:
        if line and not is_about_limits(line):
            run(screen, line)

    screen.app.push_screen(CommandScreen(screen, typed), decided)


class CommandLine(Input):
    """Says when the suggestion behind the cursor was taken."""

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
    """Tab completes as far as all that fits agrees, then walks through it."""

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

    def __init__(self, screen: OperatorScreen, typed: str = "") -> None:
        self._mirror = mirror = mirror_of(screen)
        super().__init__(
            "Command",
            EXAMPLES,
            value=typed,
            mistake_in=lambda line: mistake_in(screen, line),
            refusal_of=lambda line: refusal_of(screen, line) if is_about_limits(line) else None,
            hint_for=lambda line: hint_for(mirror, line),
            keep=screen.keep_line,
        )
        self._limits: Newest[None, None] = Newest(
            self, lambda _: mirror.bridge.refresh_limits(), lambda *_: self._look_at_limits()
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
        self._fits, self._at, self._put = complete(line, self._mirror), None, ""
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
        if verb in ON_LIMIT and (value := read_limit(rest, self._mirror.bridge.instances).value):
            line.selection = Selection(len(line.value) - len(value), len(line.value))

    def make_line(self, value: str) -> Input:
        return CommandLine(
            value, placeholder="verb target", id="line", suggester=LineSuggester(self._mirror), max_length=2000
        )

    @on(CommandLine.Completed)
    def take_suggestion(self, event: CommandLine.Completed) -> None:
        self.select_value(event.line)


class LineSuggester(Suggester):
    """The first whole line that begins as what was typed."""

    def __init__(self, mirror: Mirror) -> None:
        # What can be suggested changes with the rows.
        super().__init__(use_cache=False, case_sensitive=True)
        self._mirror = mirror

    async def get_suggestion(self, value: str) -> str | None:
        return next((line for line in complete(value, self._mirror) if value and line.startswith(value)), None)


def mirror_of(screen: OperatorScreen) -> Mirror:
    """What the screen holds now."""
    columns = {column.title: column.key for column in screen.active_columns() if column.sort_letter}
    return Mirror(screen.bridge, screen.bridge.limits, columns, sorted(screen.app.available_themes))


def is_about_limits(line: str) -> bool:
    return split_line(line)[0] in ON_LIMIT


def hint_for(mirror: Mirror, line: str) -> str:
    """The value that a limit had when the line was begun, while a new one is typed."""
    verb, rest = split_line(line)
    known = mirror.limits
    return tell_limit(rest, mirror.bridge.instances, lambda name: known.get(name, {})) if verb in ON_LIMIT else ""


async def refusal_of(screen: OperatorScreen, line: str) -> str:
    """Changes a limit as the line says. Whether a value will do only the engine knows, so what it refuses stands beside
    the line that was typed; empty when it was done."""
    limit = read_limit(split_line(line)[1], screen.bridge.instances)
    try:
        screen.app.notify(await screen.operations.adjust(*limit), markup=False)
    except BullpenError as error:
        return str(error)
    return ""


def mistake_in(screen: OperatorScreen, line: str) -> str:
    """What is wrong with a line; empty when it can be run."""
    verb, rest = split_line(line)
    bridge = screen.bridge
    if verb not in VERBS:
        return f"no verb {verb!r}; there are {', '.join(VERBS)}"
    if verb in ON_PROGRAM:
        return f"{verb} is about the whole program: nothing stands behind it" if rest else ""
    if verb in ON_LIMIT:
        return mistake_in_limit(rest, bridge.instances)
    if verb in ON_VIEW:
        return _mistake_about_view(screen, verb, rest)
    if verb in ON_MARKS:
        return "" if screen.target_sessions() else f"{verb}: mark sessions with space first"
    if not rest and (verb in ALONE or (verb in BY_WORD and screen.has_marks)):
        return "" if verb in ALONE or screen.can(BY_WORD[verb]) else f"{verb}: it cannot be done to the marked rows now"
    if verb == "open":
        return _mistake_in_open(screen, rest)
    if verb in ON_USER:
        return "" if rest in users(bridge) else f"{verb} USER: no session is {show_name(rest) or 'theirs'}'s"
    target, more = split_target(rest, targets_of(verb, mirror_names(screen)))
    if verb == "scale" and not _is_count(more):
        return "scale INSTANCE N, with N a whole number from 1"
    if verb in ("drain", "kill") and target == "all":
        return ""
    if verb in ON_INSTANCE and (instance := bridge.instances.get(target)) is not None:
        is_second = verb == "drain" and instance.state is InstanceState.DRAINING
        if is_second or verb not in BY_WORD or screen.orders.can(BY_WORD[verb], [instance]):
            return ""
        return f"{verb}: it cannot be done to {target} now: it is {instance.state}"
    if verb == "kill" and target in bridge.clients:
        return ""
    if verb in ON_SESSION and (key := _session_named(screen, target)) is not None:
        return _mistake_about_session(screen, verb, key, more)
    if not target:
        return f"{verb} what? Name an instance or a session: tab shows them"
    return f"{verb}: nothing is called {target!r}"


def mirror_names(screen: OperatorScreen) -> Mirror:
    """Only what a target may be called."""
    return Mirror(screen.bridge, {}, {}, ())


def _mistake_about_view(screen: OperatorScreen, verb: str, rest: str) -> str:
    if verb == "sort" and _column_named(screen, rest) is None and rest != NEED:
        titles = [column.title for column in screen.active_columns() if column.sort_letter]
        return f"sort by what? There are {', '.join((*titles, NEED))}"
    if verb == "theme" and rest not in screen.app.available_themes:
        return f"no theme {rest!r}; tab shows them"
    return ""


def _column_named(screen: OperatorScreen, name: str) -> str | None:
    """The key of a column by its title, its key, or the first letters of either when only one begins so."""
    columns = [column for column in screen.active_columns() if column.sort_letter]
    small = name.casefold()
    whole = [column.key for column in columns if small in (column.title.casefold(), column.key)]
    begun = [
        column.key for column in columns if small and (column.title.startswith(small) or column.key.startswith(small))
    ]
    return next(iter(whole or (begun if len(begun) == 1 else [])), None)


def _mistake_in_open(screen: OperatorScreen, part: str) -> str:
    if not part:
        return "open what? Any part of a session's name: tab shows them"
    found = find_sessions(part, screen.bridge.sessions)
    if not found:
        return f"open: no session's name holds {part!r}"
    if len(found) > 1:
        more = f" and {len(found) - 5} more" if len(found) > 5 else ""
        return f"open: {len(found)} sessions fit {part!r}: {', '.join(map(str, found[:5]))}{more}"
    return ""


def _mistake_about_session(screen: OperatorScreen, verb: str, key: SessionKey, number: str) -> str:
    if verb in ("replay", "drop") and key not in screen.bridge.offers:
        return f"{verb}: {key} has no interrupted turn"
    row = screen.bridge.sessions[key]
    if verb == "withdraw":
        waiting = len(row.waiting)
        if not waiting:
            return f"withdraw: nothing waits in {key}"
        if number and not (_is_count(number) and int(number) <= waiting):
            return f"withdraw SESSION N, with N from 1 to {waiting}; without N the newest"
    elif verb in BY_WORD and not screen.orders.can(BY_WORD[verb], [row]):
        return f"{verb}: it cannot be done to {key} now: it is {row.state}"
    return ""


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and int(text) >= 1


def _session_named(screen: OperatorScreen, name: str) -> SessionKey | None:
    return next((key for key in screen.bridge.sessions if str(key) == name), None)


def run(screen: OperatorScreen, line: str) -> None:
    """Runs a line without mistakes, asking first where the key would have asked."""
    verb, rest = split_line(line)
    bridge, operations = screen.bridge, screen.operations
    if not rest and verb in BY_WORD:
        screen.order(BY_WORD[verb], screen.chosen(), is_marked=True)
        return
    target, more = split_target(rest, targets_of(verb, mirror_names(screen)))
    key = _session_named(screen, target) if verb in ON_SESSION else None
    match verb:
        case "sort" if rest == NEED:
            screen.action_sort()
        case "sort" if (column := _column_named(screen, rest)) is not None:
            screen.sort_active(column)
        case "filter":
            screen.filter_active(rest)
        case "theme":
            screen.app.theme = rest
        case name if name in LISTINGS:
            screen.action_list(name, rest)
        case "broadcast":
            screen.action_broadcast()
        case "help":
            screen.app.push_screen("help")
        case "quit":
            screen.call_later(screen.run_action, "app.quit")
        case "open":
            screen.open_chat(find_sessions(rest, bridge.sessions)[0])
        case "new" | "chat":
            screen.begin_chat(target or None, more or OPERATOR)
        case "forget":
            rows = [row for row in bridge.sessions.values() if row.key.user == rest]
            shared = [
                row.name for row in bridge.instances.values() if row.archetype is Archetype.EMPLOYEE and row.sessions
            ]
            screen.confirm(consequences.of_forget(rest, rows, shared), lambda: operations.forget_user(rest))
        case "drain" if target == "all":
            screen.action_drain_all()
        case "kill" if target == "all":
            screen.action_kill_all()
        case "drain" if bridge.instances[target].state is InstanceState.DRAINING:
            screen.confirm(consequences.of_second_drain(bridge, target), lambda: operations.drain(target))
        case "scale":
            screen.verbs.attempt(lambda: operations.scale(target, int(more)))
        case "withdraw" if key is not None:
            turn = bridge.sessions[key].waiting[int(more) - 1 if more else -1]
            screen.verbs.attempt(lambda: operations.withdraw(turn.turn_id))
        case _:
            thing: Thing = (
                bridge.sessions[key] if key is not None else bridge.clients.get(target) or bridge.instances[target]
            )
            screen.order(BY_WORD[verb], [thing], is_marked=False)
