"""Files of Claude Code's, each with `claude --agent` and with bullpen: what differs in what reaches the model."""

from __future__ import annotations

from collections.abc import Mapping

from tests.acceptance.agent_files import (
    BRACKETS,
    FENCES,
    MODELS,
    NAMES,
    SERVERS,
    TOOLS,
    VALUES,
    AgentFile,
    find_differences,
)
from tests.probes.bench import Bench
from tests.probes.probe import probe

LONG = 120.0
"""Seconds for a dozen files: each is a start of the CLI, twice."""


async def differences(bench: Bench, files: Mapping[str, AgentFile]) -> str:
    return "; ".join(await find_differences(files, bench.rehearsal, bench.folder / "files")) or "none"


@probe("what differs for names of all kinds", "none", limit=LONG)
async def file_names(bench: Bench) -> str:
    return await differences(bench, NAMES)


@probe("what differs for ways to write tools", "none", limit=LONG)
async def file_tools(bench: Bench) -> str:
    return await differences(bench, TOOLS)


@probe(
    "what differs for brackets and tools taken away",
    # Without Bash a client is confined: no WebFetch, and Grep and Glob in its workspace. `*` takes all, where Claude
    # Code passes it over.
    "taken_in_part: +Glob +Grep -WebFetch; taken_all: -Agent -Bash -Edit -EnterWorktree -ExitWorktree -NotebookEdit "
    "-Read -ReportFindings -Skill -TaskStop -WebFetch -WebSearch -Write",
    limit=LONG,
)
async def file_brackets(bench: Bench) -> str:
    return await differences(bench, BRACKETS)


@probe("what differs for MCP servers that tools names or does not", "none", limit=LONG)
async def file_servers(bench: Bench) -> str:
    return await differences(bench, SERVERS)


@probe("what differs for values that YAML refuses or mistakes", "none", limit=LONG)
async def file_values(bench: Bench) -> str:
    return await differences(bench, VALUES)


@probe("what differs for models", "none", limit=LONG)
async def file_models(bench: Bench) -> str:
    return await differences(bench, MODELS)


# An empty body is no prompt here; Claude Code sends its own of a programmer.
@probe("what differs for fences, line ends and bodies", "bodiless: prompt", limit=LONG)
async def file_fences(bench: Bench) -> str:
    return await differences(bench, FENCES)
