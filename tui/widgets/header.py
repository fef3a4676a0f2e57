"""One line about everything: where the prompts go, how busy it is, who waits."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

from textual.content import Content
from textual.widgets import Static

from supervisor import HostRow, InstanceRow, InstanceState, SessionState, SlotState
from tui.themes import ASLEEP
from tui.wording import dormancy
from tui.wording.format import bar_parts, count, countdown, glyph, money, percent, some
from tui.wording.sanitize import clean_cell

BAR_WIDTH = 6
WARM, HOT = 0.75, 0.9
"""Share of the memory budget from which the bar warns, and alarms."""
SEPARATOR = "  "
UNITS = ((10**12, "T"), (10**9, "G"), (10**6, "M"))
"""Of memory: bytes, and the letter behind the number."""
ROOMY = 100
"""Cells from which on an alarm leaves room for words beside it."""
ALARM = "bold $background on $error"
"""How an alarm is written, on every screen."""


class Part(NamedTuple):
    """Something the line says; those with the highest `rank` go first when it is too long, those with 0 never."""

    text: Content
    rank: int = 0


class StatusHeader(Static):
    """Say `set(...)` whenever the rows changed; it fits itself to its width."""

    DEFAULT_CSS = """
    StatusHeader {
        height: 1;
        width: 1fr;
        background: $panel;
        color: $foreground;
    }
    """

    def __init__(self, *, name: str | None = None, id: str | None = None, classes: str | None = None) -> None:
        super().__init__("", markup=False, name=name, id=id, classes=classes)
        self._line: Content | None = None
        """What is shown."""
        self._facts: tuple[HostRow | None, Sequence[InstanceRow], float, bool, bool, bool] | None = None

    def set(
        self,
        host: HostRow | None,
        instances: Sequence[InstanceRow],
        now: float,
        *,
        leaves: bool = False,
        is_cut_off: bool = False,
        is_open: bool = True,
    ) -> None:
        """`now` in Unix seconds, shown as local time. `leaves`: the program ends when everything is drained.
        `is_cut_off`: nothing arrives from the engine. `is_open`: the engine is there."""
        self._facts = (host, instances, now, leaves, is_cut_off, is_open)
        self._tell()

    def on_resize(self) -> None:
        self._tell()

    def _tell(self) -> None:
        if self._facts is not None and self.size.width:
            host, instances, now, leaves, cut, is_open = self._facts
            line = compose_header(host, instances, now, self.size.width, leaves=leaves, is_cut_off=cut, is_open=is_open)
            if line != self._line:
                self._line = line
                self.update(line, layout=False)


def memory_words(used: int, reserved: int, budget: int) -> str:
    """`  2.1/8.0G`, with `+0.6` behind the used when more is reserved: one unit for all of it, and one width, so that
    nothing beside it moves."""
    unit, letter = next(((size, name) for size, name in UNITS if budget >= size), UNITS[-1])
    whole = f"{budget / unit:.1f}"
    words = f"{used / unit:.1f}" + (f"+{reserved / unit:.1f}" if reserved else "")
    return f"{words:>{2 * len(whole) + 1}}/{whole}{letter}"


def compose_header(
    host: HostRow | None,
    instances: Sequence[InstanceRow],
    now: float,
    width: int,
    *,
    leaves: bool = False,
    is_cut_off: bool = False,
    is_open: bool = True,
) -> Content:
    """The line for a width in cells: badge and numbers on the left, memory and time on the right."""
    alarm = alarm_words(host, leaves=leaves, is_cut_off=is_cut_off)
    if is_open:
        known = _counts(instances, now, is_terse=bool(alarm) and width < ROOMY)
    else:
        known = [Part(Content.styled("opening …", "bold $text-primary"))]
    left = [_badge(host), *_alarm(alarm), *known, *_left_out(host, instances)]
    clock = Content.styled(time.strftime("%H:%M:%S", time.localtime(now)), "$text-muted")
    right = [*(_today(host) if is_open else ()), *_warm(instances), *_memory(host), Part(clock, 6)]
    while len(_joined(left)) + len(_joined(right)) + 3 > width:
        worst = max((part for part in (*left, *right) if part.rank), key=lambda part: part.rank, default=None)
        if worst is None:
            break
        left = [part for part in left if part is not worst]
        right = [part for part in right if part is not worst]
    before, after = _joined(left), _joined(right)
    room = max(1, width - before.cell_length - after.cell_length - 1)
    return Content.assemble(before, " " * room, after, " ")


def _joined(parts: Sequence[Part]) -> Content:
    return Content(SEPARATOR).join([part.text for part in parts])


def _badge(host: HostRow | None) -> Part:
    if host is None:
        return Part(Content.styled(" bullpen ", "$text-muted"))
    if host.rehearsal:
        return Part(Content.styled(" REHEARSAL ", "bold $background on $secondary"))
    return Part(Content.styled(f" {clean_cell(host.endpoint, 32)} ", "bold $background on $success"))


def alarm_words(host: HostRow | None, *, leaves: bool = False, is_cut_off: bool = False) -> str:
    """What must not be missed on any screen; empty when all is well."""
    if is_cut_off:
        return "NOT CONNECTED · trying again"
    if host and host.journal_failing:
        return f"JOURNAL: {clean_cell(host.journal_failing)}: no new prompts"
    return "ENDS WHEN DRAINED · ctrl+q" if leaves else ""


def _alarm(words: str) -> list[Part]:
    return [Part(Content.styled(f" {words} ", ALARM))] if words else []


def _left_out(host: HostRow | None, instances: Sequence[InstanceRow]) -> list[Part]:
    """Files of templates that do not run, and edits of those that go on as they were; `H` says why."""
    files = {line.partition(":")[0] for line in host.left_out} if host else set()
    edits = files & {row.template_mistake.partition(":")[0] for row in instances}
    parts = [some(len(edits), "broken edit")] if edits else []
    parts += [f"{some(len(files - edits), 'file')} left out"] if files - edits else []
    return [Part(Content.styled(f"✕ {', '.join(parts)} (H)", "bold $text-error"), 4)] if parts else []


def _counts(instances: Sequence[InstanceRow], now: float, *, is_terse: bool) -> list[Part]:
    """`is_terse` leaves the words off what is never dropped."""
    busy = sum(row.pool.active for row in instances)
    total = sum(row.pool.total for row in instances)
    noun = " client" if total == 1 else " clients"
    queued = sum(row.waiting for row in instances)
    questions = sum(row.questions for row in instances)
    failed = sum(row.failed for row in instances)
    offers = sum(row.offers for row in instances)
    stalled = sum(row.stalled for row in instances)
    parts = [
        Part(_number(len(instances), "instance"), 12),
        Part(_number(sum(row.sessions for row in instances), "session"), 9),
        Part(
            Content.assemble(
                (f"{busy}/{total}", "bold $text-primary" if busy else "bold"),
                (noun, "$text-muted"),
            ),
            2,
        ),
        Part(Content.assemble((str(queued), "bold $text-accent" if queued else "bold"), (" queued", "$text-muted")), 1),
    ]
    if asleep := dormancy.asleep(instances):
        sign = glyph(SlotState.DORMANT)
        parts.insert(3, Part(Content.assemble((f"{sign} {asleep}", f"bold {ASLEEP}"), (" dormant", "$text-muted")), 6))
    if questions:
        noun = "" if is_terse else " question" if questions == 1 else " questions"
        parts.append(Part(Content.styled(f"◐ {questions}{noun}", "bold $text-warning")))
    if offers:
        sign = glyph(SessionState.INTERRUPTED)
        parts.append(Part(Content.styled(f"{sign} {offers}{'' if is_terse else ' interrupted'}", "bold $text-warning")))
    if failed:
        parts.append(Part(Content.styled(f"✕ {failed} failed", "bold $text-error"), 3))
    if stalled:
        sign = glyph(SessionState.STALLED)
        parts.append(Part(Content.styled(f"{sign} {stalled} stalled", "bold $text-warning"), 4))
    return [*parts, *_parked(instances, now)]


def _parked(instances: Sequence[InstanceRow], now: float) -> list[Part]:
    """How many pools have stopped themselves, and when the first of them tries again."""
    parked = [row for row in instances if row.state is InstanceState.PARKED]
    if not parked:
        return []
    until = min((row.parked_until for row in parked if row.parked_until is not None), default=None)
    when = "" if until is None else f" {countdown(until - now)}"
    return [Part(Content.styled(f"{glyph(InstanceState.PARKED)} {len(parked)} parked{when}", "bold $text-error"), 5)]


def _number(number: int, noun: str) -> Content:
    return Content.assemble((str(number), "bold"), (f" {noun}{'' if number == 1 else 's'}", "$text-muted"))


def _today(host: HostRow | None) -> list[Part]:
    """What all turns since midnight have used."""
    if host is None:
        return []
    used = host.today
    tokens = used.input_tokens + used.output_tokens
    cost, number, muted = (money(used.cost_usd), "bold"), (count(tokens), "bold"), "$text-muted"
    return [Part(Content.assemble(cost, (" · ", muted), number, (" tokens today", muted)), 7)]


def _warm(instances: Sequence[InstanceRow]) -> list[Part]:
    """The share of turns that began on a process which was there already."""
    warm = sum(row.pool.hot + row.pool.adopted + row.pool.woken for row in instances)
    total = warm + sum(row.pool.cold for row in instances)
    return [Part(Content.assemble((percent(warm / total), "bold"), (" warm", "$text-muted")), 8)] if total else []


def _memory(host: HostRow | None) -> list[Part]:
    if host is None:
        return []
    reserved = host.memory_reserved
    share = (host.memory_bytes + reserved) / host.memory_budget if host.memory_budget > 0 else 0.0
    color = "$text-error" if share >= HOT else "$text-accent" if share >= WARM else "$text-success"
    filled, empty = bar_parts(share, BAR_WIDTH)
    numbers = memory_words(host.memory_bytes, reserved, host.memory_budget)
    return [
        Part(Content.styled("memory", "$text-muted"), 11),
        Part(Content.assemble((filled, color), (empty, "$text-disabled")), 10),
        Part(Content.styled(numbers, color), 5),
    ]
