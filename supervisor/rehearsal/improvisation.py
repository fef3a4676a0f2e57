"""Replies to ordinary prompts: plausible, about what was asked, and the same again for the same conversation.

A turn has a plot: an answer, a long answer, a look around the workspace, a note that is written or an appointment that
is entered (which ask for permission), a question to the caller. The dice know only the prompts, so every request of one
turn finds the same plot; how many tool results there are says where in it we are.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from supervisor.rehearsal.directions import question_step
from supervisor.rehearsal.repertoire import role_for, topic_for
from supervisor.rehearsal.repertoire.topic import Role, Topic
from supervisor.rehearsal.reply import Reply, Say, Step, Use, Wait, fragments
from supervisor.rehearsal.request import MessagesRequest
from supervisor.rehearsal.subject import subject_of, words_of

PLOTS = {"answer": 44, "guide": 22, "look": 17, "note": 6, "ask": 5, "think": 6, "book": 4}
"""How often each plot is chosen, where the topic and the tools of the request allow it."""

REMINDERS = 0.1
"""How often a reply mentions what was asked before."""

THINKING = (5.0, 11.0)
"""Seconds before a reply that takes its time, at pace 1."""

_THANKS = re.compile(r"\b(thanks|thank you|thx|cheers|merci|danke|gracias)\b", re.IGNORECASE)
_GREETING = re.compile(r"^\W*(hello|hi|hey|good (morning|afternoon|evening)|moin|servus|hallo)\b", re.IGNORECASE)
_WORKING_DIRECTORY = re.compile(r"working directory: (\S.*)")
_CHOSEN = re.compile(r'="([^"]*)"')

_TIME = re.compile(r'"at": ?"(\d{4}-\d\d-\d\dT\d\d:\d\d)')
CALENDAR = "mcp__bullpen__create_schedule"
"""The tool that enters an appointment, as the shipped helpdesk has it."""
FRIDAY = 4
"""`weekday()` of the last working day."""

SMALL_TALK_WORDS = 9
"""Up to so many words, thanks and greetings are answered as such."""


@dataclass(frozen=True, slots=True)
class _Stage:
    """What a plot can use in its reply."""

    request: MessagesRequest
    dice: random.Random
    topic: Topic
    subject: str
    answer: str
    """The answer whose turn it is."""

    @property
    def result(self) -> str:
        return self.request.tool_results[-1].text

    @property
    def was_refused(self) -> bool:
        return self.request.tool_results[-1].is_error

    def fill(self, text: str, **more: str) -> str:
        """Puts the subject in."""
        title = self.subject[:1].upper() + self.subject[1:]
        for name, value in {"subject": f"“{self.subject}”", "title": title, **more}.items():
            text = text.replace("{" + name + "}", value)
        return text

    def say(self, text: str, **more: str) -> Say:
        gap = self.dice.uniform(0.045, 0.09)
        return Say(fragments(self.fill(text, **more), self.dice.choice((1, 2, 2, 3))), gap)

    def numbered(self, name: str) -> str:
        """A file name of its own for each prompt: a file that is there already may not be written unread."""
        stem, dot, suffix = name.rpartition(".")
        return f"{stem}-{len(self.request.user_texts)}{dot}{suffix}"

    def path(self, name: str) -> str:
        """Inside the CLI's working directory, when the request says which that is."""
        found = _WORKING_DIRECTORY.search(self.request.text)
        return f"{found[1].strip()}/{name}" if found else name


def improvise(request: MessagesRequest, dice: random.Random) -> Reply:
    """The reply to a prompt without stage directions."""
    role = role_for(request.system, words_of(request.prompt))
    topics = _topics(role, request.user_texts or ("",))
    topic = topics[-1]
    answer = topic.answers[topics[:-1].count(topic) % len(topic.answers)]
    stage = _Stage(request, dice, topic, subject_of(request.prompt, topic.keywords), answer)
    pause = Wait(dice.uniform(0.3, 1.4))
    if request.is_continuation:
        return (pause, stage.say("… and that is all there is to it. Sorry for the break in the line."))
    if small_talk := _small_talk(request.prompt):
        return (pause, stage.say(dice.choice(small_talk)))
    plots = [name for name in PLOTS if _is_possible(name, stage)]
    plot = dice.choices(plots, [PLOTS[name] for name in plots])[0]
    reminder = _reminder(stage, topics)
    return (pause, *((stage.say(reminder),) if reminder else ()), *_PLAYS[plot](stage))


def _topics(role: Role, prompts: tuple[str, ...]) -> list[Topic]:
    """The topic of each prompt. One that names none goes on with the topic before it."""
    topics: list[Topic] = []
    for prompt in prompts:
        topic = topic_for(role, words_of(prompt))
        topics.append(topics[-1] if topic is role.otherwise and topics else topic)
    return topics


