"""Prompts, Results, interrupts and what the API does in between."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import anyio
import claude_agent_sdk as sdk
import psutil

from supervisor.rehearsal.reply import Reply
from supervisor.rehearsal.request import MessagesRequest
from tests.probes.bench import Bench
from tests.probes.probe import probe


@probe("does a used client send an earlier user's words under another session id", "it does", quick=True)
async def leak(bench: Bench) -> str:
    async with bench.talker() as talker:
        await talker.turn("[[echo]] I am ana, marmalade-7")
        await talker.client.query("[[echo]] I am boris", session_id="boris")
        await talker.until(lambda: len(talker.results) == 2)
    return "it does" if "marmalade-7" in bench.requests[-1].text else "it does not"


@probe("does a Result name the prompt that it answers", "yes", quick=True)
async def named_result(bench: Bench) -> str:
    async with bench.talker() as talker:
        given = await talker.send("[[say: hi]]")
        await talker.until(lambda: talker.results)
        return (
            "yes" if given in str(talker.results[0].user_message_uuids or talker.results[0].user_message_uuid) else "no"
        )


@probe("when does the idle sign come", "after each Result", quick=True)
async def idle_sign(bench: Bench) -> str:
    async with bench.talker() as talker:
        for number in range(3):
            await talker.turn(f"[[say: {number}]]")
            await talker.until(lambda: talker.states[-1] == "idle")
        states = [state for state in talker.states if state != "running"]
    return "after each Result" if states == ["result", "idle"] * 3 else " ".join(states)


@probe("what does an interrupt in a stream leave", "aborted_streaming, and the next answer is its own")
async def interrupt(bench: Bench) -> str:
    async with bench.talker() as talker:
        await talker.send("[[stream: 2000 words, 0.02]]")
        await talker.until(lambda: talker.text)
        await talker.client.interrupt()
        await talker.until(lambda: talker.results)
        after = await talker.turn("[[say: the new answer]]")
        own = "the next answer is its own" if after.result == "the new answer" else f"then {after.result!r}"
        return f"{talker.results[0].terminal_reason}, and {own}"


@probe("what becomes of a prompt whose uuid was used before", "no request, no Result")
async def reused_uuid(bench: Bench) -> str:
    async with bench.talker() as talker:
        name = "b6f0bd2c-54c1-4d0a-9a2c-6f0c54a4f3aa"
        await talker.send("[[say: first]]", name)
        await talker.until(lambda: talker.results)
        await talker.send("[[say: second]]", name)
        await anyio.sleep(1.0)
        # A prompt behind it shows that the client has read on.
        await talker.turn("[[say: third]]")
        answered = [result.result for result in talker.results]
    return "no request, no Result" if answered == ["first", "third"] else ", ".join(map(str, answered))


@probe("how many turns do three prompts make that are written at once", "2")
async def merged_prompts(bench: Bench) -> str:
    async with bench.talker() as talker:
        uuids = [await talker.send(f"[[slow: 1]] [[say: {number}]]") for number in range(3)]
        await talker.until(lambda: uuids[-1] in str([result.user_message_uuids for result in talker.results]))
        return str(len(talker.results))


@probe("who gets /cost as a verbatim prompt", "the model", quick=True)
async def verbatim(bench: Bench) -> str:
    async with bench.talker() as talker:
        await talker.turn("/cost")
    return "the model" if any("/cost" in request.prompt for request in bench.requests) else "the CLI"


@probe("what follows a prompt that the API rejects with 400", "every later turn fails")
async def rejected_prompt(bench: Bench) -> str:
    async with bench.talker() as talker:
        first = await talker.turn("[[reject: 400, prompt is too long]] no")
        second = await talker.turn("[[say: hi]]")
    if first.is_error and second.is_error:
        return "every later turn fails"
    return f"first {'fails' if first.is_error else 'is answered'}, next {'fails' if second.is_error else 'is answered'}"


@probe("how often does a reply begin whose connection breaks in the middle", "2 times, the first part is void")
async def broken_stream(bench: Bench) -> str:
    async with bench.talker() as talker:
        result = await talker.turn("[[cut: 1, half a sen]] [[say: whole]]")
        begun = sum(
            isinstance(message, sdk.types.StreamEvent) and message.event.get("type") == "message_start"
            for message in talker.said
        )
    part = "the first part is void" if "half a sen" not in str(result.result) else "the first part counts"
    return f"{begun} times, {part}"


@probe("how many requests does CLAUDE_CODE_MAX_RETRIES=1 make of a 529", "2")
async def retries(bench: Bench) -> str:
    async with bench.talker(env={"CLAUDE_CODE_MAX_RETRIES": "1"}) as talker:
        await talker.turn("[[error: 529]]")
    return str(len(bench.requests))


@probe("what is a refused credential", "an answer with is_error, and the process lives")
async def refused_credential(bench: Bench) -> str:
    async with bench.talker(env={"CLAUDE_CODE_MAX_RETRIES": "0"}) as talker:
        refused = await talker.turn("[[error: 401, 1]]")
        after = await talker.turn("[[say: hi]]")
    lives = "and the process lives" if after.result == "hi" else "and nothing after it"
    return f"{'an answer with is_error' if refused.is_error else 'no error'}, {lives}"


@probe("what is offered as a message longer than max_buffer_size", "CLIJSONDecodeError")
async def oversize(bench: Bench) -> str:
    async with bench.talker(max_buffer_size=30_000) as talker:
        await talker.send("[[stream: 6000 words, 0]]")
        with anyio.move_on_after(20):
            while not talker.ending:  # noqa: ASYNC110 - the reader's end, whatever it is
                await anyio.sleep(0.01)
    return talker.ending.partition(":")[0] or "nothing"


@probe("has the CLI said anything of a prompt by the time its request reaches the API", "running, each of 5 times")
async def first_sign(bench: Bench) -> str:
    """Killed in the moment in which the request is there, once warm and then each time after a stop of its process."""
    found = []
    for number in range(5):
        async with bench.talker() as talker:
            await talker.turn("[[say: warm]]")
            await talker.until(lambda: talker.states[-1] == "idle")
            process = psutil.Process(await talker.pid())
            if number:
                process.suspend()
            with _kill_at_request(bench, process):
                await talker.send("[[say: never heard]]")
                process.resume()
                with contextlib.suppress(RuntimeError):
                    await talker.until(lambda: False)
            found.append(" ".join(talker.states).partition("idle ")[2])
    return f"running, each of {len(found)} times" if set(found) == {"running"} else repr(found)


@contextlib.contextmanager
def _kill_at_request(bench: Bench, process: psutil.Process) -> Iterator[None]:
    """In place of a reply."""
    real = bench.rehearsal.reply_to

    def reply_to(request: MessagesRequest) -> tuple[Reply, str]:
        process.kill()
        return real(request)

    bench.rehearsal.reply_to = reply_to  # type: ignore[method-assign]
    try:
        yield
    finally:
        bench.rehearsal.reply_to = real  # type: ignore[method-assign]
