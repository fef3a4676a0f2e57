"""What a name on the command line means."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from supervisor import SessionKey, SessionRow, Snapshot

MOST_NAMED = 5
Thing = TypeVar("Thing")


def find_session(name: str, snapshot: Snapshot) -> SessionRow:
    """The session with that whole name (`AGENT/USER/SESSION`), or the only one whose name has that part. Raises
    `Refused`."""
    from tui.operator.completion import find_sessions

    rows = {row.key: row for row in snapshot.sessions}
    return rows[_only(find_sessions(name, rows), "session", name, "bullpen sessions")]


def find_key(name: str, snapshot: Snapshot) -> SessionKey:
    return find_session(name, snapshot).key


def find_question(name: str, snapshot: Snapshot) -> str:
    """Id of the open question whose id begins so, or of the only one that such a session has. Raises `Refused`."""
    from tui.operator.completion import find_sessions

    ids = [one.id for one in snapshot.questions if one.id == name] or [
        one.id for one in snapshot.questions if one.id.startswith(name)
    ]
    if not ids:
        keys = set(find_sessions(name, [one.key for one in snapshot.questions]))
        ids = [one.id for one in snapshot.questions if one.key in keys]
    return _only(ids, "open question", name, "bullpen questions")


def check_agent(name: str, snapshot: Snapshot) -> str:
    """Raises `Refused`."""
    from supervisor import Refused
    from tui.operator.limit_line import tell_unknown_agent

    names = [row.name for row in snapshot.instances]
    if name not in names:
        raise Refused(tell_unknown_agent(name, names))
    return name


def _only(found: Iterable[Thing], what: str, name: str, where: str) -> Thing:
    from supervisor import Refused

    matches = list(found)
    if len(matches) == 1:
        return matches[0]
    if not matches:
        raise Refused(f"no {what} {name}: `{where}` lists them")
    more = f", and {len(matches) - MOST_NAMED} more" if len(matches) > MOST_NAMED else ""
    raise Refused(f"{name} may mean {len(matches)}: {', '.join(map(str, matches[:MOST_NAMED]))}{more}")
