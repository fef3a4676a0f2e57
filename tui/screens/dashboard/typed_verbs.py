"""What a typed line does: what is wrong with it, and what it tells the screen and the engine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from textual.app import App

from supervisor import Archetype, BullpenError, InstanceState, SessionKey, show_name
from tui.engine_link.bridge import Bridge
from tui.engine_link.verb_queue import Act, VerbQueue
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
    LineNames,
    find_sessions,
    split_line,
    split_target,
    targets_of,
    users,
)
from tui.operator.consequences import Consequence
from tui.operator.limit_line import mistake_in_limit, read_limit
from tui.operator.listings import LISTINGS
from tui.operator.operations import OPERATOR, Operations
from tui.operator.orders import Orders, Thing
from tui.tables.layout import Column

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


class Commanded(Protocol):
    """The screen whose rows a line is about."""

    bridge: Bridge
    operations: Operations

    @property
    def app(self) -> App[object]: ...

    @property
    def orders(self) -> Orders: ...

    @property
    def verbs(self) -> VerbQueue: ...

    def confirm(self, consequence: Consequence, act: Act) -> None:
        """Does it when the operator says so, and only then."""

    def order(self, verb: str, things: Sequence[Thing], *, is_marked: bool) -> None:
        """Makes the orders of a verb now, asks where it has to be asked, and tells the engine."""

    def can(self, verb: str) -> bool:
        """Whether a verb applies to any of the chosen rows as they are now."""

    def chosen(self) -> tuple[Thing, ...]:
        """The marked rows of the pane with the focus; without marks, the row under its cursor."""

    @property
    def has_marks(self) -> bool:
        """Whether `chosen` are marked rows, and not the row under the cursor."""

    def target_sessions(self) -> tuple[SessionKey, ...]:
        """The sessions of the chosen rows, each once."""

    def open_chat(self, key: SessionKey) -> None: ...

    def begin_chat(self, instance: str | None, user: str = OPERATOR) -> None:
        """Asks for a session that does not exist yet, and opens it."""

    def active_columns(self) -> tuple[Column, ...]:
        """The columns of the table with the focus."""

    def sort_active(self, column: str) -> None: ...

    def filter_active(self, text: str) -> None: ...

    def action_sort(self) -> None:
        """Sorts the table by need: first what has to be looked at first."""

    def action_list(self, name: str, argument: str = "") -> None: ...

    def action_broadcast(self) -> None: ...

    def action_drain_all(self) -> None: ...

    def action_kill_all(self) -> None: ...

    def keep_line(self, line: str) -> None:
        """Keeps a command that was refused after its dialog had closed."""


def is_about_limits(line: str) -> bool:
    return split_line(line)[0] in ON_LIMIT


async def refusal_of(screen: Commanded, line: str) -> str:
    """Changes a limit as the line says. Whether a value will do only the engine knows, so what it refuses stands beside
    the line that was typed; empty when it was done."""
    limit = read_limit(split_line(line)[1], screen.bridge.instances)
    try:
        screen.app.notify(await screen.operations.adjust(*limit), markup=False)
    except BullpenError as error:
        return str(error)
    return ""


def mistake_in(screen: Commanded, line: str) -> str:
    """What is wrong with a line; empty when it can be run."""
    verb, rest = split_line(line)
    bridge = screen.bridge
    if verb not in VERBS:
        return tell_unknown(f"no verb {verb!r}", verb, VERBS, most=len(VERBS))
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
        known = users(bridge)
        no_such = f"{verb} USER: no session is {show_name(rest) or 'theirs'}'s"
        return "" if rest in known else tell_unknown(no_such, rest, sorted(known))
    target, more = split_target(rest, targets_of(verb, target_names(screen)))
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
    names = targets_of(verb, target_names(screen))
    return tell_unknown(f"{verb}: nothing is called {target!r}", target, names)


def tell_unknown(mistake: str, name: str, names: Iterable[str], *, most: int = 6) -> str:
    """What is wrong, and the name that was meant, or `most` of those there are."""
    from supervisor import nearest

    known = list(dict.fromkeys(names))
    if near := nearest(name[:100], dict.fromkeys(known)):
        return f"{mistake}; did you mean {show_name(near)}?"
    more = f" and {len(known) - most} more: tab shows them" if len(known) > most else ""
    return f"{mistake}; there are: {', '.join(map(show_name, known[:most])) or 'none'}{more}"


def target_names(screen: Commanded) -> LineNames:
    """The names that a target may have on this screen, without limits, columns and themes."""
    return LineNames(screen.bridge, {}, {}, ())


def _mistake_about_view(screen: Commanded, verb: str, rest: str) -> str:
    if verb == "sort" and _column_named(screen, rest) is None and rest != NEED:
        titles = [column.title for column in screen.active_columns() if column.sort_letter]
        return f"sort by what? There are {', '.join((*titles, NEED))}"
    if verb == "theme" and rest not in screen.app.available_themes:
        return tell_unknown(f"no theme {rest!r}", rest, sorted(screen.app.available_themes))
    return ""


def _column_named(screen: Commanded, name: str) -> str | None:
    """The key of a column by its title, its key, or the first letters of either when only one begins so."""
    columns = [column for column in screen.active_columns() if column.sort_letter]
    small = name.casefold()
    whole = [column.key for column in columns if small in (column.title.casefold(), column.key)]
    begun = [
        column.key for column in columns if small and (column.title.startswith(small) or column.key.startswith(small))
    ]
    return next(iter(whole or (begun if len(begun) == 1 else [])), None)


def _mistake_in_open(screen: Commanded, part: str) -> str:
    if not part:
        return "open what? Any part of a session's name: tab shows them"
    found = find_sessions(part, screen.bridge.sessions)
    if not found:
        return tell_unknown(f"open: no session's name holds {part!r}", part, map(str, screen.bridge.sessions))
    if len(found) > 1:
        more = f" and {len(found) - 5} more" if len(found) > 5 else ""
        return f"open: {len(found)} sessions fit {part!r}: {', '.join(map(str, found[:5]))}{more}"
    return ""


def _mistake_about_session(screen: Commanded, verb: str, key: SessionKey, number: str) -> str:
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


def _session_named(screen: Commanded, name: str) -> SessionKey | None:
    return next((key for key in screen.bridge.sessions if str(key) == name), None)


def run(screen: Commanded, line: str) -> None:
    """Runs a line without mistakes, asking first where the key would have asked."""
    verb, rest = split_line(line)
    bridge, operations = screen.bridge, screen.operations
    if not rest and verb in BY_WORD:
        screen.order(BY_WORD[verb], screen.chosen(), is_marked=True)
        return
    target, more = split_target(rest, targets_of(verb, target_names(screen)))
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
            screen.app.call_later(screen.app.run_action, "quit")
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
