"""Stage directions: a little language inside a prompt that says what the reply shall do.

    [[say: some text]]               a text block, streamed
    [[stream: 40 words, 0.05]]       forty words, 0.05 s between two of them
    [[markdown]]                     a long answer with headings, lists, a table and code
    [[echo]]                         the prompt's own text, without its directions
    [[recall]]                       every earlier prompt of the conversation that was sent
    [[slow: 2]]                      two seconds before what follows
    [[tool: Bash {"command": "ls"}]] calls a tool of the request, then goes on with what follows
    [[output: {"urgent": true}]]     answers in the form that the template's `output` asks for
    [[ask: Which? | red | blue]]     calls AskUserQuestion with two to four options
    [[error: 429]]                   an HTTP error; after some text, an error event in the stream
    [[stall]]                        headers or what came before, then silence
    [[cut]]                          the connection breaks here
    [[cut: 1, half a sen]]           the same in the middle of a block, after that text, at the first attempt
    [[reject: 400, some text]]       an HTTP error for as long as this is a part of the conversation
    [[usage: 12, 34]]                the reply says that it used 12 input and 34 output tokens

Seconds are multiplied by the rehearsal's pace. `error`, `stall` and `cut` happen at every attempt; with a
number of times (`[[error: 529, 2]]`, `[[cut: 1]]`) only at so many attempts, after which the reply goes on. Directions
of one prompt are played in order; a tool call ends one request, and the next request goes on after it. Text around the
directions is for `echo` and for the reader. A direction that cannot be read makes the whole reply say so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from supervisor.rehearsal.reply import Charge, Cut, Fault, Refuse, Say, Stall, Step, Use, Wait, fragments
from supervisor.rehearsal.request import FORM_TOOL

MAX_WORDS = 20_000
"""Longest `[[stream]]`."""

MAX_SECONDS = 3_600.0
"""Longest `[[slow]]`, and longest gap of a `[[stream]]`."""


@dataclass(frozen=True, slots=True)
class Echo:
    """Replies with the prompt's own text."""


@dataclass(frozen=True, slots=True)
class Recall:
    """Replies with every earlier prompt."""


@dataclass(frozen=True, slots=True)
class Essay:
    """Replies with a long Markdown answer."""


@dataclass(frozen=True, slots=True)
class Fail:
    """Goes wrong at the first `times` attempts; None means at every attempt."""

    fault: Fault
    times: int | None = None


@dataclass(frozen=True, slots=True)
class Reject:
    """What the API will not take, now or later: its prompt has to leave the conversation."""

    refusal: Refuse


@dataclass(frozen=True, slots=True)
class Mistake:
    """A direction that cannot be read, and why."""

    direction: str
    reason: str


Direction = Step | Echo | Recall | Essay | Fail | Reject | Mistake


@dataclass(frozen=True, slots=True)
class Staged:
    """A prompt taken apart."""

    directions: tuple[Direction, ...]
    plain: str
    """The prompt without its directions."""

    @property
    def mistakes(self) -> tuple[Mistake, ...]:
        return tuple(direction for direction in self.directions if isinstance(direction, Mistake))

    @property
    def scenes(self) -> tuple[tuple[Direction, ...], ...]:
        """The directions of each request of the turn: all but the last scene end with a tool call."""
        scenes: list[list[Direction]] = [[]]
        for direction in self.directions:
            scenes[-1].append(direction)
            if isinstance(direction, Use):
                scenes.append([])
        return tuple(tuple(scene) for scene in scenes)


class _Unreadable(Exception):
    pass


_OPENING = re.compile(r"\[\[\s*([a-z]+)\s*(:|(?=\]\]))\s*", re.IGNORECASE)
_TOOL = re.compile(r"([\w.-]+)\s*")


def read_directions(prompt: str) -> Staged:
    """Takes a prompt apart. Never raises: what cannot be read becomes a `Mistake`."""
    directions: list[Direction] = []
    plain: list[str] = []
    place = 0
    while opening := _OPENING.search(prompt, place):
        plain.append(prompt[place : opening.start()])
        name, start = opening[1].lower(), opening.end()
        argument_end = _end_of_argument(prompt, name, start)
        if argument_end < 0:
            directions.append(Mistake(prompt[opening.start() :].strip(), "it is never closed with ]]"))
            place = len(prompt)
            break
        place = argument_end + 2
        try:
            directions.append(_direction(name, prompt[start:argument_end].strip()))
        except _Unreadable as reason:
            directions.append(Mistake(prompt[opening.start() : place], str(reason)))
    plain.append(prompt[place:])
    return Staged(tuple(directions), " ".join("".join(plain).split()))


def _end_of_argument(prompt: str, name: str, start: int) -> int:
    """Index of the closing `]]`; -1 when it is missing. JSON may hold brackets of its own."""
    if name in ("tool", "output"):
        brace = prompt.find("{", start)
        closing = prompt.find("]]", start)
        if 0 <= brace < closing:
            try:
                _, end = json.JSONDecoder().raw_decode(prompt, brace)
            except ValueError:
                return closing
            return prompt.find("]]", end)
    return prompt.find("]]", start)


