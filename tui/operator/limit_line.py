"""`set helpdesk.maxClients 8`: reads such a line, completes it, and says what holds now."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

Limits = Callable[[str], Mapping[str, str]]
"""Gives every limit of an instance, or of the host for an empty name, as people write its value."""


class LimitLine(NamedTuple):
    instance: str
    """Empty for a limit of the host."""
    limit: str
    """As it was typed: whole (`pool.maxClients`) or short (`maxClients`)."""
    value: str


DEFAULT, CONFIGURED = WORDS = ("default", "configured")
"""In place of a value: the documented one, or that of the files."""

GROUPS = frozenset({"pool", "queue", "concurrency", "budget", "budgets"})
"""What stands before the first dot in the whole name of a limit."""


def read_limit(rest: str, instances: Iterable[str]) -> LimitLine:
    """Reads what follows `set`. What is not there yet is empty."""
    name, _, value = rest.strip().partition(" ")
    instance, dot, limit = name.partition(".")
    if dot and instance in instances:
        return LimitLine(instance, limit, value.strip())
    return LimitLine("", name, value.strip())


def find_limit(limit: str, known: Mapping[str, str]) -> str | None:
    """The whole name of a limit that may have been typed short, or in another case."""
    typed = _plain(limit)
    if not typed:
        return None
    whole = [name for name in known if _plain(name) == typed]
    short = [name for name in known if _plain(_last(name)) == typed]
    return next(iter(whole or (short if len(short) == 1 else [])), None)


def mistake_in_limit(rest: str, instances: Iterable[str]) -> str:
    """What is missing in the line. Whether limit and value are right is for the engine to say."""
    line = read_limit(rest, instances)
    if not line.limit:
        return "set what? Such as set helpdesk.maxClients 8, or set max_agents 40: → takes the suggestion"
    owner, dot, _ = line.limit.partition(".")
    if dot and not line.instance and owner not in GROUPS:
        return tell_unknown_agent(owner, instances)
    return "" if line.value else f"set {line.limit} to what?"


def tell_unknown_agent(name: str, agents: Iterable[str]) -> str:
    from supervisor import nearest, show_name

    agents = sorted(agents)
    near = nearest(name, dict.fromkeys(agents))
    remedy = f"did you mean {show_name(near)}?" if near else f"there are: {', '.join(map(show_name, agents)) or 'none'}"
    return f"no agent {show_name(name[:100])}; {remedy}"


def tell_limit(rest: str, instances: Iterable[str], limits: Limits) -> str:
    """`helpdesk.pool.maxClients is 5 now` for a line that names a limit; otherwise empty."""
    line = read_limit(rest, instances)
    known = limits(line.instance)
    if (name := find_limit(line.limit, known)) is None:
        return ""
    return f"{f'{line.instance}.' if line.instance else ''}{name} is {known[name]} now"


def tell_change(line: LimitLine, limits: Mapping[str, str]) -> str:
    """How a change has set a limit, for the operator who made it. `limits` are those that hold now."""
    owner = f"{line.instance}." if line.instance else ""
    name = find_limit(line.limit, limits)
    if line.value.lower() not in WORDS or name is None:
        return f"{owner}{line.limit} is {line.value} until the next restart"
    if line.value.lower() == CONFIGURED:
        return f"{owner}{name} is {limits[name]} again, as configured"
    value = limits[name] if limits[name] == DEFAULT else f"{limits[name]}, the default,"
    return f"{owner}{name} is {value} until the next restart"


def complete_limits(typed: str, instances: Iterable[str], limits: Limits) -> Iterator[str]:
    """Whole lines, each with the value that holds now, that begin with what was typed after `set `."""
    for instance in ("", *instances):
        owner = f"{instance}." if instance else ""
        if not (owner.startswith(typed) or typed.startswith(owner)):
            continue
        known = limits(instance)
        for name, value in known.items():
            for spelling in dict.fromkeys((name, _last(name) if find_limit(_last(name), known) else name)):
                if (line := f"{owner}{spelling} {value}").startswith(typed):
                    yield line


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _plain(name: str) -> str:
    """`maxClients`, `max_clients` and `MAX_CLIENTS` are one name."""
    return name.replace("_", "").casefold()
