"""Decides the reply to a request: by its stage directions when it has some, else by what a colleague would say."""

from __future__ import annotations

import hashlib
import random

from supervisor.rehearsal.directions import (
    Direction,
    Echo,
    Essay,
    Fail,
    Mistake,
    Recall,
    Reject,
    Staged,
    read_directions,
)
from supervisor.rehearsal.essay import ESSAY
from supervisor.rehearsal.example import example_of
from supervisor.rehearsal.improvisation import improvise
from supervisor.rehearsal.reply import Cut, Refuse, Reply, Say, Stall, Step, Use, fragments
from supervisor.rehearsal.request import FORM_TOOL, MessagesRequest

ENDING = (Stall, Cut, Refuse, Use)
"""Steps after which nothing of the same reply is played."""


def decide(request: MessagesRequest, *, seed: int, attempt: int = 1) -> Reply:
    """The reply to a request: the same for the same seed, conversation and attempt.

    `attempt` counts how often this very request has been sent, from 1.
    """
    if (rejection := _find_rejection(request)) is not None:
        return (rejection,)
    staged = read_directions(request.prompt)
    if staged.directions:
        return _stage(staged, request, attempt)
    dice = random.Random(f"{seed}:{request.user_texts}")
    if request.form is not None:
        return (_close(request),) if request.tool_results else (Use(FORM_TOOL, example_of(request.form, dice)),)
    return improvise(request, dice)


def salt(request: MessagesRequest, seed: int) -> str:
    """Sixteen hexadecimal digits that stand for a seed and a conversation up to here."""
    return hashlib.sha256(f"{seed}:{request.digest}".encode()).hexdigest()[:16]


def _stage(staged: Staged, request: MessagesRequest, attempt: int) -> Reply:
    if staged.mistakes:
        return (_explain(staged.mistakes),)
    scenes = staged.scenes
    done = len(request.tool_results)
    scene = scenes[done] if done < len(scenes) else ()
    if not scene:
        return (_close(request),)
    if request.is_continuation:
        # What was said before the break has survived on the other side.
        breaks = [place for place, direction in enumerate(scene) if isinstance(direction, Fail)]
        scene = scene[breaks[0] :] if breaks else scene
    steps: list[Step] = []
    for direction in scene:
        step = _step(direction, staged, request, attempt)
        if step is None:
            continue
        steps.append(step)
        if isinstance(step, ENDING):
            break
    return tuple(steps) if any(isinstance(step, (Say, *ENDING)) for step in steps) else (*steps, _close(request))


def _step(direction: Direction, staged: Staged, request: MessagesRequest, attempt: int) -> Step | None:
    match direction:
        case Echo():
            return _say(staged.plain or "(nothing but directions)")
        case Recall():
            return _say(_recollection(request.earlier_prompts))
        case Essay():
            return Say(fragments(ESSAY, 4), 0.03)
        case Fail(fault, times):
            return fault if times is None or attempt <= times else None
        case Use(tool) if tool not in request.tools:
            offered = ", ".join(request.tools) or "none"
            return _say(f"There is no tool {tool} in this request. The tools are: {offered}.")
        case Mistake() | Reject():
            return None
        case _:
            return direction


def _find_rejection(request: MessagesRequest) -> Refuse | None:
    """A rejection that any prompt or tool result in the conversation asks for: an API looks at all of it every time."""
    for text in (*request.user_texts, *request.result_texts):
        if "[[" in text:
            for direction in read_directions(text).directions:
                if isinstance(direction, Reject):
                    return direction.refusal
    return None


def _recollection(prompts: tuple[str, ...]) -> str:
    if not prompts:
        return "I remember nothing before this prompt."
    lines = [f"{number}. {prompt}" for number, prompt in enumerate(prompts, 1)]
    return "\n".join(["I remember:", "", *lines])


def _close(request: MessagesRequest) -> Say:
    """The reply when all directions are used up: the last tool's result, or that it is done."""
    if not request.tool_results:
        return _say("Done.")
    result = request.tool_results[-1]
    return _say(f"The tool {'failed' if result.is_error else 'returned'}: {result.text or '(no text)'}")


def _explain(mistakes: tuple[Mistake, ...]) -> Say:
    lines = [f"- `{mistake.direction}`: {mistake.reason}" for mistake in mistakes]
    return _say("\n".join(["These stage directions cannot be played:", "", *lines]))


def _say(text: str) -> Say:
    return Say(fragments(text), 0.02)
