"""What a rehearsed colleague knows, as data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OpenChoice:
    """Something only the person who asked can decide."""

    question: str
    header: str
    options: tuple[tuple[str, str], ...]
    """(label, description) pairs."""
    answered: str
    """What is said afterwards; `{choice}` is the label chosen."""


@dataclass(frozen=True, slots=True)
class NoteFile:
    """A file worth writing into the workspace."""

    name: str
    """With a suffix; a number is put before it."""
    content: str
    announced: str
    """What is said before the file is written."""
    written: str
    """What is said afterwards; `{file}` is the name it got."""


@dataclass(frozen=True, slots=True)
class Appointment:
    """Something for the calendar of the person who asked (`create_schedule`), at ten on the next working day."""

    title: str
    announced: str
    """What is said before it is entered."""
    written: str
    """What is said afterwards; `{day}` is the day."""


@dataclass(frozen=True, slots=True)
class Topic:
    """One thing people ask about. In every text `{subject}` is what they called it, `{title}` the same as a heading."""

    keywords: tuple[str, ...]
    """Words, in lower case, that bring a prompt here."""
    answers: tuple[str, ...]
    """Given in this order, to one prompt after the other of the same conversation."""
    guide: str = ""
    """A long Markdown answer."""
    choice: OpenChoice | None = None
    note: NoteFile | None = None
    appointment: Appointment | None = None


@dataclass(frozen=True, slots=True)
class Role:
    """One colleague."""

    name: str
    signs: tuple[str, ...]
    """Words of a system prompt, in lower case, that make this the right colleague."""
    topics: tuple[Topic, ...]
    otherwise: Topic
    """What is said about anything else."""
