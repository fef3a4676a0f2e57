"""One line about everything: where the prompts go, how busy it is, who waits."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from textual.content import Content
from textual.widgets import Static

from supervisor import HostRow, InstanceRow
from tui.filters import clean_cell
from tui.format import bar_parts, bytes_short

BAR_WIDTH = 6
WARM, HOT = 0.75, 0.9
"""Share of the memory budget from which the bar warns, and alarms."""
SEPARATOR = "  "


@dataclass(frozen=True)
class Part:
    """Something the line says; those with the highest `rank` go first when it is too long."""

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
        self._facts: tuple[HostRow | None, Sequence[InstanceRow], float] | None = None

    def set(self, host: HostRow | None, instances: Sequence[InstanceRow], now: float) -> None:
        """`now` in Unix seconds, shown as local time."""
        self._facts = (host, instances, now)
        self._tell()

    def on_resize(self) -> None:
        self._tell()

    def _tell(self) -> None:
        if self._facts is not None and self.size.width:
            host, instances, now = self._facts
            self.update(compose_header(host, instances, now, self.size.width), layout=False)


def compose_header(host: HostRow | None, instances: Sequence[InstanceRow], now: float, width: int) -> Content:
    """The line for a width in cells: badge and numbers on the left, memory and time on the right."""
    left = [_badge(host), *_counts(instances)]
    right = [*_memory(host), Part(Content.styled(time.strftime("%H:%M:%S", time.localtime(now)), "$text-muted"), 1)]
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
        return Part(Content.styled(" REHEARSAL ", "bold $background on $warning"))
    return Part(Content.styled(f" {clean_cell(host.endpoint, 32)} ", "bold $background on $success"))


def _counts(instances: Sequence[InstanceRow]) -> list[Part]:
    busy = sum(row.pool.active for row in instances)
    total = sum(row.pool.total for row in instances)
    queued = sum(row.waiting for row in instances)
    questions = sum(row.questions for row in instances)
    failed = sum(row.failed for row in instances)
    parts = [
        Part(_number(len(instances), "instance"), 5),
        Part(_number(sum(row.sessions for row in instances), "session"), 4),
        Part(
            Content.assemble((f"{busy}/{total}", "bold $text-primary" if busy else "bold"), (" clients", "$text-muted"))
        ),
        Part(Content.assemble((str(queued), "bold $text-accent" if queued else "bold"), (" queued", "$text-muted"))),
    ]
    if questions:
        noun = "question" if questions == 1 else "questions"
        parts.append(Part(Content.styled(f"◐ {questions} {noun}", "bold $text-warning")))
    if failed:
        parts.append(Part(Content.styled(f"✕ {failed} failed", "bold $text-error"), 2))
    return parts


def _number(number: int, noun: str) -> Content:
    return Content.assemble((str(number), "bold"), (f" {noun}{'' if number == 1 else 's'}", "$text-muted"))


def _memory(host: HostRow | None) -> list[Part]:
    if host is None:
        return []
    share = host.memory_bytes / host.memory_budget if host.memory_budget > 0 else 0.0
    color = "$text-error" if share >= HOT else "$text-warning" if share >= WARM else "$text-success"
    filled, empty = bar_parts(share, BAR_WIDTH)
    numbers = f"{bytes_short(host.memory_bytes)}/{bytes_short(host.memory_budget)}"
    return [
        Part(Content.styled("memory", "$text-muted"), 7),
        Part(Content.assemble((filled, color), (empty, "$text-disabled")), 6),
        Part(Content.styled(numbers, color), 3),
    ]
