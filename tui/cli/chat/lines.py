"""Where the messages of a chat come from: a line editor at a terminal, or the lines of a pipe."""

from __future__ import annotations

import asyncio
import os
import sys
import termios
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Protocol

from supervisor import InvalidPrompt, reveal_line
from tui.cli.opening import NO_TERMINALS
from tui.cli.output import ask_line
from tui.cli.terminal_input import END_OF_INPUT, discard_typed
from tui.cli.threads import run_apart

if TYPE_CHECKING:
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

LONGEST_LINE = 4_000_000
"""Bytes of one line of a pipe: the longest prompt, in characters of four bytes."""


class GivenUp(Exception):
    """Raised when ctrl+c is pressed instead of an answer."""


class Lines(Protocol):
    is_attended: bool
    """Whether a person sits there who can be asked."""

    def recall(self, earlier: Iterable[str]) -> None:
        """Messages that the arrows bring back, oldest first."""

    async def message(self, prompt: str, draft: str = "") -> str | None:
        """The next message; None at the end. `draft` is what it begins with. Raises `GivenUp`, and `InvalidPrompt` for
        what is no text."""

    async def answer(self, prompt: str) -> str:
        """One line, or `END_OF_INPUT`. What was typed before the prompt stood there is none of it. Raises `GivenUp`."""

    async def above(self, show: Callable[[], Awaitable[object]]) -> None:
        """Prints what `show` prints where it breaks nothing: above a message that is being written."""


class PlainLines:
    """A message is a line. For pipes, and for terminals on which nothing can be drawn."""

    def __init__(self) -> None:
        self.is_attended = is_attended()
        self._reading: asyncio.Task[bytes] | None = None
        """A read cannot be taken back: one that was given up gives its line to the next who asks."""

    def recall(self, earlier: Iterable[str]) -> None:
        """Does nothing: without a line editor, earlier lines cannot be brought back."""

    async def message(self, prompt: str, draft: str = "") -> str | None:
        if self.is_attended:
            ask_line(reveal_line(prompt))
        raw = await self._line()
        if not raw and self.is_attended:
            ask_line("\n")
        if len(raw) > LONGEST_LINE:
            raise InvalidPrompt(f"a line of standard input holds more than {LONGEST_LINE:,} bytes: no prompt may")
        try:
            return raw.decode().rstrip("\r\n") if raw else None
        except UnicodeDecodeError as error:
            raise InvalidPrompt(f"standard input is not UTF-8 text (byte {error.start} of a line)") from None

    async def answer(self, prompt: str) -> str:
        discard_typed()
        ask_line(prompt)
        with _echo(is_on=True):
            raw = await self._line()
        return raw.decode(errors="replace").strip() if raw else END_OF_INPUT

    async def _line(self) -> bytes:
        if self._reading is None:
            self._reading = asyncio.ensure_future(run_apart(partial(_stdin_line, LONGEST_LINE)))
        try:
            line = await asyncio.shield(self._reading)
        except InvalidPrompt:
            self._reading = None
            raise
        self._reading = None
        return line

    async def above(self, show: Callable[[], Awaitable[object]]) -> None:
        await show()


def _stdin_line(limit: int) -> bytes:
    try:
        return sys.stdin.buffer.readline(limit + 1)
    except OSError as error:
        raise InvalidPrompt(f"standard input cannot be read: {error.strerror}") from error


class EditedLines:
    """A message is edited in place: it may have several lines, and earlier ones come back with the arrows."""

    is_attended = True

    def __init__(self) -> None:
        from prompt_toolkit import PromptSession
        from prompt_toolkit.history import InMemoryHistory
        from prompt_toolkit.output.vt100 import Vt100_Output

        # Standard error as it was before it was wrapped: what the editor draws are escape sequences. It never asks the
        # terminal where the cursor is: an answer that comes late would be taken for a key.
        stream = sys.__stderr__
        assert stream is not None
        output = Vt100_Output.from_pty(stream, term=os.environ.get("TERM"))
        output.enable_cpr = False
        self._message: PromptSession[str] = PromptSession(
            history=InMemoryHistory(),
            key_bindings=_keys(is_message=True),
            multiline=True,
            prompt_continuation="  … ",
            output=output,
        )
        self._answer: PromptSession[str] = PromptSession(key_bindings=_keys(is_message=False), output=output)

    def recall(self, earlier: Iterable[str]) -> None:
        for text in earlier:
            self._message.history.append_string(text)

    async def message(self, prompt: str, draft: str = "") -> str | None:
        try:
            return await self._message.prompt_async(reveal_line(prompt), default=draft, handle_sigint=False)
        except EOFError:
            return None

    async def answer(self, prompt: str) -> str:
        from prompt_toolkit.input.typeahead import clear_typeahead

        clear_typeahead(self._answer.app.input)
        discard_typed()
        try:
            return (await self._answer.prompt_async(prompt, handle_sigint=False)).strip()
        except EOFError:
            return END_OF_INPUT

    async def above(self, show: Callable[[], Awaitable[object]]) -> None:
        from prompt_toolkit.application import in_terminal

        if not (self._message.app.is_running or self._answer.app.is_running):
            await show()
            return
        async with in_terminal():
            await show()


def _keys(*, is_message: bool) -> KeyBindings:
    from prompt_toolkit.key_binding import KeyBindings

    keys = KeyBindings()

    @keys.add("c-c", eager=True)
    def give_up(event: KeyPressEvent) -> None:
        if is_message and event.current_buffer.text:
            event.current_buffer.reset()
        else:
            event.app.exit(exception=GivenUp())

    if is_message:

        @keys.add("enter", eager=True)
        def send(event: KeyPressEvent) -> None:
            event.current_buffer.validate_and_handle()

        @keys.add("escape", "enter", eager=True)
        @keys.add("c-j", eager=True)
        def break_line(event: KeyPressEvent) -> None:
            event.current_buffer.insert_text("\n")

    return keys


def open_lines() -> Lines:
    """The line reader that fits standard input."""
    if is_attended() and os.environ.get("TERM", "") not in NO_TERMINALS:
        return EditedLines()
    return PlainLines()


def is_attended() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def without_echo() -> AbstractContextManager[None]:
    """Keys that are pressed inside the block do not show in the middle of what is printed. They are kept for the next
    message, also when ctrl+c is among them."""
    return _echo(is_on=False)


@contextmanager
def _echo(*, is_on: bool) -> Iterator[None]:
    try:
        before = termios.tcgetattr(sys.stdin.fileno())
    except (OSError, ValueError, termios.error):
        yield
        return
    now = [*before]
    now[3] = now[3] | termios.ECHO if is_on else (now[3] & ~termios.ECHO) | termios.NOFLSH
    with suppress(termios.error):
        termios.tcsetattr(sys.stdin.fileno(), termios.TCSANOW, now)
    try:
        yield
    finally:
        with suppress(OSError, ValueError, termios.error):
            termios.tcsetattr(sys.stdin.fileno(), termios.TCSANOW, before)
