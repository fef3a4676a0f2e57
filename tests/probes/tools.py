"""Tools, permissions, servers, and what a process is started with."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import Any

import anyio
import claude_agent_sdk as sdk
import psutil

from supervisor.process.process_tree import LOST
from tests.probes.bench import Bench
from tests.probes.probe import probe


class Operator:
    """Answers every permission question, and counts them."""

    def __init__(self, verdict: Any = None, wait: float = 0.0) -> None:
        self.asked: list[str] = []
        self.was_cancelled = False
        self._verdict = verdict or sdk.PermissionResultAllow()
        self._wait = wait

    async def __call__(self, tool: str, arguments: dict[str, Any], context: sdk.ToolPermissionContext) -> Any:
        self.asked.append(tool)
        try:
            await anyio.sleep(self._wait)
        except BaseException:
            self.was_cancelled = True
            raise
        return self._verdict


@probe("which tools does tools=[] leave", "none", quick=True)
async def no_tools(bench: Bench) -> str:
    async with bench.talker() as talker:
        await talker.turn("[[say: hi]]")
    return " ".join(bench.requests[-1].tools) or "none"


@probe("are tools that show one session the others offered by default", "yes")
async def peer_tools(bench: Bench) -> str:
    async with bench.talker(tools=None) as talker:
        await talker.turn("[[say: hi]]")
    offered = bench.requests[-1].text
    return "yes" if "ListAgents" in offered or "SendMessage" in offered else "no"


@probe("are timers offered by default, and when they are disallowed", "yes, no")
async def timers(bench: Bench) -> str:
    found = []
    for disallowed in ([], ["CronCreate", "CronDelete", "CronList", "ScheduleWakeup"]):
        async with bench.talker(tools=None, disallowed_tools=disallowed) as talker:
            await talker.turn("[[say: hi]]")
        found.append("yes" if "CronCreate" in bench.requests[-1].text else "no")
    return ", ".join(found)


async def reading_outside(bench: Bench, arguments: dict[str, str | None]) -> str:
    secret = bench.folder / "outside.txt"
    secret.write_text("marmalade-7")
    operator = Operator()
    async with bench.talker(tools=["Read"], can_use_tool=operator, extra_args=arguments) as talker:
        await talker.turn(f'[[tool: Read {{"file_path": "{secret}"}}]] [[say: over]]')
    was_read = "marmalade-7" in bench.requests[-1].text
    return f"{'asked' if operator.asked else 'not asked'}, {'read' if was_read else 'refused'}"


@probe("is Read outside of the workspace put to the operator", "asked, read")
async def read_outside(bench: Bench) -> str:
    return await reading_outside(bench, {})


@probe("and with --restricted", "not asked, refused", quick=True)
async def restricted(bench: Bench) -> str:
    return await reading_outside(bench, {"restricted": None})


async def with_allow_rule(bench: Bench, sources: list[str]) -> str:
    bench.config_dir.mkdir(exist_ok=True)
    (bench.config_dir / "settings.json").write_text('{"permissions": {"allow": ["Bash(touch:*)"]}}')
    operator = Operator()
    call = '[[tool: Bash {"command": "touch made"}]] [[say: over]]'
    async with bench.talker(tools=["Bash"], can_use_tool=operator, setting_sources=sources) as talker:
        await talker.turn(call)
    return "asked" if operator.asked else "not asked"


@probe("does an allow rule of the user's settings count without setting_sources, and with user", "asked, not asked")
async def settings_files(bench: Bench) -> str:
    return f"{await with_allow_rule(bench, [])}, {await with_allow_rule(bench, ['user'])}"


@probe("what does a denied tool leave", "the Result lists it, and the turn goes on", quick=True)
async def denied(bench: Bench) -> str:
    operator = Operator(sdk.PermissionResultDeny(message="no"))
    async with bench.talker(tools=["Bash"], can_use_tool=operator) as talker:
        result = await talker.turn('[[tool: Bash {"command": "touch made"}]] [[say: over]]')
    listed = "the Result lists it" if result.permission_denials else "the Result does not list it"
    return f"{listed}, and {'the turn goes on' if result.result == 'over' else 'the turn ends'}"


@probe("does a permission callback wait, and what does an interrupt do to it", "it waits and is cancelled")
async def waiting_callback(bench: Bench) -> str:
    operator = Operator(wait=3600)
    async with bench.talker(tools=["Bash"], can_use_tool=operator) as talker:
        await talker.send('[[tool: Bash {"command": "touch made"}]] [[say: over]]')
        await talker.until(lambda: operator.asked)
        await anyio.sleep(1.0)
        waited = "it waits" if not talker.results else "it does not wait"
        await talker.client.interrupt()
        await talker.until(lambda: talker.results)
        return f"{waited} and {'is cancelled' if operator.was_cancelled else 'goes on'}"


@probe("how many Results has a turn with a sub-agent, and with background tasks off", "2, 1")
async def background_agent(bench: Bench) -> str:
    task = '{"description": "d", "subagent_type": "general-purpose", "prompt": "[[slow: 1]] in"}'
    call = f"[[tool: Agent {task}]] [[say: o]]"
    found = []
    for environment in ({}, {"CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1"}):
        async with bench.talker(tools=["Agent"], env=environment, can_use_tool=Operator()) as talker:
            await talker.turn(call)
            with anyio.move_on_after(4):
                while len(talker.results) < 2:  # noqa: ASYNC110 - or until it is clear that there is one
                    await anyio.sleep(0.02)
            found.append(str(len(talker.results)))
    return ", ".join(found)


@probe("does get_mcp_status name a server that has failed", "yes")
async def failed_server(bench: Bench) -> str:
    async with bench.talker(mcp_servers={"broken": {"command": "/bin/false", "args": []}}) as talker:
        await talker.turn("[[say: hi]]")
        status = await talker.client.get_mcp_status()
        found = {server["name"]: server["status"] for server in status["mcpServers"]}
    return "yes" if found.get("broken") == "failed" else str(found)


@probe("can a system prompt of 128 KiB be an argument, and a file", "no, yes")
async def long_prompt(bench: Bench) -> str:
    prompt = "x" * 128 * 1024
    said = await bench.refusal(system_prompt=prompt)
    as_argument = "no" if "Argument list too long" in said else said.strip() or "yes"
    file = bench.folder / "prompt.md"
    file.write_text(prompt)
    async with bench.talker(system_prompt={"type": "file", "path": str(file)}) as talker:
        await talker.turn("[[say: hi]]")
    return f"{as_argument}, {'yes' if prompt in bench.requests[-1].system else 'no'}"


@probe("does a tool's shell outlive a killed CLI", "yes")
async def shell_outlives(bench: Bench) -> str:
    operator = Operator()
    async with bench.talker(tools=["Bash"], can_use_tool=operator) as talker:
        await talker.send('[[tool: Bash {"command": "tail -f /dev/null"}]] [[say: over]]')

        def shells() -> list[psutil.Process]:
            found = []
            for process in bench.processes():
                with contextlib.suppress(*LOST):
                    found += [process] if process.name() == "tail" else []
            return found

        while not shells():  # noqa: ASYNC110 - the runner's limit ends it
            await anyio.sleep(0.05)
        os.kill(await talker.pid(), signal.SIGKILL)
        await anyio.sleep(0.5)
        return "yes" if shells() else "no"
