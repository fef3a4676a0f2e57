"""One template: what an instance is made from, as written in the front matter and body of a Markdown file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator
from pydantic.alias_generators import to_camel

from supervisor.api.types import Archetype
from supervisor.config import hooks
from supervisor.config.byte_sizes import Memory, spell_memory
from supervisor.config.durations import Limit, PositiveLimit, PositiveSeconds, Seconds, Share
from supervisor.config.names import NAME_LIMIT, find_flaw, slug
from supervisor.config.validation import dotted, section, spelled
from supervisor.files.paths import expand_home
from supervisor.permissions.server_tools import spelled_whole
from supervisor.text.values import in_words

MAX_WAIT = 30.0
"""Seconds a call to a tool or a service waits for a place unless told otherwise (S2.25)."""

TURN_TIMEOUTS = {Archetype.TOOL: 300.0, Archetype.EMPLOYEE: 600.0, Archetype.SERVICE: None}
"""Seconds a turn may run unless told otherwise; None is for as long as it takes (S1.28)."""

WORKSPACE_TTL = 7 * 86400.0
"""Seconds that the working directory of a session outlives it unless told otherwise."""

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_OF_BULLPEN = re.compile(
    r"BULLPEN_\w*|HOME|PWD|CLAUDE_CONFIG_DIR|(CLAUDE|CLAUDE_CODE)_TMPDIR|CLAUDE_CODE_SHELL_PREFIX|CLAUDE_CODE_SIMPLE"
    r"|CLAUDE_CODE_(SESSION|CHILD|MESSAGING)_\w+|CLAUDE_CODE_(ENTRYPOINT|SSE_PORT|EMIT_SESSION_STATE_EVENTS)"
    r"|CLAUDE_CODE_(MAX_RETRIES|DISABLE_CRON|DISABLE_BACKGROUND_TASKS|DISABLE_AUTO_MEMORY)"
    r"|CLAUDE_(ENABLE_BYTE_WATCHDOG|BYTE_STREAM_IDLE_TIMEOUT_MS|AGENT_SDK_\w+|CODE_SDK_\w+)|LD_PRELOAD|LD_AUDIT"
)
"""Variables on which the walls, the guard and the removal of a session's files rest: where the CLI keeps what is
private, what it starts tools through, and what bullpen itself sets for every client."""
_COMMANDS = {"Bash", "PowerShell", "Monitor", "REPL", "Workflow"}
"""Tools that run commands or code."""
_COMMA_OUTSIDE_PARENTHESES = re.compile(r",(?![^(]*\))")
_TOOL_WORD = re.compile(r"(?:[^ ,()]| +(?=\()|\([^()]*(?:\([^()]*\)[^()]*)*\)|[()])+")
"""One tool with its bracket: commas and spaces separate, but not inside parentheses."""


def _whole(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and re.fullmatch(r"\s*[+-]?\d{1,18}\s*", value, re.ASCII):
        return int(value)
    raise ValueError(f"must be a whole number, not {in_words(value)}")


def _words(value: object) -> object:
    if isinstance(value, str):
        return tuple(word.strip() for word in _COMMA_OUTSIDE_PARENTHESES.split(value) if word.strip())
    if isinstance(value, list | tuple):
        return tuple(value)
    raise ValueError(f"must be a list, or text with commas, not {in_words(value)}")


def _tool_words(value: object) -> object:
    """As Claude Code separates them; where it leaves the parser a bracket, it stays with its tool."""
    if isinstance(value, str):
        words = (re.sub(r"\s+\(", "(", word.strip()) for word in _TOOL_WORD.findall(value))
        return tuple(filter(None, words))
    if isinstance(value, list | tuple):
        return tuple(
            word for item in value for word in (_split(item) if isinstance(item, str) else (item,) if item else ())
        )
    return ()


def _taken_words(value: object) -> object:
    """What takes tools away must say which: nothing of it is passed over."""
    if not isinstance(value, str | list | tuple):
        raise ValueError(f"must be a list, or text with commas, not {in_words(value)}")
    items = value.split(",") if isinstance(value, str) else value
    spaced = (spelled_whole(item) for item in items if isinstance(item, str))
    return (*_split(value), *filter(None, spaced))


def _split(value: object) -> tuple[str, ...]:
    found = _tool_words(value)
    assert isinstance(found, tuple)
    return found


def _tools(value: object) -> object:
    """None is all of them. What is written and names none is none, as in Claude Code."""
    words = None if value is None else _tool_words(value)
    return None if isinstance(words, tuple) and "*" in words else words


def _model_name(value: object) -> object:
    return None if isinstance(value, str) and value.strip().lower() == "inherit" else value


def _servers(value: object) -> object:
    """Servers by name. A bare name in a list points into a configuration that is not read here, and is passed over."""
    if isinstance(value, dict):
        return value
    if not isinstance(value, list):
        raise ValueError(f"must be a mapping of server names, or a list, not {in_words(value)}")
    servers: dict[str, Any] = {}
    for item in value:
        if isinstance(item, dict):
            servers |= item
        elif not isinstance(item, str):
            raise ValueError(f"must list names or servers, not {in_words(item)}")
    return servers


def _variables(value: object) -> object:
    if not isinstance(value, dict):
        raise ValueError(f"must be a mapping of names to values, not {in_words(value)}")
    for name, text in value.items():
        if not (isinstance(name, str) and _VARIABLE.fullmatch(name)):
            raise ValueError(f"cannot set {in_words(name)}: names are letters, digits and _")
        if _OF_BULLPEN.fullmatch(name):
            raise ValueError(f"cannot set {in_words(name)}: bullpen itself says what it is, for all clients")
        if isinstance(text, bool) or not isinstance(text, str | int | float) or "\0" in str(text):
            raise ValueError(f"{name} must be text or a number, not {in_words(text)}")
    return {name: str(text) for name, text in value.items()}


MOST = 1_000_000
"""The largest number that anything is counted in: of clients, turns, retries."""

Count = Annotated[int, Field(ge=0, le=MOST), BeforeValidator(_whole)]
PositiveCount = Annotated[int, Field(ge=1, le=MOST), BeforeValidator(_whole)]
Text = Annotated[str, Field(min_length=1)]
Words = Annotated[tuple[str, ...], BeforeValidator(_words, json_schema_input_type=str | list[str])]
Source = Literal["user", "project", "local"]
Sources = Annotated[tuple[Source, ...], BeforeValidator(_words, json_schema_input_type=str | list[Source])]
Variables = Annotated[dict[str, str], BeforeValidator(_variables, json_schema_input_type=dict[str, str | int | float])]
Servers = Annotated[
    dict[str, dict[str, Any]],
    BeforeValidator(_servers, json_schema_input_type=dict[str, dict[str, Any]] | list[str | dict[str, dict[str, Any]]]),
]
ToolWords = Annotated[tuple[str, ...], BeforeValidator(_taken_words, json_schema_input_type=str | list[str])]
Tools = Annotated[tuple[str, ...] | None, BeforeValidator(_tools, json_schema_input_type=str | list[str] | None)]
Mode = Annotated[
    Literal["default", "acceptEdits", "plan", "dontAsk", "auto", "bypassPermissions"],
    BeforeValidator(
        lambda value: "default" if value == "manual" else value,
        json_schema_input_type=Literal[
            "default", "acceptEdits", "plan", "dontAsk", "auto", "bypassPermissions", "manual"
        ],
    ),
]
ModelName = Annotated[Text | None, BeforeValidator(_model_name)]


class _Keys(BaseModel):
    """Files spell keys in camelCase, Python in snake_case. What is not a key is refused."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        extra="forbid",
        frozen=True,
        field_title_generator=lambda name, _: to_camel(name),
    )


