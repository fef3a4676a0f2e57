"""Which variables reach a client, and which of those its tools: what is not named here does not (`docs/security.md`).

supervisor's own ──(reaches_client)──▶ CLI ──(is_withheld)──▶ Bash, MCP servers, hooks
template's `env` ─────────────────────▶     ────────────────▶
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from supervisor.files.paths import expand_home
from supervisor.files.reading import read_file
from supervisor.process.executable import OWN, OWN_NAMES

MOST_SECRET = 64 * 1024
"""Bytes of a file that a value of `env` may be read from."""

_NAMES = """
PATH HOME USER LOGNAME SHELL PWD LANG LANGUAGE TERM COLORTERM NO_COLOR FORCE_COLOR TZ TMPDIR TMP TEMP HOSTNAME
XDG_CONFIG_HOME XDG_DATA_HOME XDG_CACHE_HOME XDG_STATE_HOME XDG_DATA_DIRS XDG_CONFIG_DIRS
HTTP_PROXY HTTPS_PROXY NO_PROXY ALL_PROXY http_proxy https_proxy no_proxy all_proxy
SSL_CERT_FILE SSL_CERT_DIR NODE_EXTRA_CA_CERTS REQUESTS_CA_BUNDLE CURL_CA_BUNDLE AWS_CA_BUNDLE GIT_SSL_CAINFO
NIX_SSL_CERT_FILE PIP_CERT CARGO_HTTP_CAINFO CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE
LD_LIBRARY_PATH NIX_LD NIX_LD_LIBRARY_PATH LOCALE_ARCHIVE IS_SANDBOX USE_BUILTIN_RIPGREP DO_NOT_TRACK
DISABLE_TELEMETRY DISABLE_ERROR_REPORTING DISABLE_AUTOUPDATER DISABLE_COST_WARNINGS DISABLE_PROMPT_CACHING
DISABLE_COMPACT DISABLE_AUTO_COMPACT DISABLE_NON_ESSENTIAL_MODEL_CALLS DISABLE_INTERLEAVED_THINKING
API_TIMEOUT_MS MAX_THINKING_TOKENS MAX_MCP_OUTPUT_TOKENS MAX_STRUCTURED_OUTPUT_RETRIES MCP_TIMEOUT
MCP_TOOL_TIMEOUT BASH_DEFAULT_TIMEOUT_MS BASH_MAX_TIMEOUT_MS BASH_MAX_OUTPUT_LENGTH ENABLE_TOOL_SEARCH
"""
_COMMON = frozenset(_NAMES.split())
"""What programs need to find their way, to reach the network and to trust it; and switches of the CLI that are no
secrets."""

_FOR_CLIENTS = re.compile(r"LC_\w+|ANTHROPIC_\w+|CLAUDE_\w+|VERTEX_REGION_\w+|OTEL_\w+")
_OF_ANOTHER_SESSION = re.compile(
    r"CLAUDE_(PID|PROJECT_DIR|ENV_FILE)|CLAUDE_CODE_(SESSION_\w+|CHILD_\w+|MESSAGING_\w+|SSE_PORT|ENTRYPOINT)"
)
"""There when bullpen was started by a tool of Claude Code; wrong for a client of its own."""
_OF_PROVIDERS = {
    "CLAUDE_CODE_USE_BEDROCK": re.compile(r"AWS_\w+"),
    "CLAUDE_CODE_USE_ANTHROPIC_AWS": re.compile(r"AWS_\w+"),
    "CLAUDE_CODE_USE_VERTEX": re.compile(r"(GOOGLE|GCLOUD|CLOUDSDK|CLOUD_ML)_\w+"),
    "CLAUDE_CODE_USE_FOUNDRY": re.compile(r"AZURE_\w+"),
}
"""Credentials of a provider, where the switch says that it is used."""
_OFF = {"", "0", "false", "no", "off"}

_WITHHELD = re.compile(
    r"ANTHROPIC_\w+|CLAUDE_\w*(TOKEN|KEY|SECRET|SOCKET|OAUTH|DESCRIPTOR|HEADER|CREDENTIAL)\w*"
    r"|(AWS|GOOGLE|GCLOUD|CLOUDSDK|AZURE|OTEL)_\w+"
)
_NEVER_FOR_TOOLS = re.compile(r"(ANTHROPIC|CLAUDE)_\w+")
_SET_BY_CLI = ("CLAUDE_CODE_MESSAGING_SOCKET", "CLAUDE_CODE_MESSAGING_TOKEN")
"""What the CLI itself gives to its tools: the way to write into their own session's queue."""
_SET_BY_SDK = (
    "CLAUDE_CODE_ENTRYPOINT",
    "CLAUDE_AGENT_SDK_VERSION",
    "CLAUDE_AGENT_SDK_CLIENT_APP",
    "CLAUDE_AGENT_SDK_DERIVED_CLIENT_APP",
    "CLAUDE_CODE_SDK_READS_SESSION_STATE",
    "PWD",
    "TRACEPARENT",
    "TRACESTATE",
)


