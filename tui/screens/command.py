"""`:` — a verb and its target, typed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from textual.suggester import Suggester

from supervisor import InstanceState, Refused, show_name
from tui import consequences
from tui.limits import complete_limits, mistake_in_limit, read_limit, tell_limit
from tui.screens.ask_text import AskTextScreen
from tui.screens.offers import ask_drop, ask_replay

if TYPE_CHECKING:
    from supervisor import SessionKey
    from tui.screens.looking import LookingScreen

ON_INSTANCE = ("pause", "resume", "drain", "kill", "clear", "scale", "chat")
ON_SESSION = ("interrupt", "clear", "withdraw", "replay", "drop", "hibernate", "compact", "close", "open")
ON_LIMIT = ("set",)
ON_USER = ("forget",)
VERBS = sorted({*ON_INSTANCE, *ON_SESSION, *ON_LIMIT, *ON_USER})

EXAMPLES = "a verb and its target: drain helpdesk · kill all · interrupt helpdesk/ana/t-1 · set helpdesk.maxClients 8"


def ask_command(screen: LookingScreen, typed: str = "") -> None:
    """Asks for a line and runs it; a line that cannot be run is answered in place."""

    def decided(line: str | None) -> None:
        if line and not is_about_limits(line):
            run(screen, line)

    screen.app.push_screen(
        AskTextScreen(
            "Command",
            EXAMPLES,
            value=typed,
            placeholder="verb target",
            suggester=LineSuggester(screen),
            mistake_in=lambda line: mistake_in(screen, line) or refusal_of(screen, line),
            hint_for=lambda line: hint_for(screen, line),
        ),
        decided,
    )


class LineSuggester(Suggester):
    """The first whole line that begins as what was typed."""

    def __init__(self, screen: LookingScreen) -> None:
        # What can be suggested changes with the rows and the limits.
        super().__init__(use_cache=False, case_sensitive=True)
        self._screen = screen

    async def get_suggestion(self, value: str) -> str | None:
        return next((line for line in _lines(self._screen, value) if line.startswith(value)), None)


def is_about_limits(line: str) -> bool:
    return _split(line)[0] in ON_LIMIT


def hint_for(screen: LookingScreen, line: str) -> str:
    """The value that a limit has now, while a new one is typed."""
    verb, rest = _split(line)
    return tell_limit(rest, screen.bridge.instances, screen.operations.limits) if verb in ON_LIMIT else ""


def refusal_of(screen: LookingScreen, line: str) -> str:
    """Changes a limit if the line says so. Whether a value will do only the engine knows, so what it refuses stands
    beside the line that was typed; empty when it was done, or when the line is about something else."""
    if not is_about_limits(line):
        return ""
    try:
        screen.notify(screen.operations.adjust(*read_limit(_split(line)[1], screen.bridge.instances)), markup=False)
    except Refused as error:
        return str(error)
    return ""


def _split(line: str) -> tuple[str, str]:
    verb, _, rest = line.removeprefix(":").partition(" ")
    return verb, rest.strip()


def mistake_in(screen: LookingScreen, line: str) -> str:
    """What is wrong with a line; empty when it can be run."""
    verb, rest = _split(line)
    target, _, number = rest.partition(" ")
    bridge = screen.bridge
    if verb not in VERBS:
        return f"no verb {verb!r}; there are {', '.join(VERBS)}"
    if verb in ON_LIMIT:
        return mistake_in_limit(rest, bridge.instances)
    if verb in ON_USER:
        return "" if target in _users(screen) else f"{verb} USER: no session is {show_name(target) or 'theirs'}'s"
    if verb == "scale" and not _is_count(number):
        return "scale INSTANCE N, with N a whole number from 1"
    if verb in ("drain", "kill") and target == "all":
        return ""
    if verb in ON_INSTANCE and target in bridge.instances:
        return ""
    if verb == "kill" and target in bridge.clients:
        return ""
    if verb in ON_SESSION and (key := _session_named(screen, target)) is not None:
        return _mistake_about_session(screen, verb, key, number)
    if not target:
        return f"{verb} what? Name an instance or a session: → takes the suggestion"
    return f"{verb}: nothing is called {target!r}"


def _mistake_about_session(screen: LookingScreen, verb: str, key: SessionKey, number: str) -> str:
    if verb in ("replay", "drop") and key not in screen.bridge.offers:
        return f"{verb}: {key} has no interrupted turn"
    if verb == "withdraw":
        waiting = len(screen.bridge.sessions[key].waiting)
        if not waiting:
            return f"withdraw: nothing waits in {key}"
        if number and not (_is_count(number) and int(number) <= waiting):
            return f"withdraw SESSION N, with N from 1 to {waiting}; without N the newest"
    return ""


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and int(text) >= 1


def _users(screen: LookingScreen) -> set[str]:
    return {key.user for key in screen.bridge.sessions}


def _session_named(screen: LookingScreen, name: str) -> SessionKey | None:
    return next((key for key in screen.bridge.sessions if str(key) == name), None)


def run(screen: LookingScreen, line: str) -> None:
    """Runs a line without mistakes, asking first where the key would have asked."""
    verb, rest = _split(line)
    target, _, number = rest.partition(" ")
    bridge, operations = screen.bridge, screen.operations
    key = _session_named(screen, target)
    match verb:
        case "forget":
            rows = [row for row in bridge.sessions.values() if row.key.user == target]
            screen.confirm(consequences.of_forget(target, rows), lambda: operations.forget_user(target))
        case "drain" if target == "all":
            screen.action_drain_house()
        case "kill" if target == "all":
            screen.action_kill_house()
        case "drain":
            is_second = bridge.instances[target].state is InstanceState.DRAINING
            told = consequences.of_second_drain if is_second else consequences.of_drain
            screen.confirm(told(bridge, target), lambda: operations.drain(target))
        case "kill" if target in bridge.clients:
            screen.kill_client(target)
        case "kill":
            screen.confirm(consequences.of_kill(bridge, target), lambda: operations.kill(target))
        case "pause":
            screen.confirm(consequences.of_pause(bridge, target), lambda: operations.pause(target))
        case "resume":
            screen.attempt(lambda: operations.resume(target))
        case "scale":
            screen.attempt(lambda: operations.scale(target, int(number)))
        case "chat":
            screen.begin_chat(target)
        case "clear" if key is None:
            waiting = bridge.instances[target].waiting
            screen.confirm(consequences.of_clear_queue(target, waiting), lambda: operations.clear_queue(target))
        case _ if key is not None:
            _run_on_session(screen, verb, key, number)


def _run_on_session(screen: LookingScreen, verb: str, key: SessionKey, number: str) -> None:
    operations, row = screen.operations, screen.bridge.sessions[key]
    match verb:
        case "replay":
            ask_replay(screen.app, operations, screen.bridge.offers[key])
        case "drop":
            ask_drop(screen.app, operations, screen.bridge.offers[key])
        case "withdraw":
            turn = row.waiting[int(number) - 1 if number else -1]
            screen.attempt(lambda: operations.withdraw(turn.turn_id))
        case "open":
            screen.open_chat(key)
        case "interrupt":
            screen.attempt(lambda: operations.interrupt(key))
        case "hibernate":
            screen.attempt(lambda: operations.hibernate(key))
        case "compact":
            screen.attempt(lambda: operations.compact(key))
        case "close":
            screen.confirm(consequences.of_close(row), lambda: operations.close_session(key))
        case "clear":
            screen.confirm(
                consequences.of_clear_queue(str(key), len(row.waiting)),
                lambda: operations.clear_queue(key.instance, key),
            )


def _lines(screen: LookingScreen, typed: str) -> Iterator[str]:
    """Lines that can be typed; those that set a limit only when it is one that is being typed."""
    bridge = screen.bridge
    if is_about_limits(typed):
        mark = ":" if typed.startswith(":") else ""
        limits = screen.operations.limits
        yield from (f"{mark}set {line}" for line in complete_limits(_split(typed)[1], bridge.instances, limits))
        return
    yield from (f"{verb} {name}" for verb in ON_INSTANCE for name in bridge.instances)
    yield from ("drain all", "kill all", "set ")
    yield from (f"{verb} {key}" for verb in ("replay", "drop") for key in bridge.offers)
    yield from (f"{verb} {key}" for verb in ON_SESSION if verb not in ("replay", "drop") for key in bridge.sessions)
    yield from (f"{verb} {user}" for verb in ON_USER for user in sorted(_users(screen)))
    yield from (f"kill {client_id}" for client_id in bridge.clients)
