"""Puts a question of an agent at the terminal, whole, and reads the answer."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Awaitable, Callable, Sequence

from supervisor import Allow, Answer, ChoiceItem, Choose, Deny, Question, QuestionKind, Refused, clean, one_line
from tui.cli.output import ask_line, tell
from tui.cli.terminal_input import END_OF_INPUT, read_line
from tui.wording.format import tool_name
from tui.wording.question_lines import fold, lines_of

Read = Callable[[str], Awaitable[str]]
"""Shows a prompt and returns the line that was typed behind it, or `END_OF_INPUT`."""

DENIED = "The operator denied this"
_IN_WORDS: dict[str, Answer] = {"y": Allow(), "yes": Allow(), "n": Deny(DENIED), "no": Deny(DENIED)}
"""Answers to a permission question in lower case that are understood without being offered."""
_QUOTED = re.compile(r'"([^"]*)"')
_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]+")


async def put(question: Question, read: Read = read_line) -> Answer:
    """Shows all of it, then asks until there is an answer. The end of the input denies."""
    if question.kind is QuestionKind.CHOICE:
        return await _put_choices(question, read)
    _show([f"? May {tool_name(question.tool)} run?", *(line.text for line in lines_of(question))])
    keys: dict[str, Answer] = {"a": Allow(), END_OF_INPUT: Deny(DENIED)}
    asked = "[a] once, [d] or [d REASON] deny"
    if question.always:
        keys["A"], asked = Allow(always=True), "[a] once, [A] always in this session, [d] or [d REASON] deny"
    while True:
        reply = await read(f"  {asked}: ")
        if reply in keys:
            return keys[reply]
        if (answer := _IN_WORDS.get(reply.strip().lower())) is not None:
            return answer
        key, _, reason = reply.partition(" ")
        if key == "d":
            return Deny(reason.strip() or DENIED)


async def _put_choices(question: Question, read: Read) -> Answer:
    answers = {}
    _show([f"⚠ {warning}" for warning in question.warnings])
    for item in question.choices:
        _show([f"? {item.question}"])
        _show([f"  {number}. {label}  {about}" for number, (label, about) in enumerate(item.options, start=1)])
        asked = "  numbers, such as 1,3, or text: " if item.multiple else "  number or text: "
        given = ""
        while not given:
            if (reply := await read(asked)) == END_OF_INPUT:
                return Deny("The question was left without an answer")
            try:
                given = read_choice(item, reply).strip()
            except Refused as error:
                tell(str(error))
        answers[item.question] = given
    return Choose(answers)


def read_choice(item: ChoiceItem, reply: str, *, is_argument: bool = False) -> str:
    """The labels that the numbers stand for; other words as they are, and what stands in double quotes literally.
    `is_argument` says that it was typed for a shell, which takes quotes off. Raises `Refused` for a number that no
    option has."""
    if quoted := _QUOTED.fullmatch(reply.strip()):
        return quoted[1]
    labels = {str(number): label for number, (label, _) in enumerate(item.options, start=1)}
    parts = [part for part in re.split(r"[,\s]+", reply) if part]
    names = [part.lstrip("0") for part in parts]
    if names and all(name in labels for name in names) and (item.multiple or len(names) == 1):
        return ", ".join(labels[name] for name in dict.fromkeys(names))
    if labels and parts and all(map(_WHOLE_NUMBER.fullmatch, parts)) and not set(parts) <= set(labels.values()):
        given = one_line(reply, 40)
        literal = shlex.quote(f'"{given}"') if is_argument else f'"{given}"'
        unknown = next((part for part, name in zip(parts, names, strict=True) if name not in labels), "")
        wrong = f"there is no option {one_line(unknown, 40)}" if unknown else "only one option can be chosen"
        asked = one_line(item.question, 200)
        raise Refused(f"{asked}: {wrong} ({describe_options(item)}); {given} as text is written {literal}")
    return reply


def how_to_answer(question: Question) -> str:
    """The command that answers it, and for a choice what there is to choose from."""
    command = f"bullpen answer {question.id}"
    if not question.choices:
        return f"{command} allow, or deny"
    options = "; ".join(describe_options(item) for item in question.choices)
    return f"{command} {' '.join('NUMBER' for _ in question.choices)} ({options})"


def describe_options(item: ChoiceItem) -> str:
    """`1 oat, 2 cow`."""
    return ", ".join(f"{number} {label}" for number, (label, _) in enumerate(item.options, start=1))


def _show(texts: Sequence[str]) -> None:
    """Prints whole texts, folded so that no part of a long line looks like a line of its own."""
    if texts:
        width = shutil.get_terminal_size().columns
        rows = [row for text in texts for line in clean(text).split("\n") for row in fold(line, width)]
        ask_line("".join(f"{row}\n" for row in rows))