def reaches_client(name: str, environ: Mapping[str, str]) -> bool:
    """Whether a client gets that variable of the supervisor's. `environ` says which provider is used."""
    if name in _COMMON:
        return True
    if _OF_ANOTHER_SESSION.fullmatch(name):
        return False
    return bool(_FOR_CLIENTS.fullmatch(name)) or any(
        names.fullmatch(name) and environ.get(switch, "").strip().lower() not in _OFF
        for switch, names in _OF_PROVIDERS.items()
    )


def is_for_tools(name: str) -> bool:
    """Whether a program that bullpen itself runs for agents gets that variable of bullpen's: what programs need to find
    their way, and no credentials."""
    return name in _COMMON or name.startswith("LC_")


_OF_A_PROVIDER = re.compile(
    r"ANTHROPIC_\w+|CLAUDE_CODE_(USE|SKIP)_\w+|CLAUDE_\w*(TOKEN(?!S)|KEY|SECRET|OAUTH|DESCRIPTOR|HEADER|CREDENTIAL)\w*"
    r"|VERTEX_REGION_\w+"
)


def is_of_a_provider(name: str) -> bool:
    """Whether the variable sets the address or the credentials of clients."""
    return bool(_OF_A_PROVIDER.fullmatch(name))


def names_for_client(inherited: Mapping[str, str], own: Mapping[str, str]) -> list[str]:
    """Names of all variables that a client may have. `own` are those that are laid over the inherited ones."""
    environ = {**inherited, **own}
    return sorted({*(name for name in inherited if reaches_client(name, environ)), *own, *_SET_BY_SDK})


def names_withheld(names: Iterable[str], granted: Iterable[str]) -> list[str]:
    """Names of a client's variables that its tools do not get. Tools get what the template's `env` grants, except the
    CLI's own credentials: for these, `env` chooses what the CLI uses."""
    given = {name for name in granted if not _NEVER_FOR_TOOLS.fullmatch(name)}
    return sorted({*filter(_WITHHELD.fullmatch, names), *_SET_BY_CLI} - given - _COMMON)


def keep_own(servers: Mapping[str, Any]) -> dict[str, Any]:
    """MCP servers with the variables that their own configuration sets handed over so that none of them is withheld
    (`executable.wrap_tools`)."""
    kept = {}
    for name, server in servers.items():
        own = server.get("env") if isinstance(server, Mapping) else None
        names = [key for key in own if _WITHHELD.fullmatch(str(key))] if isinstance(own, Mapping) else []
        if isinstance(own, Mapping) and names:
            handed = {f"{OWN}{key}": own[key] for key in names}
            server = {**server, "env": {**own, **handed, OWN_NAMES: " ".join(names)}}
        kept[name] = server
    return kept


def resolve(
    values: Mapping[str, str], folder: Path, environ: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, str]]:
    """The values of a template's `env` with its references followed, and by name what is wrong with the others.

    `env:NAME` is a variable of the supervisor, `file:PATH` the text of a file (relative to `folder`, the last line end
    left out), all else is the value itself.
    """
    found: dict[str, str] = {}
    wrong: dict[str, str] = {}
    for name, value in values.items():
        kind, _, target = value.partition(":")
        try:
            if kind == "env":
                found[name] = environ[target]
            elif kind == "file":
                found[name] = _read(folder / expand_home(target))
            else:
                found[name] = value
        except KeyError:
            wrong[name] = f"names the variable {target}, which is not set; set it before bullpen is started"
        except (OSError, ValueError) as error:
            reason = (isinstance(error, OSError) and error.strerror) or error
            wrong[name] = f"names the file {target}, which cannot be used: {reason}"
    return found, wrong


def expand(value: object, environ: Mapping[str, str]) -> object:
    """`${NAME}` and `${NAME:-default}` in a configuration of MCP servers, as the CLI would expand them if it had the
    variables. One that is not set, and has no default, is left as it stands."""
    match value:
        case str():
            return _REFERENCE.sub(lambda found: environ.get(found[1], found[2] or found[0]), value)
        case Mapping():
            return {name: expand(item, environ) for name, item in value.items()}
        case list() | tuple():
            return [expand(item, environ) for item in value]
        case _:
            return value


def unset_references(value: object, environ: Mapping[str, str]) -> list[str]:
    """Names of variables that `expand` would leave as they stand, each once."""
    match value:
        case str():
            found = [one[1] for one in _REFERENCE.finditer(value) if one[1] not in environ and one[2] is None]
        case Mapping():
            found = [name for item in value.values() for name in unset_references(item, environ)]
        case list() | tuple():
            found = [name for item in value for name in unset_references(item, environ)]
        case _:
            found = []
    return list(dict.fromkeys(found))


_REFERENCE = re.compile(r"\$\{([A-Za-z_]\w*)(?::-([^}]*))?\}", re.ASCII)


def _read(path: Path) -> str:
    """Raises `OSError` or `ValueError`."""
    decoded = read_file(path, MOST_SECRET).decode().removesuffix("\n").removesuffix("\r")
    if "\0" in decoded:
        raise ValueError("it is no text")
    return decoded