class Concurrency(_Keys):
    max_sessions: PositiveCount = Field(
        default=1, description="Turns that may run in parallel, each in a session of its own."
    )


class Pool(_Keys):
    min_clients: Count = Field(default=0, description="Clients kept running even when there is nothing to do.")
    max_clients: PositiveCount | None = Field(
        default=None,
        description="Clients there may be at most, busy or idle. Default: `concurrency.maxSessions`.",
    )
    spares: Count | None = Field(
        default=None,
        description="Connected clients kept unused for sessions to come. "
        "Default: 1 for a service that may have more than one client, else 0.",
    )
    idle_ttl: Seconds = Field(
        default=900, description="How long a client may be idle before it is hibernated; its session stays resumable."
    )
    asking_ttl: Limit = Field(
        default=300,
        description="How long a client may wait for a human answer while other turns wait for a place, or `none`; then "
        "its process ends, and the question stays answerable.",
    )
    memory_budget: Memory = Field(
        default=None, description="Memory all clients of this instance together may use. Default: `none`."
    )
    soft_memory: Memory = Field(
        default=1024**3,
        description="A client's process tree above this gets no new turn, or `none`: its session's next turn starts a "
        "fresh process.",
    )
    hard_memory: Memory = Field(
        default=2 * 1024**3, description="A client's process tree above this is ended after its turn, or `none`."
    )
    panic_memory: Memory = Field(
        default=4 * 1024**3,
        description="A client's process tree above this is ended at once, or `none`; its turn fails as out-of-memory.",
    )


