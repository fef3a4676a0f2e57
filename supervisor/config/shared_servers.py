"""`mcpServers.NAME.shared`: MCP servers that bullpen runs once for all clients."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field, ValidationError

from supervisor.config.client_variables import expand
from supervisor.config.durations import PositiveSeconds
from supervisor.config.field_types import PositiveCount
from supervisor.config.limits import Keys
from supervisor.config.validation import Location, describe, dotted
from supervisor.text.values import in_words

CALLS = 8
"""Calls that one shared server is given at once, unless told otherwise."""
_KINDS = {"stdio": "stdio", "http": "http", "streamable-http": "http", "streamableHttp": "http"}


class Sharing(Keys):
    """`shared: true`, or a mapping with these keys."""

    max_calls: PositiveCount = Field(default=CALLS, description="Calls that the server is given at once; others wait.")
    timeout: PositiveSeconds = Field(default=300, description="How long a call may take, waiting included.")


@dataclass(frozen=True)
class SharedSpec:
    """How a shared server is started, or reached."""

    kind: str
    """`stdio` or `http`."""
    command: str = ""
    arguments: tuple[str, ...] = field(default=(), repr=False)
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    """On top of what every program needs."""
    folder: str = ""
    """Where its process runs."""
    url: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    max_calls: int = CALLS
    timeout: float = 300.0

    @property
    def digest(self) -> str:
        """Equal for equal definitions, whatever they are called: two templates share one server then."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]

    @property
    def what(self) -> str:
        """The server's program or host, for people: without arguments, variables, headers or queries."""
        return Path(self.command).name if self.kind == "stdio" else urlsplit(self.url).hostname or "?"


OF_THE_CLI = ("alwaysLoad", "timeout")
"""Keys of a server that only the CLI heeds: whether its tools are told without a search, and its own time-out of a call
(milliseconds)."""


def is_shared(server: object) -> bool:
    return isinstance(server, Mapping) and server.get("shared") not in (None, False)


def find_mistakes(servers: Mapping[str, Any]) -> Iterator[tuple[Location, str]]:
    """(the way below `mcpServers`, the sentence that follows it)."""
    for name, server in servers.items():
        if not isinstance(server, Mapping) or server.get("shared") in (None, False):
            continue
        try:
            _read_sharing(server["shared"])
        except ValidationError as error:
            for one in error.errors():
                sentence = describe(one, Sharing).removeprefix(dotted(one["loc"])).strip()
                yield (name, "shared", *one["loc"]), sentence
        except ValueError as error:
            yield (name, "shared"), str(error)
        kind = _KINDS.get(str(server.get("type", "stdio" if "command" in server else "http")))
        if kind is None:
            yield (name, "type"), f"is {in_words(server.get('type'))}: a shared server is stdio or http"
        elif kind == "stdio":
            yield from _of_process(name, server)
        elif not _is_address(server.get("url")):
            yield (name,), "needs command, a text, or url, an address that begins with http:// or https://"
        for key in ("env", "headers"):
            if not _is_texts(server.get(key, {})):
                yield (name, key), "must be a mapping of names to texts"


def read_spec(server: Mapping[str, Any], folder: Path, known: Mapping[str, str]) -> SharedSpec:
    """The specification of a shared server without mistakes. References (`${NAME}`) are followed in `known`; the
    process runs in `folder`."""
    sharing = _read_sharing(server["shared"])
    given = expand({key: value for key, value in server.items() if key != "shared"}, known)
    assert isinstance(given, Mapping)
    if "command" in given:
        return SharedSpec(
            "stdio",
            command=given["command"],
            arguments=tuple(str(one) for one in given.get("args", ())),
            variables={name: str(value) for name, value in given.get("env", {}).items()},
            folder=str(folder / str(given.get("cwd", ""))),
            max_calls=sharing.max_calls,
            timeout=sharing.timeout,
        )
    headers = {name: str(value) for name, value in given.get("headers", {}).items()}
    return SharedSpec("http", url=given["url"], headers=headers, max_calls=sharing.max_calls, timeout=sharing.timeout)


def _read_sharing(value: object) -> Sharing:
    if value is True:
        return Sharing()
    if not isinstance(value, Mapping):
        raise ValueError(f"must be true, false, or a mapping of keys, not {in_words(value)}")
    return Sharing.model_validate(value, by_alias=True, by_name=False)


def _of_process(name: str, server: Mapping[str, Any]) -> Iterator[tuple[Location, str]]:
    if not (isinstance(server.get("command"), str) and server["command"].strip()):
        yield (name,), "needs command, a text, or url, an address that begins with http:// or https://"
    arguments = server.get("args", [])
    if not (isinstance(arguments, list) and all(isinstance(one, str | int | float) for one in arguments)):
        yield (name, "args"), f"must be a list of texts, not {in_words(arguments)}"


def _is_address(value: object) -> bool:
    try:
        return isinstance(value, str) and urlsplit(value).scheme in ("http", "https") and bool(urlsplit(value).hostname)
    except ValueError:
        return False


def _is_texts(value: object) -> bool:
    return isinstance(value, Mapping) and all(isinstance(one, str | int | float) for one in value.values())
