"""The names that a running bullpen knows, asked at its socket. Nothing is started, and nothing waited for: where none
runs, or it is slow, there are none."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

SECONDS = 0.3
"""Seconds that an answer may take."""
MOST = 500
"""Names that are offered."""
Name = tuple[str, str]
"""(the name, what it is)."""


def find_names(kinds: Sequence[str], current: str, given: Mapping[str, str]) -> list[Name]:
    """Names of these kinds that begin with `current`, from the running bullpen that the options `given` lead to; empty
    without one."""
    if "--url" in given or os.environ.get("BULLPEN_URL"):
        return []  # names of this machine's would be those of another
    for path in _sockets(given):
        try:
            asked = _RunningBullpen(path)
            return [name for kind in kinds for name in _FINDERS[kind](asked, current)][:MOST]
        except (OSError, HTTPException, ValueError, LookupError, TypeError, AttributeError):
            continue
    return []


class _RunningBullpen:
    """Answers of one bullpen, each asked for once."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, path: str, **query: str) -> Any:
        from supervisor import short_path

        connection = HTTPConnection("bullpen")
        with short_path(self._path) as name, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
            line.settimeout(SECONDS)
            line.connect(name)
            connection.sock = line
            connection.request("GET", f"{path}?{urlencode(query)}" if query else path)
            return json.loads(connection.getresponse().read())


def _agents(bullpen: _RunningBullpen, _: str) -> Iterator[Name]:
    for row in bullpen.get("/instances"):
        yield row["name"], row["state"]


def _sessions(bullpen: _RunningBullpen, _: str) -> Iterator[Name]:
    for row in bullpen.get("/sessions"):
        yield "/".join(row["key"]), row["state"]


def _session_names(bullpen: _RunningBullpen, _: str) -> Iterator[Name]:
    yield from dict.fromkeys((row["key"][2], "") for row in bullpen.get("/sessions"))


def _users(bullpen: _RunningBullpen, _: str) -> Iterator[Name]:
    yield from sorted({(row["key"][1], "") for row in bullpen.get("/sessions")})


def _clients(bullpen: _RunningBullpen, _: str) -> Iterator[Name]:
    for row in bullpen.get("/clients"):
        yield row["id"], "/".join(row["key"] or ["spare"])


def _questions(bullpen: _RunningBullpen, _: str) -> Iterator[Name]:
    for row in bullpen.get("/questions"):
        yield row["id"], f"{'/'.join(row['key'])} {row['tool']}"


def _turns(bullpen: _RunningBullpen, _: str) -> Iterator[Name]:
    for row in bullpen.get("/sessions"):
        if row["turn_id"]:
            yield row["turn_id"], f"{'/'.join(row['key'])} runs"
        for turn in row["waiting"]:
            yield turn["turn_id"], f"{'/'.join(row['key'])} waits"


def _limits(bullpen: _RunningBullpen, current: str) -> Iterator[Name]:
    """Limits of the host; once an agent's name and a dot are typed, limits of that agent."""
    from tui.operator.limit_line import complete_limits

    agents = [name for name, _state in _agents(bullpen, "")]
    if "." not in current:
        yield from ((f"{name}.", "") for name in agents)
        agents = []
    for line in complete_limits(current, agents, lambda name: bullpen.get("/limits", instance=name)):
        limit, _, value = line.rpartition(" ")
        yield limit, value


_FINDERS = {
    "agent": _agents,
    "session": _sessions,
    "session-name": _session_names,
    "user": _users,
    "client": _clients,
    "question": _questions,
    "turn": _turns,
    "limit": _limits,
}


def _sockets(given: Mapping[str, str]) -> list[Path]:
    from supervisor import SOCKET

    folder = find_state_dir(given)
    places = [folder / "rehearsal"] if "--rehearsal" in given else [folder, folder / "rehearsal"]
    if "--real" in given:
        places = [folder]
    return [path for place in places if (path := place / SOCKET).exists()]


def find_state_dir(given: Mapping[str, str]) -> Path:
    """The state directory that `load_settings` would find, in a sixth of the time. A test compares the two."""
    named = given.get("--state") or os.environ.get("BULLPEN_STATE_DIR") or _state_dir_of_file(given)
    if named:
        return Path(named).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_state_dir("bullpen"))


def _state_dir_of_file(given: Mapping[str, str]) -> str:
    import tomllib

    import platformdirs

    named = given.get("--config") or os.environ.get("BULLPEN_CONFIG")
    user = Path(platformdirs.user_config_dir("bullpen")) / "bullpen.toml"
    candidates = [Path(named).expanduser()] if named else [Path("bullpen.toml"), user]
    path = next((one for one in candidates if os.path.lexists(one)), None)
    if path is None:
        return ""
    try:
        found = tomllib.loads(path.read_text("utf-8-sig")).get("state_dir", "")
    except (OSError, ValueError, RecursionError):
        return ""
    return str(path.absolute().parent / Path(found).expanduser()) if isinstance(found, str) and found else ""
