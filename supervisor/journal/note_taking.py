"""What every part of the journal notes with."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path

from supervisor.journal.notes import Note, step
from supervisor.journal.writer import Writer, tell_mistake

StandIn = Callable[[str], Note]
"""Makes what is written in the place of what cannot be: of the reason."""

_log = logging.getLogger(__name__)


class NoteTaker:
    """Hands the notes of all parts to the one writer, in the order in which they are taken."""

    def __init__(self, path: Path, writer: Writer) -> None:
        self._path = path
        self._writer = writer
        self.is_closed = False
        """Nothing can be noted any more."""

    def add(self, note: Note) -> None:
        if self.is_closed:
            raise AssertionError(f"the journal {self._path} is closed")
        self._writer.add(note)

    def note(self, sql: str, *row: object) -> None:
        self.add(Note((step(sql, *row),), what=partial(_describe, sql)))

    def add_or(self, make: Callable[[], Note], stand_in: StandIn, what: Callable[[], str]) -> None:
        """Adds what `make` makes, or what stands in for it: when it cannot be made, or cannot be written, which the
        note that is made says itself (`Note.stand_in`)."""
        try:
            note = make()
        except Exception as error:
            why = tell_mistake(error)
            note = stand_in(why)
            _log.error("%s cannot be recorded: %s", what(), why)
            self._writer.on_lost(note, why)
        self.add(note)


def _describe(sql: str) -> str:
    """`UPDATE questions SET …`: what a note without words of its own was about."""
    return " ".join(sql.split()[:3])
