"""The lines that can be typed after `:`, and what completes one. Pure: reads what the screen holds already, so that
completing a line never asks the engine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from supervisor import SessionKey
from tui.engine_link.bridge import Bridge
from tui.operator.limit_line import complete_limits
from tui.operator.listings import LISTINGS

ON_INSTANCE = ("pause", "resume", "drain", "kill", "clear", "scale", "chat", "new")
ON_SESSION = ("interrupt", "clear", "withdraw", "replay", "drop", "hibernate", "compact", "close", "open")
ON_LIMIT = ("set",)
ON_USER = ("forget",)
ON_VIEW = ("sort", "filter", "theme", *LISTINGS)
ON_MARKS = ("broadcast",)
ON_PROGRAM = ("help", "quit")
VERBS = sorted({*ON_INSTANCE, *ON_SESSION, *ON_LIMIT, *ON_USER, *ON_VIEW, *ON_MARKS, *ON_PROGRAM})

SHORT = {"q": "quit"}
"""What is typed from habit, and the verb that it means."""
ALONE = ("new", "chat", "filter", *LISTINGS, *ON_MARKS, *ON_PROGRAM)
"""Verbs that mean something without a target."""

MOST_FITS = 200
"""Completions that are looked for."""
NEED = "needs-you"
"""In place of a column: the order of a table itself."""


class LineNames(NamedTuple):
    """The names that a typed line may use."""

    bridge: Bridge
    limits: Mapping[str, Mapping[str, str]]
    """By instance, as they were known last; those of the host under the empty name."""
    columns: Mapping[str, str]
    """Title → key of the columns that the pane with the focus can be sorted by."""
    themes: Sequence[str]


def is_command(text: str) -> bool:
    """Whether a text reads as one of these lines, with its colon."""
    return text.startswith(":") and "\n" not in text.strip() and split_line(text)[0] in VERBS


def split_line(line: str) -> tuple[str, str]:
    """The verb and the rest of a line."""
    verb, _, rest = line.removeprefix(":").lstrip().partition(" ")
    return SHORT.get(verb, verb), rest.strip()


def split_target(rest: str, names: Iterable[str]) -> tuple[str, str]:
    """The name that a rest begins with, and what follows it. Names may hold spaces: the longest that fits counts; when
    none does, the first word."""
    fits = [name for name in names if rest == name or rest.startswith(f"{name} ")]
    name = max(fits, key=len, default=rest.partition(" ")[0])
    return name, rest[len(name) :].strip()


def targets_of(verb: str, names: LineNames) -> Iterator[str]:
    """Every name that may stand right behind a verb."""
    bridge = names.bridge
    if verb in ON_INSTANCE:
        yield from bridge.instances
    if verb in ("drain", "kill"):
        yield "all"
    if verb == "kill":
        yield from bridge.clients
    if verb in ("replay", "drop"):
        yield from map(str, bridge.offers)
    elif verb == "withdraw":
        yield from (str(key) for key, row in bridge.sessions.items() if row.waiting)
    elif verb in ON_SESSION:
        yield from map(str, bridge.sessions)
    if verb in ON_USER:
        yield from sorted(users(bridge))
    if verb == "sort":
        yield from (*names.columns, NEED)
    if verb == "theme":
        yield from names.themes


def complete(line: str, names: LineNames) -> list[str]:
    """Whole lines that a line may become, the likeliest first: those that begin as it does, then those in which the
    word that is typed stands somewhere."""
    mark = ":" if line.startswith(":") else ""
    verb, has_verb, typed = line.removeprefix(":").partition(" ")
    if not has_verb:
        return [f"{mark}{name}{'' if name in (*ON_MARKS, *ON_PROGRAM) else ' '}" for name in _fitting(verb, VERBS)]
    typed = typed.lstrip()
    if verb in ON_LIMIT:
        found = complete_limits(typed, names.bridge.instances, lambda name: names.limits.get(name, {}))
        return [f"{mark}{verb} {rest}" for _, rest in zip(range(MOST_FITS), found, strict=False)]
    name, _ = split_target(typed, names.bridge.instances if verb in ("new", "chat") else _sessions(verb, names))
    if typed.startswith(f"{name} "):
        more = _second(verb, name, names)
        return [f"{mark}{verb} {name} {rest}" for rest in _fitting(typed[len(name) :].strip(), more)]
    return [f"{mark}{verb} {rest}" for rest in _fitting(typed, targets_of(verb, names))]


def _sessions(verb: str, names: LineNames) -> Iterable[str]:
    return targets_of(verb, names) if verb == "withdraw" else ()


def _second(verb: str, name: str, names: LineNames) -> Iterable[str]:
    """The words that may stand behind the target."""
    if verb in ("new", "chat"):
        return sorted(users(names.bridge))
    if verb == "withdraw":
        row = next((row for key, row in names.bridge.sessions.items() if str(key) == name), None)
        return [] if row is None else [str(number) for number in range(1, len(row.waiting) + 1)]
    return ()


def _fitting(typed: str, names: Iterable[str]) -> list[str]:
    small = typed.casefold()
    begins, holds = [], []
    for name in names:
        if name.startswith(typed):
            begins.append(name)
        elif small in name.casefold():
            holds.append(name)
        if len(begins) >= MOST_FITS:
            break
    return (begins + holds)[:MOST_FITS]


def common_start(lines: Sequence[str]) -> str:
    """The longest text that all lines begin with."""
    if not lines:
        return ""
    first, last = min(lines), max(lines)
    length = next((at for at, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), None)
    return first[: min(len(first), len(last)) if length is None else length]


def users(bridge: Bridge) -> set[str]:
    return {key.user for key in bridge.sessions}


def find_sessions(part: str, keys: Iterable[SessionKey]) -> list[SessionKey]:
    """The sessions that a part of a name may mean: the one with this whole name; else those of which it is the whole
    instance, user or session, when that is one; else all that hold it, whatever the case."""
    keys = list(keys)
    if whole := [key for key in keys if str(key) == part]:
        return whole
    small = part.casefold()
    pieces = [key for key in keys if small in (name.casefold() for name in key)]
    if len(pieces) == 1:
        return pieces
    return sorted(key for key in keys if small in str(key).casefold())
