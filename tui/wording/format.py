"""Numbers, times and states as the few characters a dashboard has room for. Pure functions, no widgets."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from enum import StrEnum

from rich.cells import cell_len, set_cell_size

from supervisor import InstanceState, MemoryLevel, SessionState, SlotState

BYTE_UNITS = "BkMGTP"
BLOCKS = "▁▂▃▄▅▆▇█"
GROWTH_NOISE = 1_000_000
"""Bytes a minute. A client that only waits moves by less."""
BAR_FULL, BAR_HALF, BAR_EMPTY = "━", "╸", "─"

STATE_GLYPHS: dict[str, str] = {
    SessionState.WORKING: "●",
    SessionState.ASKING: "◐",
    SessionState.INTERRUPTED: "↺",
    SessionState.STALLED: "⊝",
    SessionState.WAITING: "◔",
    SessionState.IDLE: "○",
    SessionState.DORMANT: "☾",
    SessionState.HIBERNATED: "◌",
    SessionState.NEW: "◦",
    SessionState.FAILED: "✕",
    SlotState.RESERVED: "◌",
    SlotState.STARTING: "◔",
    SlotState.READY: "○",
    SlotState.WAKING: "◠",
    SlotState.BUSY: "●",
    SlotState.CLOSING: "▽",
    SlotState.GONE: "·",
    InstanceState.RUNNING: "●",
    InstanceState.PAUSED: "‖",
    InstanceState.DRAINING: "▽",
    InstanceState.DRAINED: "□",
    InstanceState.KILLING: "✕",
    InstanceState.STOPPED: "■",
    InstanceState.PARKED: "△",
}
"""One code point of width 1 for every state. Equal words (`asking`) share a glyph on purpose."""

STATE_ROLES: dict[str, str] = {
    SessionState.WORKING: "busy",
    SessionState.ASKING: "warn",
    SessionState.INTERRUPTED: "warn",
    SessionState.STALLED: "warn",
    SessionState.WAITING: "accent",
    SessionState.IDLE: "ok",
    SessionState.DORMANT: "asleep",
    SessionState.HIBERNATED: "dim",
    SessionState.NEW: "dim",
    SessionState.FAILED: "error",
    SlotState.RESERVED: "dim",
    SlotState.STARTING: "accent",
    SlotState.READY: "ok",
    SlotState.WAKING: "accent",
    SlotState.BUSY: "busy",
    SlotState.CLOSING: "dim",
    SlotState.GONE: "dim",
    InstanceState.RUNNING: "ok",
    InstanceState.PAUSED: "accent",
    InstanceState.DRAINING: "accent",
    InstanceState.DRAINED: "dim",
    InstanceState.KILLING: "error",
    InstanceState.STOPPED: "dim",
    InstanceState.PARKED: "error",
}
"""The role (see `LineTable`'s component classes) in which a state is written."""

MEMORY_MARKS: dict[MemoryLevel, tuple[str, str]] = {
    MemoryLevel.NORMAL: ("", ""),
    MemoryLevel.SOFT: ("S", "accent"),
    MemoryLevel.HARD: ("H", "error"),
    MemoryLevel.PANIC: ("P", "error"),
}
"""The letter behind a client's memory, and the role both are written in."""


def glyph(state: StrEnum | str) -> str:
    """The sign of a session's, a slot's or an instance's state; `?` for a word that is none of them."""
    return STATE_GLYPHS.get(str(state), "?")


def role(state: StrEnum | str) -> str:
    """The role a state is written in; empty for a word that is not a state."""
    return STATE_ROLES.get(str(state), "")


def bytes_short(size: float) -> str:
    """Bytes in decimal units, at most five characters: `0B`, `999B`, `1.8G`, `182M`, `17.7G`. Of a whole host's memory
    the tenths count as well, so that a budget looks the same wherever it stands."""
    value = max(0.0, float(size))
    for unit in BYTE_UNITS:
        if value < (99.95 if unit in "GTP" else 9.95) and unit != "B":
            return f"{value:.1f}{unit}"
        if value < 999.5 or unit == BYTE_UNITS[-1]:
            return f"{value:.0f}{unit}"
        value /= 1000
    raise AssertionError("the last unit returns")


def age(seconds: float) -> str:
    """How long ago, at most five characters: `3s`, `4m`, `2h05`, `3d`."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m"
    if whole < 86_400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}"
    return f"{whole // 86_400}d"


def duration(seconds: float) -> str:
    """How long something took: `80 ms`, `1.4 s`, `12 s`, `2m05`, `1h04`."""
    value = max(0.0, seconds)
    if value < 0.0995:
        return f"{value * 1000:.0f} ms"
    if value < 9.95:
        return f"{value:.1f} s"
    whole = round(value)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}"
    return f"{whole // 3600}h{whole % 3600 // 60:02}"


def countdown(seconds: float) -> str:
    """How long until something happens, every second told: `0:42`, `12:05`, `1:02:03`; never below `0:00`."""
    whole = max(0, math.ceil(seconds))
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02}"
    return f"{whole // 3600}:{whole % 3600 // 60:02}:{whole % 60:02}"


def moment(at: float, now: float) -> str:
    """The time of day of a Unix second, local; with its date when that is not today: `14:02`, `3 Nov 14:02`."""
    then, today = time.localtime(at), time.localtime(now)
    is_today = then[:3] == today[:3]
    return time.strftime("%H:%M", then) if is_today else f"{then.tm_mday} {time.strftime('%b %H:%M', then)}"


def ordinal(number: int) -> str:
    """`1st`, `2nd`, `3rd`, `11th`, `22nd`."""
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def growth(bytes_a_minute: int) -> str:
    """`+12M`, `-3.1M`; empty below a megabyte a minute, which is noise."""
    if abs(bytes_a_minute) < GROWTH_NOISE:
        return ""
    return f"{'+' if bytes_a_minute > 0 else '-'}{bytes_short(abs(bytes_a_minute))}"


def count(number: float) -> str:
    """A count, at most six characters: `999`, `12.3k`, `1.2M`."""
    value = abs(number)
    sign = "-" if number < 0 else ""
    if value < 1000:
        return f"{sign}{value:.0f}"
    for unit in ("k", "M", "G"):
        value /= 1000
        if value < 99.95:
            return f"{sign}{value:.1f}{unit}"
        if value < 999.5:
            return f"{sign}{value:.0f}{unit}"
    return f"{sign}{value:.0f}G"


def money(dollars: float) -> str:
    """US dollars: `$0`, `$0.012`, `$1.23`, `$123`."""
    if dollars <= 0:
        return "$0"
    if dollars < 0.0005:
        return "<$.001"
    if dollars < 0.9995:
        return f"${dollars:.3f}"
    return f"${dollars:.2f}" if dollars < 99.995 else f"${dollars:,.0f}"


def percent(share: float) -> str:
    """A share of 1 as a whole percentage."""
    return f"{share * 100:.0f}%"


def spark(values: Sequence[float], width: int, *, top: float) -> str:
    """The last `width` values as block characters, padded with spaces on the left.

    The scale is fixed, so that two lines can be compared: from 0, a flat line, to `top` and above, a full block. The
    label beside the line says what `top` is.
    """
    shown = list(values)[-width:] if width > 0 else []
    steps = len(BLOCKS) - 1
    marks = [BLOCKS[0] if value <= 0 else BLOCKS[max(1, min(steps, round(value / top * steps)))] for value in shown]
    return "".join(marks).rjust(max(0, width))


def bar_parts(share: float, width: int) -> tuple[str, str]:
    """A horizontal bar in two parts, filled and empty, to be styled apart. `share` is cut to 0…1."""
    halves = round(min(1.0, max(0.0, share)) * width * 2)
    if share > 0 and halves == 0:
        halves = 1
    filled = BAR_FULL * (halves // 2) + BAR_HALF * (halves % 2)
    return filled, BAR_EMPTY * (width - len(filled))


def cut(text: str, width: int) -> str:
    """At most `width` cells of the text; an ellipsis says that something was cut."""
    if len(text) * 2 <= width or cell_len(text) <= width:
        return text
    if width <= 1:
        return "…"[:width]
    return set_cell_size(text, width - 1).rstrip(" …") + "…"


def cut_middle(text: str, width: int) -> str:
    """At most `width` cells of the text: its beginning and its end, because names differ at either."""
    if cell_len(text) <= width:
        return text
    if width < 5:
        return cut(text, width)
    tail = (width - 1) // 2
    end = text
    while cell_len(end) > tail:
        end = end[1:]
    return f"{set_cell_size(text, width - 1 - cell_len(end)).rstrip()}…{end.lstrip()}"


def some(number: int, noun: str, plural: str = "") -> str:
    """`1 client`, `2 clients`, `2 processes`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def first_line(text: str, width: int = 200) -> str:
    """The first line that says something, at most `width` cells."""
    for line in text.splitlines():
        if stripped := line.strip():
            return cut(stripped, width)
    return ""


def tool_name(tool: str) -> str:
    """A tool of an MCP server by its own name, and whose it is: `create_schedule (bullpen)` for
    `mcp__bullpen__create_schedule`. Any other as it is called."""
    server, _, name = tool.removeprefix("mcp__").partition("__")
    return f"{name} ({server})" if tool.startswith("mcp__") and server and name else tool
