"""One template: what an instance is made from, as written in the front matter and body of a Markdown file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from supervisor.api.states import Archetype
from supervisor.config.automation import HookSettings
from supervisor.config.doom_loop import COUNT, DoomLoop, DoomLoopKey
from supervisor.config.durations import Share
from supervisor.config.field_types import (
    Mode,
    ModelName,
    PositiveCount,
    Servers,
    Sources,
    Text,
    Tools,
    ToolWords,
    Variables,
    Words,
)
from supervisor.config.limits import Limits
from supervisor.config.names import NAME_LIMIT, find_flaw, slug
from supervisor.config.tool_references import SERVER, is_reference
from supervisor.config.validation import UNTOLD
from supervisor.files.paths import expand_home
from supervisor.permissions.brackets import Brackets, read_brackets
from supervisor.permissions.server_tools import PREFIX

MAX_WAIT = 30.0
"""Seconds a call to a tool or a service waits for a place unless told otherwise (S2.25)."""

TURN_TIMEOUTS = {Archetype.TOOL: 300.0, Archetype.EMPLOYEE: 600.0, Archetype.SERVICE: None}
"""Seconds a turn may run unless told otherwise; None is for as long as it takes (S1.28)."""

NOT_STARTED = "not started"
"""The note of an instance whose template says `autoStart: false`, until it is started."""
RESUME_STARTS = "starts it"
"""What `resume` does to it then (`InstanceRow.resume_does`)."""

_COMMANDS = {"Bash", "PowerShell", "Monitor", "REPL", "Workflow"}
"""Tools that run commands or code."""


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
        description="Tools the agent may use, as a list or text with commas; `package.module:function` is a Python "
        "function. Default, or `*`: all of Claude Code's.",
    )
    disallowed_tools: ToolWords = Field(
        default=(), description="Tools taken away, as a list or text with commas. `*` takes all of them."
    )
    allow: ToolWords = Field(
        default=(),
        description="Functions and MCP tools that run without a question: `package.module:function` as in `tools`, "
        "`mcp__SERVER` or `mcp__SERVER__TOOL`. Default: none.",
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
    doom_loop: DoomLoopKey = Field(
        default=DoomLoop.model_construct(),
        description=f"How often an agent may repeat itself before its turn is stopped: a number, `none`, or a mapping "
        f"with `count` and `exempt`. Default: {COUNT}.",
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
    triggers: dict[str, Any] | list[Any] | str = Field(
        default_factory=dict,
        description="Words and phrases that prompts for this agent hold, in any language: a list, text with commas, or "
        "a mapping of such. A prompt that names no agent is sent to the one that it fits best.",
    )
    hooks: Annotated[
        Annotated[dict[str, Any], Tag(f"{UNTOLD}mapping")] | Annotated[tuple[HookSettings, ...], Tag(f"{UNTOLD}list")],
        Discriminator(lambda value: f"{UNTOLD}{'list' if isinstance(value, list | tuple) else 'mapping'}"),
    ] = Field(
        default_factory=dict,
        description="A mapping: Claude Code's hooks, by event, run for every client of this template. A list: "
        "bullpen's own, for what happens to this agent (`docs/hooks.md`).",
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

    @property
    def claude_hooks(self) -> dict[str, Any]:
        """Claude Code's own."""
        return self.hooks if isinstance(self.hooks, dict) else {}

    @property
    def own_hooks(self) -> tuple[HookSettings, ...]:
        """bullpen's."""
        return () if isinstance(self.hooks, dict) else self.hooks

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

    @property
    def cli_tools(self) -> tuple[str, ...] | None:
        """Tools of Claude Code and of MCP servers; None is all of them."""
        if self.tools is None or "*" in self.tools:
            return None
        return tuple(tool for tool in self.tools if not is_reference(tool))

    @property
    def functions(self) -> tuple[str, ...]:
        """Python functions that are offered as tools (`package.module:function`)."""
        return tuple(filter(is_reference, self.tools or ()))

    @property
    def brackets(self) -> Brackets:
        """What the list of tools allows each of them to do. Python functions in it are allowed."""
        named = self.cli_tools
        if named is not None and self.functions:
            named = (*named, f"{PREFIX}{SERVER}")
        return read_brackets(named, [*self.mcp_servers, *([SERVER] if self.functions else [])])

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
    def clients_beyond_turns(self) -> int:
        """Clients there may be beside those of as many turns as may run."""
        return max(0, self.client_limit - self.concurrency.max_sessions)

    @property
    def spares_wanted(self) -> int:
        """Connected clients to keep unused."""
        if self.pool.spares is not None:
            return self.pool.spares
        return 1 if self.archetype is Archetype.SERVICE and self.client_limit > 1 else 0


def shared_folder(template: Template) -> Path | None:
    """The absolute path of the folder that all its sessions work in; None where each has only its own."""
    if template.workspace == "private":
        return None
    # `Path.resolve` raises where a link leads to itself.
    return Path(os.path.realpath(template.path.parent / template.workspace))


def runs_commands(template: FrontMatter) -> bool:
    """Whether one of the template's tools runs commands or code. A template with all tools has Bash."""
    taken = {bare(tool) for tool in template.disallowed_tools}
    if "*" in taken:
        return False
    if template.cli_tools is None:
        return "Bash" not in taken
    return any(bare(tool) in _COMMANDS - taken for tool in template.cli_tools)


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