class Queue(_Keys):
    max_waiting: Count = Field(default=100, description="Turns that may wait in the whole instance.")
    max_waiting_per_session: Count = Field(default=20, description="Turns that may wait in one session.")
    max_wait: Limit = Field(
        default=None,
        description="How long a turn may wait for a place before it is refused, or `none`. "
        "Default: 30s for tool and service, `none` for employee.",
    )


class Limits(_Keys):
    """How much and how long: the keys of a template that a host may change for its own."""

    concurrency: Concurrency = Field(default_factory=Concurrency, description="How much runs at the same time.")
    pool: Pool = Field(default_factory=Pool, description="The clients behind the instance.")
    queue: Queue = Field(default_factory=Queue, description="What may wait, and for how long.")
    question_ttl: PositiveSeconds = Field(
        default=3600, description="How long an agent's question waits for an answer before it expires."
    )
    stall_timeout: PositiveLimit = Field(
        default=None, description="A turn that gives no sign of life for this long is stopped. Default: `none`."
    )
    turn_timeout: PositiveLimit = Field(
        default=None,
        description="How long a turn may run, or `none`. Default: 5m for tool, 10m for employee, `none` for service.",
    )
    session_ttl: PositiveSeconds = Field(
        default=7 * 86400, description="How long a session may go unused before it is forgotten."
    )
    workspace_ttl: Limit = Field(
        default=WORKSPACE_TTL,
        description="How long the working directory of a session that was closed or forgotten is kept, or `none`. Its "
        "conversation is removed at once, and a call that leaves nothing behind leaves no directory either.",
    )
    on_restart: Literal["ask", "replay", "drop"] = Field(
        default="ask", description="What becomes of turns that were running when the supervisor died."
    )


def _locations() -> Iterator[tuple[str, ...]]:
    for name in Limits.model_fields:
        inner = section(Limits, name)
        keys = [(spelled(one, inner),) for one in inner.model_fields] if inner else [()]
        yield from ((spelled(name, Limits), *key) for key in keys)


LIMITS = tuple(_locations())
"""Every limit as files spell it: (`pool`, `idleTtl`), (`questionTtl`,) and so on."""


