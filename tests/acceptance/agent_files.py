"""One sub-agent file, run by `claude --agent` and by bullpen on the same endpoint: what reaches the model of each."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import anyio.to_thread

from supervisor.api.prompts import Prompt
from supervisor.claude.options import PEER_TOOLS, SELF_STARTING_TOOLS
from supervisor.config.loading import load_for
from supervisor.config.settings import Settings
from supervisor.engine.supervisor import Supervisor
from supervisor.process.executable import find_bundled_cli
from supervisor.rehearsal import MessagesRequest, Rehearsal

HEADLESS = {"AskUserQuestion", "EnterPlanMode", "ExitPlanMode"}
"""Offered where an operator can answer; `claude -p` has none."""
VARIABLES = {"ENABLE_TOOL_SEARCH": "false", "IS_SANDBOX": "1"}
"""All tools in the first request; and the CLI may run as root in every mode."""
_OPENING = "built on Anthropic's Claude Agent SDK."


@dataclass(frozen=True)
class Reached:
    """What came to the endpoint of an agent's first turn."""

    prompt: str
    model: str
    tools: frozenset[str]


@dataclass(frozen=True)
class Difference:
    name: str
    prompt: bool = False
    model: tuple[str, str] | None = None
    """Claude Code's, and ours."""
    more: frozenset[str] = field(default_factory=frozenset)
    """Tools that only ours has."""
    fewer: frozenset[str] = field(default_factory=frozenset)

    def __str__(self) -> str:
        parts = ["prompt"] if self.prompt else []
        parts += [f"model {self.model[0]} → {self.model[1]}"] if self.model else []
        parts += [f"+{tool}" for tool in sorted(self.more)] + [f"-{tool}" for tool in sorted(self.fewer)]
        return f"{self.name}: {' '.join(parts)}"


def compare(name: str, theirs: Reached, ours: Reached) -> Difference | None:
    """What is not equal, but for what bullpen never offers (`PEER_TOOLS`, and self-starting tools that are not named)
    and what needs an operator's answer."""
    of_no_account = {*PEER_TOOLS, *SELF_STARTING_TOOLS, *HEADLESS}
    difference = Difference(
        name,
        prompt=theirs.prompt != ours.prompt,
        model=None if theirs.model == ours.model else (theirs.model, ours.model),
        more=frozenset(ours.tools - theirs.tools - HEADLESS),
        fewer=frozenset(theirs.tools - ours.tools - of_no_account),
    )
    return difference if difference != Difference(name) else None


@dataclass(frozen=True)
class AgentFile:
    name: str
    text: str


def file_of(front: str, name: str, body: str = "") -> AgentFile:
    return AgentFile(name, f"---\nname: {name}\n{front}\n---\n{body or f'You are {name}.'}\n")


def named(*names: str) -> dict[str, AgentFile]:
    return {f"name-{number}": file_of("description: d\ntools: Read", name) for number, name in enumerate(names)}


def fronts(**lines: str) -> dict[str, AgentFile]:
    return {
        key: file_of(front if "description:" in front else f"description: d\n{front}", key)
        for key, front in lines.items()
    }


NAMES = named(
    "Report Writer", "code.reviewer", "snake_case", "UPPER", "日本語", "Привет мир", "../up", "on", "a(b)*?", "a" * 256
)
TOOLS = fronts(
    absent="",
    star="tools: *",
    star_and_more='tools: "*, Read"',
    empty="tools:",
    empty_list="tools: []",
    nothing="tools: null",
    number="tools: 5",
    mapping="tools: {Read: true}",
    spaces="tools: Read Bash",
    commas_in_list='tools: ["Read, Bash"]',
    tabs="tools:\n\t- Read\n\t- Bash",
    lines="tools: |\n  Read\n  Bash",
)
BRACKETS = fronts(
    brackets="tools: Agent(helper, tester), Read, Bash(git:*), WebFetch(domain:example.com)",
    list_of_brackets='tools: [Agent(helper), "Bash(git:*)", Read]',
    older_name="tools: Task(helper), Read",
    never_closed="tools: Read, Bash(git:*",
    unknown="tools: Raed, Read",
    lower="tools: read, BASH",
    elsewhere="tools: mcp__a__b, Read",
    taken="disallowedTools: Write, Edit",
    taken_in_part="disallowedTools: Bash(rm:*)",
    taken_all="disallowedTools: *",
)
VALUES = fronts(
    at="description: @name does it\ntools: Read",
    bracket="description: [alpha] does things\ntools: [Read]",
    quoted_start='description: "Fast" answers: always\ntools: "Read"',
    bold="description: **bold**\ntools: Read # these",
    traps="description: on\nversion: 1.0\ntools: Read",
    foreign="category: x\nemoji: '*'\ncolor: red\ntools: Read",
    manual="permissionMode: manual\ntools: Read",
    crlf="description: d\r\ntools: Read\r",
)
_SERVER = Path(__file__).with_name("tools_server.py")
_WITH_SERVER = f"mcpServers:\n  - two:\n      command: {sys.executable}\n      args: ['{_SERVER}']\n"
SERVERS = fronts(
    server_unnamed=f"{_WITH_SERVER}tools: Read",
    server_named=f"{_WITH_SERVER}tools: Read, mcp__two",
    server_of_all=_WITH_SERVER,
    server_by_pattern=f"{_WITH_SERVER}tools: Read, mcp__two__f*, mcp__*",
    server_elsewhere=f"{_WITH_SERVER}tools: Read, mcp__other__find",
    server_taken=f"{_WITH_SERVER}disallowedTools: mcp__two",
    server_taken_in_part=f"{_WITH_SERVER}disallowedTools: mcp__two__erase",
)
MODELS = fronts(
    haiku="model: haiku\ntools: Read",
    capital="model: Sonnet\ntools: Read",
    inherit="model: inherit\ntools: Read",
    left_empty="model:\ntools: Read",
    whole="model: claude-sonnet-4-5\ntools: Read",
    unheard_of="model: gpt-4\ntools: Read",
)
FENCES = {
    "long-end": AgentFile("long-end", "---\nname: long-end\ndescription: d\ntools: Read\n-----\nBody"),
    "indented": AgentFile("indented", "---\nname: indented\ndescription: d\ntools: Read\n ---\nBody"),
    "second": AgentFile("second", "---\nname: second\ndescription: d\ntools: Read\n---\nBody\n---\nmore\n"),
    "mark": AgentFile("mark", "\ufeff---\nname: mark\ndescription: d\ntools: Read\n---  \n\n\n  Body  \n\n"),
    "lines": AgentFile("lines", "---\r\nname: lines\r\ndescription: d\r\ntools: Read\r\n---\r\nBody\r\nmore"),
    "signs": AgentFile("signs", "---\nname: signs\ndescription: d\ntools: Read\n---\n@a.md !`ls` $ARGUMENTS ${X} <b>"),
    "bodiless": AgentFile("bodiless", "---\nname: bodiless\ndescription: d\ntools: Read\n---"),
}
QUICK = {
    **{key: TOOLS[key] for key in ("absent", "empty")},
    "together": file_of(
        f"description: d\nmodel: haiku\n{_WITH_SERVER}tools: Agent(helper), Read, Bash(git:*), mcp__two",
        "Report Writer",
    ),
}
"""One of each kind: a name, a model, brackets and a server in one file, as each start of a process is a second."""


