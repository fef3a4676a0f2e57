"""`:` — a verb and its target, typed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.suggester import SuggestFromList

from supervisor import InstanceState
from tui import consequences
from tui.screens.ask_text import AskTextScreen

if TYPE_CHECKING:
    from supervisor import SessionKey
    from tui.screens.looking import LookingScreen

ON_INSTANCE = ("pause", "resume", "drain", "kill", "clear", "scale", "chat")
ON_SESSION = ("interrupt", "clear", "hibernate", "close", "open")


def ask_command(screen: LookingScreen) -> None:
    """Asks for a line and runs it; a line that cannot be run is answered in place."""

    def decided(line: str | None) -> None:
        if line:
            run(screen, line)

    screen.app.push_screen(
        AskTextScreen(
            "Command",
            "a verb and its target: drain helpdesk · scale helpdesk 5 · interrupt helpdesk/ana/t-1 · kill all",
            placeholder="verb target",
            suggester=SuggestFromList(_lines(screen), case_sensitive=True),
            mistake_in=lambda line: mistake_in(screen, line),
        ),
        decided,
    )


def mistake_in(screen: LookingScreen, line: str) -> str:
    """What is wrong with a line; empty when it can be run."""
    verb, _, rest = line.removeprefix(":").partition(" ")
    target, _, number = rest.strip().partition(" ")
    bridge = screen.bridge
    if verb not in {*ON_INSTANCE, *ON_SESSION}:
        return f"no verb {verb!r}; there are {', '.join(sorted({*ON_INSTANCE, *ON_SESSION}))}"
    if verb == "scale" and not (number.isascii() and number.isdigit() and int(number) >= 1):
        return "scale INSTANCE N, with N a whole number from 1"
    if verb in ("drain", "kill") and target == "all":
        return ""
    if verb in ON_INSTANCE and target in bridge.instances:
        return ""
    if verb == "kill" and target in bridge.clients:
        return ""
    if verb in ON_SESSION and any(str(key) == target for key in bridge.sessions):
        return ""
    if not target:
        return f"{verb} what? Name an instance or a session: → takes the suggestion"
    return f"{verb}: nothing is called {target!r}"


def run(screen: LookingScreen, line: str) -> None:
    """Runs a line without mistakes, asking first where the key would have asked."""
    verb, _, rest = line.removeprefix(":").partition(" ")
    target, _, number = rest.strip().partition(" ")
    bridge, operations = screen.bridge, screen.operations
    key = next((key for key in bridge.sessions if str(key) == target), None)
    match verb:
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
            _run_on_session(screen, verb, key)


def _run_on_session(screen: LookingScreen, verb: str, key: SessionKey) -> None:
    operations, row = screen.operations, screen.bridge.sessions[key]
    match verb:
        case "open":
            screen.open_chat(key)
        case "interrupt":
            screen.attempt(lambda: operations.interrupt(key))
        case "hibernate":
            screen.attempt(lambda: operations.hibernate(key))
        case "close":
            screen.confirm(consequences.of_close(row), lambda: operations.close_session(key))
        case "clear":
            screen.confirm(
                consequences.of_clear_queue(str(key), len(row.waiting)),
                lambda: operations.clear_queue(key.instance, key),
            )


def _lines(screen: LookingScreen) -> list[str]:
    bridge = screen.bridge
    lines = [f"{verb} {name}" for verb in ON_INSTANCE for name in bridge.instances]
    lines += ["drain all", "kill all"]
    lines += [f"{verb} {key}" for verb in ON_SESSION for key in bridge.sessions]
    lines += [f"kill {client_id}" for client_id in bridge.clients]
    return lines