class FrontMatter(Limits):
    """Every key that may stand between the two `---` lines."""

    name: str = Field(
        json_schema_extra={"pattern": "^[^-:][^:]*$", "maxLength": NAME_LIMIT},
        description=f"Names the instance: at most {NAME_LIMIT} characters, not beginning with - and without a colon.",
    )
    description: Text = Field(description="What the agent is for. Shown to operators and used to route prompts.")
    archetype: Archetype = Field(
        default=Archetype.SERVICE,
        description="How prompts are executed: `tool` (the caller waits for one turn), `employee` (a serial task queue "
        "with one long session) or `service` (many callers, a session each).",
    )
    model: ModelName = Field(
        default=None, description="A model or alias such as `haiku`. Default, or `inherit`: the host's."
    )
    tools: Tools = Field(
        default=None,
        description="Tools the agent may use, as a list or text with commas. Default, or `*`: all of them.",
    )
    disallowed_tools: ToolWords = Field(
        default=(), description="Tools taken away, as a list or text with commas. `*` takes all of them."
    )
    permission_mode: Mode = Field(
        default="default",
        description="Which tool calls are put to a human: `default` asks before whatever changes something, "
        "`acceptEdits` lets files be edited, `plan` only reads, `dontAsk` denies instead of asking, `auto` lets the "
        "CLI judge, `bypassPermissions` never asks. `manual` is another word for `default`.",
    )
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = Field(
        default=None, description="How hard the model thinks. Default: as the CLI chooses for the model."
    )
    fallback_model: ModelName = Field(
        default=None,
        description="Models to use while the main one is overloaded or not available, with commas in between. "
        "Default: none.",
    )
    output: dict[str, Any] | None = Field(
        default=None,
        description="JSON Schema (an object) of every answer: the reply is then JSON that fits it. Default: free text.",
    )
    compact_at: Share = Field(
        default=None,
        description="Share of the model's context (`80%`) from which a conversation is compacted after a turn. "
        "Default: `none`, which leaves it to the CLI.",
    )
    max_turns: PositiveCount | None = Field(
        default=None, description="Rounds of tool calls in one turn before it is stopped. Default: no limit."
    )
    mcp_servers: Servers = Field(
        default_factory=dict, description="MCP servers by name, each with its configuration (mapping, or list of such)."
    )
    skills: Words = Field(default=(), description="Skills made available to the agent, as a list or text with commas.")
    confine: bool | None = Field(
        default=None,
        description="Whether the file tools are kept to the workspace and the shared folder, without a question. "
        "Default: true where no tool runs commands, unless `settings` or `bypassPermissions` want otherwise.",
    )
    sandbox: bool | dict[str, Any] = Field(
        default=False,
        description="Runs commands in Claude Code's sandbox (Linux: needs bubblewrap and socat): true, or a mapping of "
        "its settings. Nothing is started where there is none.",
    )
    settings: Sources = Field(
        default=(),
        description="Settings files of Claude Code that are read: `user`, `project`, `local`. Their allow rules, "
        "hooks, model and CLAUDE.md apply. Default: none.",
    )
    env: Variables = Field(
        default_factory=dict,
        description="Variables for the client and its tools. `env:NAME` takes the value from a variable of bullpen, "
        "`file:PATH` from a file.",
    )
    workspace: Text = Field(
        default="private",
        description="`private` gives every session a directory of its own; a path, relative to the template's folder, "
        "is a folder that all sessions work in, besides a directory of their own.",
    )
    provider: Text | None = Field(
        default=None, description="The provider of `bullpen.toml` to use. Default: the host's."
    )
    auto_start: bool = Field(default=True, description="Whether the instance opens when the supervisor starts.")
    triggers: dict[str, Any] | list[Any] = Field(default_factory=dict, description="When the agent is prompted.")
    hooks: dict[str, Any] = Field(
        default_factory=dict, description="Claude Code's hooks, by event: run for every client of this template."
    )

    color: Any = Field(default=None, description="Claude Code: the colour of the sub-agent in its own screen.")
    memory: Any = Field(default=None, description="Claude Code: scope of a memory directory.")
    background: Any = Field(default=None, description="Claude Code: run as a background task.")
    isolation: Any = Field(default=None, description="Claude Code: run in a temporary git worktree.")
    initial_prompt: Any = Field(default=None, description="Claude Code: first prompt when the agent leads the session.")
    auto_compact_window: Any = Field(
        default=None, description="Claude Code: tokens after which the conversation is compacted."
    )
    omit_claude_md: Any = Field(default=None, description="Claude Code: leave out CLAUDE.md files.")
    observer: Any = Field(default=None, description="Claude Code: agents that look on.")
    observer_message: Any = Field(default=None, description="Claude Code: what observers are told.")
    observe_tool_results: Any = Field(default=None, description="Claude Code: whether observers see tool results.")
    observe_subagents: Any = Field(default=None, description="Claude Code: whether observers follow sub-agents.")
    experimental: Any = Field(default=None, description="Claude Code: experimental options.")

    @field_validator("name", mode="before")
    @classmethod
    def _name_is_safe(cls, value: object) -> object:
        if isinstance(value, str) and (flaw := find_flaw(value)):
            raise ValueError(flaw)
        return value

    @field_validator("workspace")
    @classmethod
    def _home_is_expanded(cls, value: str) -> str:
        if "\0" in value:
            raise ValueError("must not hold a NUL character")
        return str(expand_home(value)) if value.startswith("~") else value

    @model_validator(mode="before")
    @classmethod
    def _turns_end_in_time(cls, data: Any) -> Any:
        if not isinstance(data, dict) or "turnTimeout" in data or "turn_timeout" in data:
            return data
        archetype = data.get("archetype", Archetype.SERVICE)
        limit = next((seconds for kind, seconds in TURN_TIMEOUTS.items() if kind == archetype), None)
        return {**data, "turnTimeout": limit}