def _small_talk(prompt: str) -> tuple[str, ...]:
    if len(words_of(prompt)) > SMALL_TALK_WORDS:
        return ()
    return _FAREWELLS if _THANKS.search(prompt) else _WELCOMES if _GREETING.search(prompt) else ()


def _is_possible(plot: str, stage: _Stage) -> bool:
    tools = stage.request.tools
    match plot:
        case "guide":
            return bool(stage.topic.guide)
        case "look":
            return "Bash" in tools or "Glob" in tools
        case "note":
            return stage.topic.note is not None and "Write" in tools
        case "book":
            return stage.topic.appointment is not None and CALENDAR in tools
        case "ask":
            return stage.topic.choice is not None and "AskUserQuestion" in tools
        case _:
            return True


def _reminder(stage: _Stage, topics: list[Topic]) -> str:
    """Now and then a colleague who was asked something else before says that it is not forgotten."""
    is_about_something_else = len(topics) > 1 and topics[-2] is not topics[-1]
    if stage.request.tool_results or not is_about_something_else or stage.dice.random() > REMINDERS:
        return ""
    earlier = subject_of(stage.request.earlier_prompts[-1], topics[-2].keywords)
    return f"Gladly, and “{earlier}” stays on my list."


def _answer(stage: _Stage) -> Reply:
    return (stage.say(stage.answer),)


def _guide(stage: _Stage) -> Reply:
    return (Say(fragments(stage.fill(stage.topic.guide), 3), 0.05),)


def _think(stage: _Stage) -> Reply:
    return (
        Wait(stage.dice.uniform(*THINKING)),
        stage.say(f"That took me a moment; I wanted to be sure. {stage.answer}"),
    )


def _look(stage: _Stage) -> Reply:
    if not stage.request.tool_results:
        look: Step = (
            Use("Bash", {"command": "ls -la", "description": "See what lies on the desk"})
            if "Bash" in stage.request.tools
            else Use("Glob", {"pattern": "**/*"})
        )
        return (stage.say("Let me see what we already have on {subject}."), look)
    found = len(re.findall(r"\.\w+$", stage.result, re.MULTILINE))
    if stage.was_refused:
        remark = "I may not look there, so this is from memory."
    elif found:
        remark = f"{found} file{'s' if found > 1 else ''} from earlier on my desk; I took that into account."
    else:
        remark = "Nothing on file from earlier, so we start clean."
    return (stage.say(f"{remark}\n\n{stage.answer}"),)


def _note(stage: _Stage) -> Reply:
    note = stage.topic.note
    if note is None:
        return _answer(stage)
    name = stage.numbered(note.name)
    if not stage.request.tool_results:
        content = {"file_path": stage.path(name), "content": stage.fill(note.content)}
        return (stage.say(note.announced), Use("Write", content))
    if stage.was_refused:
        return (stage.say(f"All right, I leave the file alone. This is what it would have said:\n\n{note.content}"),)
    return (stage.say(note.written, file=name),)


def _ask(stage: _Stage) -> Reply:
    choice = stage.topic.choice
    if choice is None:
        return _answer(stage)
    if not stage.request.tool_results:
        ask = question_step(choice.question, list(choice.options), choice.header)
        return (stage.say("One thing only you can decide about {subject}."), ask)
    chosen = _CHOSEN.search(stage.result)
    if stage.was_refused or chosen is None:
        return (stage.say("No hurry. I keep {subject} as it is until you have decided."),)
    return (stage.say(choice.answered, choice=chosen[1]),)


def _book(stage: _Stage) -> Reply:
    appointment = stage.topic.appointment
    if appointment is None:
        return _answer(stage)
    if not stage.request.tool_results:
        entry = {"title": stage.fill(appointment.title), "at": _next_working_day().isoformat(timespec="minutes")}
        return (stage.say(appointment.announced), Use(CALENDAR, entry))
    if stage.was_refused:
        return (stage.say(f"Then I leave your calendar as it is.\n\n{stage.answer}"),)
    at = _TIME.search(stage.result)
    day = datetime.fromisoformat(at[1]).strftime("%A, %d %B") if at else "the next working day"
    return (stage.say(appointment.written, day=day),)


def _next_working_day() -> datetime:
    """Ten o'clock local time on the next working day."""
    day = datetime.now().replace(hour=10, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return day + timedelta(days=max(0, 7 - day.weekday()) if day.weekday() > FRIDAY else 0)


_PLAYS: dict[str, Callable[[_Stage], Reply]] = {
    "answer": _answer,
    "guide": _guide,
    "look": _look,
    "note": _note,
    "ask": _ask,
    "think": _think,
    "book": _book,
}

_FAREWELLS = (
    "You are welcome! I leave this open until tomorrow in case something else turns up.",
    "With pleasure. If it comes back, the same three words here are enough; I keep what we did.",
    "Good. I have made a note of it, and I am here all day.",
)

_WELCOMES = (
    "Hello! Good to see you. What can I do?",
    "Good day! I have time and a fresh coffee. What is it about?",
)
