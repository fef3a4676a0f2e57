"""What `bullpen logs` shows of a conversation: every entry behind the time at which it was said."""

from __future__ import annotations

import time

from supervisor import Entry
from tui.cli.block_text import BlockText
from tui.wording.plain_conversation import plain_entry


class LogText(BlockText):
    def note(self, entry: Entry) -> str:
        text = plain_entry(entry)
        return f"{_clock(entry.at)}  {text}" if text else ""

    def heading(self, entry: Entry | None) -> str:
        return f"{_clock(time.time() if entry is None else entry.at)}  "


def _clock(at: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at))
