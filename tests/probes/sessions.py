"""What is kept of a conversation, and who may go on with it."""

from __future__ import annotations

import os
import signal
import uuid
from contextlib import AsyncExitStack

import anyio

from tests.probes.bench import Bench, Talker
from tests.probes.probe import probe


async def begin(bench: Bench, text: str = "[[echo]] the beginning", **options: object) -> str:
    """A conversation of one turn whose client has left. Returns its id."""
    async with bench.talker(**options) as talker:
        return (await talker.turn(text)).session_id


@probe("of three clients that resume one session at once, how many turns does a later resume know", "1 of 3")
async def resumers(bench: Bench) -> str:
    session = await begin(bench)
    colours = ("crimson", "emerald", "sapphire")
    async with AsyncExitStack() as stack:
        talkers = [await stack.enter_async_context(bench.talker(resume=session)) for _ in colours]
        async with anyio.create_task_group() as group:
            for talker, colour in zip(talkers, colours, strict=True):
                group.start_soon(talker.turn, f"[[echo]] {colour}")
    async with bench.talker(resume=session) as talker:
        await talker.turn("[[echo]] and now")
    return f"{sum(colour in bench.requests[-1].text for colour in colours)} of 3"


@probe("does resume work from another working directory", "yes", quick=True)
async def resume_elsewhere(bench: Bench) -> str:
    session = await begin(bench)
    other = bench.folder / "elsewhere"
    other.mkdir()
    async with bench.talker(resume=session, cwd=other) as talker:
        result = await talker.turn("[[echo]] and now")
    knows = "the beginning" in bench.requests[-1].text
    return "yes" if knows and result.session_id == session else "no"


@probe("what does a session id that is in use give", "already in use")
async def id_taken(bench: Bench) -> str:
    name = str(uuid.uuid4())
    await begin(bench, session_id=name)
    said = await bench.refusal(session_id=name)
    return "already in use" if "already in use" in said else said.strip() or "a client"


@probe("what does an unknown session give at resume", "No conversation found")
async def unknown_session(bench: Bench) -> str:
    said = await bench.refusal(resume=str(uuid.uuid4()))
    return "No conversation found" if "No conversation found" in said else said.strip() or "a client"


async def resumed_prompt(bench: Bench, arguments: dict[str, str | None]) -> str:
    session = await begin(bench, system_prompt="You are an old hand.", extra_args=arguments)
    async with bench.talker(resume=session, system_prompt="You are brand new.", extra_args=arguments) as talker:
        await talker.turn("[[echo]] and now")
    system = bench.requests[-1].system
    return " and ".join(
        word for word in ("old", "new") if f"{'an old hand' if word == 'old' else 'brand new'}" in system
    )


@probe("which system prompt does a resumed conversation get after an edit", "old")
async def prompt_snapshot(bench: Bench) -> str:
    return await resumed_prompt(bench, {})


@probe("and with system-prompt-snapshot off", "new", quick=True)
async def prompt_snapshot_off(bench: Bench) -> str:
    return await resumed_prompt(bench, {"system-prompt-snapshot": "off"})


@probe("to what does the cumulative cost go back after kill -9", "the last saved total")
async def cost_after_kill(bench: Bench) -> str:
    turn = "[[usage: 1000, 1000]] [[say: x]]"

    async def total(talker: Talker) -> float:
        return (await talker.turn(turn)).total_cost_usd or 0.0

    async with bench.talker() as talker:
        first = await total(talker)
        session = talker.results[-1].session_id
    async with bench.talker(resume=session) as talker:
        second = await total(talker)
        os.kill(await talker.pid(), signal.SIGKILL)
        with anyio.move_on_after(5):
            while not talker.ending:  # noqa: ASYNC110 - the reader's end
                await anyio.sleep(0.01)
    async with bench.talker(resume=session) as talker:
        third = await total(talker)
    step = first
    turns = round(third / step) if step else 0
    if round(second / step) != 2:
        return f"a graceful end saved {second / step:.1f} turns"
    return {1: "nothing", 2: "the last saved total", 3: "the true total"}.get(turns, f"{third / step:.1f} turns")


@probe("what is on disk of a turn whose client is killed in the stream", "the prompt without a reply")
async def killed_in_stream(bench: Bench) -> str:
    async with bench.talker() as talker:
        await talker.turn("[[echo]] the beginning")
        session = talker.results[-1].session_id
        await talker.send("[[stream: 3000 words, 0.02]] unanswered-7")
        await talker.until(lambda: "word9" in talker.text)
        os.kill(await talker.pid(), signal.SIGKILL)
    (transcript,) = bench.config_dir.rglob(f"{session}.jsonl")
    text = transcript.read_text()
    prompt = "the prompt" if "unanswered-7" in text else "nothing"
    return f"{prompt} {'with' if 'word9' in text else 'without'} a reply"


@probe("is a client that nobody holds any more ended", "no")
async def abandoned(bench: Bench) -> str:
    import gc

    import claude_agent_sdk as sdk

    client = sdk.ClaudeSDKClient(bench.options())
    await client.connect()
    del client
    gc.collect()
    await anyio.sleep(0.2)
    is_alive = bool(bench.processes())
    bench.clear()
    await anyio.sleep(0.3)
    gc.collect()  # what it leaves behind is closed here, while the loop runs
    return "no" if is_alive else "yes"