async def find_differences(files: Mapping[str, AgentFile], rehearsal: Rehearsal, folder: Path) -> list[str]:
    """A line for each file whose prompt, model or tools differ; `left out` where bullpen does not run it."""
    theirs = await run_with_claude(files, rehearsal, folder / "claude")
    ours = await run_with_bullpen(files, rehearsal, folder / "bullpen")
    found = (compare(key, theirs[key], ours[key]) if key in ours else f"{key}: left out" for key in files)
    return [str(difference) for difference in found if difference]


async def run_with_claude(files: Mapping[str, AgentFile], rehearsal: Rehearsal, folder: Path) -> dict[str, Reached]:
    """Each is started with `claude --agent`, two at a time."""
    config_dir, project = folder / "claude", folder / "project"
    project.mkdir(parents=True)
    # MCP servers of a project's files are not started by `claude -p`.
    await anyio.to_thread.run_sync(_write, files, config_dir / "agents")
    reached: dict[str, Reached] = {}
    places = anyio.CapacityLimiter(2)

    async def one(file: str) -> None:
        mark = f"<claude {file}>"
        async with places:
            await anyio.to_thread.run_sync(_start, files[file].name, mark, project, rehearsal, config_dir)
        reached[file] = _read(_find(rehearsal.record, mark))

    async with anyio.create_task_group() as group:
        for file in files:
            group.start_soon(one, file)
    return reached


def _start(name: str, mark: str, project: Path, rehearsal: Rehearsal, config_dir: Path) -> None:
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("ANTHROPIC_", "CLAUDE"))}
    cli = find_bundled_cli()
    assert cli is not None
    subprocess.run(
        [cli, "-p", "--agent", name, f"[[say: hi]] {mark}"],
        cwd=project,
        env={**clean, **rehearsal.environment(config_dir), **VARIABLES},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )


async def run_with_bullpen(files: Mapping[str, AgentFile], rehearsal: Rehearsal, folder: Path) -> dict[str, Reached]:
    """The same by the supervisor. A file that does not run is not among the results."""
    await anyio.to_thread.run_sync(_write, files, folder / "templates")
    settings = Settings(state_dir=folder / "state", templates_dir=folder / "templates", rehearsal=True, connect_limit=2)
    templates = load_for(settings).templates
    environment = {**rehearsal.environment(folder / "claude"), **VARIABLES}
    reached: dict[str, Reached] = {}
    async with Supervisor(templates, settings, environment=environment) as supervisor:
        known = {template.name for template in templates}
        tickets = {
            file: await supervisor.submit(Prompt(files[file].name, f"[[say: hi]] <bullpen {file}>"))
            for file in files
            if files[file].name in known
        }
        for file, ticket in tickets.items():
            await ticket.outcome()
            reached[file] = _read(_find(rehearsal.record, f"<bullpen {file}>"))
    return reached


def _write(files: Mapping[str, AgentFile], folder: Path) -> None:
    folder.mkdir(parents=True)
    for key, file in files.items():
        (folder / f"{key}.md").write_bytes(file.text.encode())


def _find(requests: Iterable[MessagesRequest], mark: str) -> MessagesRequest:
    return next(request for request in requests if mark in request.text)


def _read(request: MessagesRequest) -> Reached:
    prompt = request.system.partition(_OPENING)[2].strip("\n")
    return Reached(prompt, request.model, frozenset(request.tools))