class Template(FrontMatter):
    """What an instance is made from. A superset of Claude Code's sub-agent files; see `docs/templates.md`."""

    system_prompt: str = ""
    """The body of the file."""
    path: Path = Path("template.md")
    """The file it was read from."""

    @property
    def slug(self) -> str:
        """The name in paths and variables."""
        return slug(self.name)

    @property
    def max_wait(self) -> float | None:
        """Seconds a turn waits for a place; None is for as long as it takes."""
        if "max_wait" in self.queue.model_fields_set:
            return self.queue.max_wait
        return None if self.archetype is Archetype.EMPLOYEE else MAX_WAIT

    @property
    def client_limit(self) -> int:
        """Clients there may be at most."""
        return self.pool.max_clients or self.concurrency.max_sessions

    @property
    def spares_wanted(self) -> int:
        """Connected clients to keep unused."""
        if self.pool.spares is not None:
            return self.pool.spares
        return 1 if self.archetype is Archetype.SERVICE and self.client_limit > 1 else 0


def shared_folder(template: Template) -> Path | None:
    """The absolute path of the folder that all its sessions work in; None where each has only its own."""
    return None if template.workspace == "private" else (template.path.parent / template.workspace).resolve()


def runs_commands(template: FrontMatter) -> bool:
    """Whether a tool of it runs commands or code. All tools include Bash."""
    taken = {bare(tool) for tool in template.disallowed_tools}
    if "*" in taken:
        return False
    if template.tools is None:
        return "Bash" not in taken
    return any(bare(tool) in _COMMANDS - taken for tool in template.tools)


def bare(tool: str) -> str:
    """`Bash` of `Bash(git:*)`."""
    return tool.partition("(")[0].strip()


def is_confined(template: FrontMatter) -> bool:
    """Whether the file tools are kept to the workspace and the shared folder."""
    if template.confine is not None:
        return template.confine
    return not (runs_commands(template) or template.settings or template.permission_mode == "bypassPermissions")


def reads_anywhere(template: FrontMatter) -> bool:
    """Whether its permission mode lets the file tools read the whole host without a question (measured for `plan`)."""
    return template.permission_mode in ("plan", "auto") and not is_confined(template)


def contradictions(template: FrontMatter) -> list[tuple[str, str]]:
    """Values that are right alone and wrong together: (key, the sentence that follows it)."""
    found = [(dotted(("hooks", *way)), sentence) for way, sentence in hooks.find_mistakes(template.hooks)]
    if template.confine and template.permission_mode == "bypassPermissions":
        found.append(("confine", "cannot be true with permissionMode bypassPermissions: a confined client refuses it"))
    if template.confine and template.settings:
        found.append(("settings", "are not read by a confined client; write confine: false, or leave them out"))
    found += _sandbox_mistakes(template.sandbox)
    if template.sandbox and not runs_commands(template):
        found.append(("sandbox", "is for commands, and no tool of this template runs any"))
    sessions = template.concurrency.max_sessions
    clients = template.pool.max_clients or sessions
    if template.archetype is not Archetype.SERVICE and sessions > 1:
        found.append(
            ("concurrency.maxSessions", f"must be 1 for archetype {template.archetype.value}; only a service has more")
        )
    for key, value in (("pool.minClients", template.pool.min_clients), ("pool.spares", template.pool.spares or 0)):
        if value > clients:
            found.append((key, f"is {value}, more than the pool may hold ({clients}; see pool.maxClients)"))
    return found + _memory_contradictions(template.pool)


def _sandbox_mistakes(sandbox: bool | dict[str, Any]) -> list[tuple[str, str]]:
    """The parts of it that bullpen adds to have to be what they are to the CLI."""
    files = (sandbox.get("filesystem") or {}) if isinstance(sandbox, dict) else {}
    if not isinstance(files, dict):
        return [("sandbox.filesystem", f"must be a mapping of keys, not {in_words(files)}")]
    return [
        (f"sandbox.filesystem.{key}", f"must be a list, not {in_words(files[key])}")
        for key in ("denyRead", "allowRead")
        if not isinstance(files.get(key, []), list)
    ]


def _memory_contradictions(pool: Pool) -> list[tuple[str, str]]:
    """Said of the key that was written, where only one of the two was."""
    found = []
    steps = [name for name in ("soft_memory", "hard_memory", "panic_memory") if getattr(pool, name) is not None]
    for lower, upper in pairwise(steps):
        less, more = getattr(pool, lower), getattr(pool, upper)
        if less <= more:
            continue
        if lower in pool.model_fields_set:
            sentence = f"is {spell_memory(less)}, more than pool.{to_camel(upper)} ({spell_memory(more)})"
            found.append((f"pool.{to_camel(lower)}", sentence))
        else:
            sentence = f"is {spell_memory(more)}, less than pool.{to_camel(lower)} ({spell_memory(less)})"
            found.append((f"pool.{to_camel(upper)}", sentence))
    return found