def _direction(name: str, argument: str) -> Direction:
    reader = _READERS.get(name)
    if reader is None:
        raise _Unreadable(f"there is no direction {name!r}; there are {', '.join(sorted(_READERS))}")
    return reader(argument)


def _say(argument: str) -> Direction:
    if not argument:
        raise _Unreadable("it needs a text, as in [[say: Good morning]]")
    return Say(fragments(argument))


def _stream(argument: str) -> Direction:
    match = re.fullmatch(r"(\d+)\s*(?:words?)?\s*(?:,\s*(\S+))?", argument)
    if match is None or not 1 <= int(match[1]) <= MAX_WORDS:
        raise _Unreadable(f"it needs 1 to {MAX_WORDS} words and perhaps seconds, as in [[stream: 40 words, 0.05]]")
    gap = _seconds(match[2]) if match[2] else 0.05
    return Say(tuple(f"word{number} " for number in range(1, int(match[1]) + 1)), gap)


def _slow(argument: str) -> Direction:
    return Wait(_seconds(argument))


def _tool(argument: str) -> Direction:
    match = _TOOL.match(argument)
    if match is None:
        raise _Unreadable('it needs a tool and its input, as in [[tool: Bash {"command": "ls"}]]')
    rest = argument[match.end() :]
    try:
        given: Any = json.loads(rest or "{}")
    except ValueError as error:
        raise _Unreadable(f"the input of {match[1]} is not JSON: {error}") from None
    if not isinstance(given, dict):
        raise _Unreadable(f"the input of {match[1]} must be a JSON object")
    return Use(match[1], given)


def _output(argument: str) -> Direction:
    if not argument.startswith("{"):
        raise _Unreadable('it needs the answer as a JSON object, as in [[output: {"urgent": true}]]')
    return _tool(f"{FORM_TOOL} {argument}")


def _ask(argument: str) -> Direction:
    question, *options = (part.strip() for part in argument.split("|"))
    if not question or not 2 <= len(options) <= 4 or not all(options) or len(set(options)) < len(options):
        raise _Unreadable("it needs a question and 2 to 4 different options, as in [[ask: Which? | red | blue]]")
    return question_step(question, [(option, f"Go on with {option}.") for option in options])


def question_step(question: str, options: list[tuple[str, str]], header: str = "") -> Use:
    """An AskUserQuestion call with one question; options are (label, description) pairs."""
    words = re.findall(r"\w+", question)
    item = {
        "question": question,
        "header": (header or (words[-1].capitalize() if words else "Question"))[:12],
        "options": [{"label": label, "description": description} for label, description in options],
        "multiSelect": False,
    }
    return Use("AskUserQuestion", {"questions": [item]})


def _error(argument: str) -> Direction:
    status, _, times = (part.strip() for part in argument.partition(","))
    if not re.fullmatch(r"[45]\d\d", status):
        raise _Unreadable("it needs a status from 400 to 599, as in [[error: 429]] or [[error: 529, 2]]")
    return Fail(Refuse(int(status)), _times(times))


def _reject(argument: str) -> Direction:
    status, _, message = (part.strip() for part in argument.partition(","))
    if not re.fullmatch(r"4\d\d", status):
        raise _Unreadable("it needs a status from 400 to 499, as in [[reject: 400, prompt is too long]]")
    return Reject(Refuse(int(status), message=message))


def _usage(argument: str) -> Direction:
    match = re.fullmatch(r"(-?\d+)\s*,\s*(-?\d+)", argument)
    if match is None:
        raise _Unreadable("it needs input and output tokens, as in [[usage: 12, 34]]")
    return Charge(int(match[1]), int(match[2]))


def _stall(argument: str) -> Direction:
    return Fail(Stall(), _times(argument))


def _cut(argument: str) -> Direction:
    times, _, text = (part.strip() for part in argument.partition(","))
    return Fail(Cut(text), _times(times))


def _times(argument: str) -> int | None:
    if not argument:
        return None
    if not argument.isdecimal() or int(argument) < 1:
        raise _Unreadable(f"{argument!r} is not a number of times")
    return int(argument)


def _seconds(argument: str) -> float:
    try:
        seconds = float(argument.removesuffix("s"))
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= MAX_SECONDS:
        raise _Unreadable(f"{argument!r} is not a number of seconds from 0 to {MAX_SECONDS:.0f}")
    return seconds


def _alone(direction: Direction) -> Callable[[str], Direction]:
    def read(argument: str) -> Direction:
        if argument:
            raise _Unreadable("it takes no argument")
        return direction

    return read


_READERS: dict[str, Callable[[str], Direction]] = {
    "say": _say,
    "stream": _stream,
    "markdown": _alone(Essay()),
    "echo": _alone(Echo()),
    "recall": _alone(Recall()),
    "slow": _slow,
    "tool": _tool,
    "output": _output,
    "ask": _ask,
    "error": _error,
    "reject": _reject,
    "usage": _usage,
    "stall": _stall,
    "cut": _cut,
}
