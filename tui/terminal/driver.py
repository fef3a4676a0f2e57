"""A terminal driver under which the event loop never waits for the terminal, however it behaves.

- A terminal that does not read: pictures are left out whole, never cut; when it reads again it gets one fresh picture.
- A terminal that is gone: the app ends at once, and no thread spins on a dead descriptor.
- While suspended, and after the end, output is dropped instead of filling a queue that is not read.
"""

from __future__ import annotations

import os
import re
import selectors
from codecs import getincrementaldecoder
from collections.abc import Iterable
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any

from textual import events
from textual._xterm_parser import XTermParser
from textual.drivers.linux_driver import LinuxDriver

from tui.terminal.notifications import RESTORE_TITLE, SAVE_TITLE
from tui.terminal.pastes import MOST_PASTED, PasteCut, Pasted, PasteReader, readable
from tui.terminal.writer import TerminalWriter

if TYPE_CHECKING:
    from textual.app import App

MOST_WAITING = 262_144
"""Bytes the terminal may be behind before pictures are left out: three full screens of 200 x 50."""
LAST_WORDS = 1.5
"""Seconds the terminal gets at the end to take what restores it."""
HUNG_UP = 129
"""Exit code when the terminal went away: 128 + SIGHUP, as a shell would say."""

SYNC_START, SYNC_END = "\x1b[?2026h", "\x1b[?2026l"
_MODE = re.compile(r"(?:\x1b\[[?<>=]?[\d;]*[hlu$p]+)+")
"""Switches a mode of the terminal or asks about one. These are never left out."""


class SafeDriver(LinuxDriver):
    def __init__(
        self,
        app: App[Any],
        *,
        debug: bool = False,
        mouse: bool = True,
        size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        self._writer: TerminalWriter | None = None
        self._is_behind = False
        """Pictures were left out since the terminal last had everything."""
        self._is_synchronizing = False
        self._has_hung_up = False
        self._has_title = False
        """The program sets the terminal's title."""

    def _get_terminal_size(self) -> tuple[int, int]:
        """Of the terminal itself: `COLUMNS` and `LINES` of the environment are what some parent once measured. Where
        the terminal does not know, it is what Textual takes it for: two answers would be a resize without end."""
        for number in (self.fileno, 1, 2):
            with suppress(OSError):
                if all(size := os.get_terminal_size(number)):
                    return size.columns, size.lines
        width, height = self._app.console.size
        return width, height

    def start_application_mode(self) -> None:
        self._is_behind = self._is_synchronizing = False
        assert self._file is not None, "a terminal application has a standard error"
        self._writer = TerminalWriter(self._file.fileno(), on_drained=self._tell_drained, on_dead=self._tell_hung_up)
        self._writer.start()
        if self._has_title:
            self._writer.put(SAVE_TITLE, is_frame=False)
        super().start_application_mode()  # type: ignore[no-untyped-call]

    def write(self, data: str) -> None:
        """Hands output to the writer thread, or leaves it out. Never waits."""
        writer = self._writer
        if writer is None or self._has_hung_up:
            return
        if data == SYNC_END:
            if self._is_synchronizing:
                self._is_synchronizing = False
                writer.put(data, is_frame=False)
        elif data != SYNC_START and _MODE.fullmatch(data):
            writer.put(data, is_frame=False)
        elif self._is_behind or writer.waiting > MOST_WAITING:
            self._is_behind = True
        elif data == SYNC_START:
            self._is_synchronizing = True
            writer.put(data, is_frame=False)
        else:
            writer.put(data, is_frame=True)

    def stop_application_mode(self) -> None:
        if self._writer is not None:
            self._writer.forget_frames()
            if self._has_title:
                self._writer.put(RESTORE_TITLE, is_frame=False)
        super().stop_application_mode()

    def report_mouse(self, is_reported: bool) -> None:
        """Whether the terminal tells of the mouse; while it does not, its own selection works."""
        if is_reported:
            self._enable_mouse_support()
        else:
            self._disable_mouse_support()

    def keep_title(self) -> None:
        """The terminal's title is put back at the end, and while suspended. Said before the first `announce`."""
        if not self._has_title:
            self._has_title = True
            if self._writer is not None:
                self._writer.put(SAVE_TITLE, is_frame=False)

    def announce(self, command: str) -> None:
        """Hands over a command that draws nothing: a title, a bell, a notice. Left out while the terminal is behind."""
        if self._writer is not None and not (self._has_hung_up or self._is_behind):
            self._writer.put(command, is_frame=False)

    def close(self) -> None:
        """Ends both threads; gives the terminal `LAST_WORDS` to take what is left."""
        super().close()
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.end(0.0 if self._has_hung_up else LAST_WORDS)

    # From the threads

    def _tell_drained(self) -> None:
        if self._is_behind:
            self._call(self._catch_up)

    def _tell_hung_up(self) -> None:
        if self._writer is not None and not self._has_hung_up:
            self._has_hung_up = True
            self._call(self._leave)

    def _call(self, function: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(function)
        except RuntimeError:  # the loop has ended: no reader is left
            pass

    # On the event loop

    def _catch_up(self) -> None:
        if self._writer is not None and self._is_behind and self._writer.waiting == 0:
            self._is_behind = False
            self._app.refresh(layout=True)

    def _leave(self) -> None:
        self._app.exit(return_code=HUNG_UP)

    # Input

    def run_input_thread(self) -> None:
        """Reads keys and pastes until the driver stops or the terminal has gone."""
        parser = XTermParser(self._debug)
        pastes = PasteReader()
        decode = getincrementaldecoder("utf-8")("replace").decode
        with selectors.SelectSelector() as selector:
            selector.register(self.fileno, selectors.EVENT_READ)
            while not self.exit_event.is_set():
                came: Iterable[bytes | Pasted]
                if selector.select(0.1):
                    try:
                        data = os.read(self.fileno, 4096)
                    except OSError:
                        data = b""
                    if not data:
                        if self.input_tty:
                            self._tell_hung_up()
                        return
                    came = pastes.feed(data, monotonic())
                else:
                    came = pastes.expire(monotonic())
                for each in came:
                    if isinstance(each, Pasted):
                        self._tell_pasted(each)
                        continue
                    for event in parser.feed(decode(each)):
                        if not isinstance(event, events.Paste):  # the parser saw its marks only
                            self.process_message(event)
                for event in parser.tick():
                    self.process_message(event)

    def _tell_pasted(self, pasted: Pasted) -> None:
        if pasted.data:
            self.process_message(events.Paste(readable(pasted.data)))
        if pasted.dropped:
            most = f"{MOST_PASTED // 1_000_000:,}"
            self.process_message(PasteCut(f"a paste is too large: at most {most} MB; nothing of it was taken"))
        elif not pasted.is_whole:
            size = f"{len(pasted.data):,} bytes"
            self.process_message(PasteCut(f"a paste did not end: its first {size} were taken; look at its end"))
