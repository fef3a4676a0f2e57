"""All that the command line prints: cleaned, and in characters the terminal has. A closed pipe is reported.

`say` is for standard output, `tell` for standard error; each writes one line. Whatever else writes to these streams
(typer's help, Python's warnings) is cleaned on its way, so that no text of a template, a path or an argument acts on a
terminal.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from supervisor import BullpenError, clean, reveal_line


class OutputFailed(BullpenError):
    """Raised when standard output cannot be written: a full disk, a closed stream."""


class ReaderGone(OutputFailed):
    """Raised when the reader has closed the pipe."""


class CleanStream:
    """A text stream that cleans what is written to it. Everything else is passed on to the stream below.

    It has no `buffer`: typer would write past the cleaning to it where the terminal's encoding is ASCII.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(clean(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        if name == "buffer":
            raise AttributeError(name)
        return getattr(self._stream, name)


class Output(CleanStream):
    """Standard output. Raises `OutputFailed`, whichever code was printing, and from then on at every write: typer tries
    a stream out and swallows what it raises."""

    what = "the output"
    failure: OutputFailed | None = None

    def write(self, text: str) -> int:
        with self._judged():
            return super().write(text)

    def flush(self) -> None:
        with self._judged():
            super().flush()

    @contextmanager
    def _judged(self) -> Iterator[None]:
        if self.failure is not None:
            raise self.failure
        try:
            yield
        except BrokenPipeError as error:
            self.failure = ReaderGone("the reader of the output has left")
            raise self.failure from error
        except OSError as error:
            self.failure = OutputFailed(f"{self.what} could not be written: {error.strerror}")
            raise self.failure from error


def open_streams() -> None:
    """Makes the three standard streams fit for any text and any end. Called before anything else is opened.

    A descriptor that is closed is opened: the next file would take its number, and what is printed would go into it.
    Standard output then fails when it is written to, and what is told on standard error goes nowhere. Characters that
    an encoding does not have are written as escapes.
    """
    for number, mode in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, mode)
    sys.stdin = sys.stdin or io.TextIOWrapper(io.FileIO(0), encoding="utf-8")
    sys.stdout = cast(TextIO, Output(_tolerant(sys.stdout, 1)))
    sys.stderr = cast(TextIO, CleanStream(_tolerant(sys.stderr, 2)))


def _tolerant(stream: TextIO | None, number: int) -> TextIO:
    if stream is None:
        stream = io.TextIOWrapper(io.BufferedWriter(io.FileIO(number, "w")), encoding="utf-8")
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
    return stream


def say(line: str) -> None:
    """Writes one line to standard output. Raises `OutputFailed`."""
    write(f"{reveal_line(line)}\n")


def write(text: str, what: str = Output.what) -> None:
    """Text on standard output, at once. Raises `ReaderGone` when the pipe is closed, `OutputFailed` otherwise."""
    if isinstance(sys.stdout, Output):
        sys.stdout.what = what
    sys.stdout.write(text)
    sys.stdout.flush()


def flush() -> None:
    """Flushes what other code has printed. Raises `OutputFailed`."""
    write("")


def tell(line: str) -> None:
    """One line on standard error, behind the program's name. Dropped when it cannot be written."""
    try:
        print(f"bullpen: {reveal_line(line)}", file=sys.stderr, flush=True)
    except OSError:
        give_up(sys.stderr)


def ask_line(prompt: str) -> None:
    """A prompt for input at the terminal, on standard error; the cursor stays behind it."""
    try:
        print(prompt, end="", file=sys.stderr, flush=True)
    except OSError:
        give_up(sys.stderr)


def give_up(stream: TextIO) -> None:
    """What is still in the stream's buffer goes nowhere: it would be tried again at exit, and fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    if isinstance(stream, Output):
        stream.failure = None
