"""Gates: hooks that decide about a prompt before it is accepted.

A gate's actions give one verdict each. A program allows with exit code 0 and refuses with 2 and its reason on standard
error; an address allows with a 2xx. What either prints or answers may say more, as JSON: `decision` (`allow` or
`refuse`), `reason`, and `text`, which takes the prompt's place. Anything else is no verdict: then the gate stands for
what it declares as its fallback.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import NamedTuple

import anyio
from msgspec.structs import replace

from supervisor.api.automation import ActionKind, Hook, Payload
from supervisor.api.checks import MAX_PROMPT
from supervisor.api.errors import GateRefused
from supervisor.api.event_fields import prompt_fields
from supervisor.api.event_names import BY_NAME
from supervisor.api.events import Event
from supervisor.api.hook_rows import Fallback, HookRun, RunState
from supervisor.api.ids import new_id
from supervisor.api.keys import SessionKey
from supervisor.api.prompts import Prompt
from supervisor.automation.attempt import MOST_DETAIL, ActionFailed
from supervisor.automation.conditions import holds
from supervisor.automation.firing import Firing
from supervisor.automation.runner import Runner
from supervisor.automation.shell_action import tell_code
from supervisor.text.cleaning import clean, one_line

TIMEOUT = 10.0
"""Seconds that a gate has for its verdict, all its actions and tries together, unless it says otherwise."""
MOST_PROGRAMS = 16
"""Programs of gates that run at once."""
REFUSES = 2
"""Exit code."""
_EVENT = BY_NAME["prompt:before"]


class GateVerdict(NamedTuple):
    text: str
    """Of the prompt, as it is to be accepted."""
    refusal: str = ""
    """Why it is not; empty when it is."""


class Gates:
    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._programs = anyio.CapacityLimiter(MOST_PROGRAMS)
        self._declared: tuple[Hook, ...] = ()

    def __bool__(self) -> bool:
        """Whether there are any gates."""
        return bool(self._declared)

    def declare(self, hooks: Iterable[Hook]) -> None:
        """Replaces all gates. `hooks` is in the order in which gates are asked; other hooks in it are ignored."""
        self._declared = tuple(hook for hook in hooks if hook.gate)

    def concern(self, prompt: Prompt, key: SessionKey) -> bool:
        """Whether any gate decides about this prompt."""
        payload = self._payload(prompt, key, "")
        return any(_is_for(hook, payload) for hook in self._declared)

    async def pass_through(self, prompt: Prompt, key: SessionKey, turn_id: str) -> str:
        """The text with which the prompt is to be accepted. Each gate sees what the ones before it have made of it.
        Raises `GateRefused`."""
        text = prompt.text
        for hook in self._declared:
            payload = self._payload(replace(prompt, text=text), key, turn_id)
            if _is_for(hook, payload):
                verdict, _ = await self.ask(self._firing(hook, payload, prompt.depth), text)
                if verdict.refusal:
                    raise GateRefused(verdict.refusal, gate=hook.name)
                text = verdict.text
        return text

    async def ask(self, firing: Firing, text: str) -> tuple[GateVerdict, HookRun]:
        """The verdict of one gate, or its fallback when it gives none."""
        hook = firing.doing
        assert isinstance(hook, Hook)
        log, wall = self._runner.log, self._runner.wall
        log.tally(hook.name).fired += 1
        began, steady = wall(), anyio.current_time()
        log.begin(firing.run(RunState.RUNNING, at=began))
        state, detail = RunState.SKIPPED, "the prompt was taken back, or bullpen is stopping"
        limit = hook.timeout if hook.has_timeout and hook.timeout is not None else TIMEOUT
        try:
            verdict: GateVerdict | None = None
            why = f"it had not answered after {limit:g} s"
            with anyio.move_on_after(limit):
                try:
                    verdict = await self._ask_all(firing, text)
                except ActionFailed as error:
                    why = str(error)
            if verdict is None:
                state, detail = RunState.FAILED, f"no verdict: {why}"
                verdict = GateVerdict(text)
                if hook.fallback is Fallback.REFUSE:
                    verdict = GateVerdict(text, f"the gate {hook.name} gave no verdict, and refuses then")
                detail += f"; {'refused' if verdict.refusal else 'allowed'}, as declared"
            else:
                state = RunState.DONE
                detail = f"refused: {verdict.refusal}" if verdict.refusal else "allowed"
                if not verdict.refusal and verdict.text != text:
                    detail = "rewritten"
        finally:
            run = firing.run(
                state, at=began, seconds=anyio.current_time() - steady, detail=one_line(detail, MOST_DETAIL)
            )
            log.end(run)
        if state is RunState.FAILED:
            self._runner.tell_failed(firing, run.detail)
        return verdict, run

    async def _ask_all(self, firing: Firing, text: str) -> GateVerdict:
        """Raises `ActionFailed` when one of the actions gives no verdict."""
        first = firing.done
        verdict = GateVerdict(text)
        payload = firing.payload
        for number in range(first, len(firing.doing.actions)):
            firing.done, firing.tried = number, 1
            firing.payload = {**payload, "text": verdict.text}
            verdict = await self._ask_one(firing, verdict.text)
            if verdict.refusal:
                break
        firing.done = first
        return verdict

    async def _ask_one(self, firing: Firing, text: str) -> GateVerdict:
        while True:
            try:
                return await self._try(firing, text)
            except ActionFailed:
                if firing.tried >= firing.doing.attempts:
                    raise
            await anyio.sleep(firing.doing.backoff * 2 ** (firing.tried - 1))
            firing.tried += 1

    async def _try(self, firing: Firing, text: str) -> GateVerdict:
        # The time is up for the gate as a whole.
        attempt = firing.attempt()._replace(has_timeout=True, timeout=None)
        action = firing.action
        assert action is not None
        payload = {**firing.payload, "id": attempt.id}
        if action.kind is not ActionKind.SHELL:
            answer = await self._runner.sender.send_event(action, attempt, payload)
            return read_verdict(answer.body.decode(errors="replace"), text)
        async with self._programs:
            ended = await self._runner.start_program(action, attempt, payload)
        if ended.code == REFUSES:
            said = next((line for line in ended.errors.splitlines() if line.strip()), "")
            return GateVerdict(text, one_line(said, MOST_DETAIL) or "the prompt is not accepted")
        if ended.code != 0:
            raise ActionFailed(tell_code(ended, action.command[0]))
        return read_verdict(ended.output, text)

    def sample(self, hook: Hook, payload: Payload) -> Firing:
        return self._firing(hook, payload, 0, is_sample=True)

    def _firing(self, hook: Hook, payload: Payload, depth: int, *, is_sample: bool = False) -> Firing:
        return Firing(str(payload["id"]), hook, payload, depth, self._runner.wall(), is_sample=is_sample)

    def _payload(self, prompt: Prompt, key: SessionKey, turn_id: str) -> Payload:
        ids = {"instance": key.instance, "user": key.user, "session": key.session, "turn": turn_id}
        # Whole: what a gate lets in is what it has read.
        event = Event(at=self._runner.wall(), **ids)
        return {**_EVENT.payload(event, None, id=new_id(), depth=prompt.depth), **prompt_fields(prompt)}


def _is_for(hook: Hook, payload: Payload) -> bool:
    return hook.instance in ("", payload["instance"]) and holds(hook.tests, payload)


def read_verdict(said: str, text: str) -> GateVerdict:
    """Raises `ActionFailed` for what is none."""
    if not said.strip():
        return GateVerdict(text)
    try:
        found = json.loads(said)
    except (ValueError, RecursionError):
        raise ActionFailed("what it said is no JSON") from None
    if not isinstance(found, dict) or found.keys() - {"decision", "reason", "text"}:
        raise ActionFailed("what it said is no object with decision, reason and text")
    decision, reason, new = found.get("decision", "allow"), found.get("reason", ""), found.get("text", text)
    if decision not in ("allow", "refuse") or not isinstance(reason, str):
        raise ActionFailed("its decision is neither allow nor refuse, or its reason no text")
    if decision == "refuse":
        return GateVerdict(text, one_line(reason, MOST_DETAIL) or "the prompt is not accepted")
    if not isinstance(new, str) or not clean(new).strip() or len(new) > MAX_PROMPT:
        raise ActionFailed(f"the text that it gives is none, empty, or longer than {MAX_PROMPT:,} characters")
    return GateVerdict(new)
