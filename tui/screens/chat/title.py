"""The line above a conversation. Pure functions."""

from __future__ import annotations

from textual.content import Content

from supervisor import ClientRow, InstanceRow, Offer, SessionKey, SessionRow, SessionState, WhyWaiting
from tui.themes import ASLEEP, MUTED
from tui.widgets.header import ALARM
from tui.wording import format, reasons
from tui.wording.remedies import Remedies
from tui.wording.sanitize import clean_cell

STYLES = {
    "busy": "$text-primary",
    "warn": "bold $text-warning",
    "error": "bold $text-error",
    "ok": "$text-success",
    "accent": "$text-accent",
    "asleep": ASLEEP,
    "dim": MUTED,
}


def chat_title(
    key: SessionKey,
    row: SessionRow | None,
    client: ClientRow | None,
    instance: InstanceRow | None,
    now: float,
    width: int,
    by: Remedies,
    alarm: str = "",
    elsewhere: str = "",
) -> Content:
    """State and reason on the left, what it costs on the right; the right gives way when there is no room.

    `elsewhere`: who else waits for the operator.
    """
    warning = Content.styled(f" {alarm} ", ALARM) if alarm else Content("")
    if elsewhere:
        warning = Content.assemble(warning, (f" {elsewhere} ", STYLES["warn"]))
    if row is None:
        return Content.assemble(
            warning,
            (f" {format.glyph('new')} new", STYLES["dim"]),
            f"  {clean_cell(str(key))}",
            ("  say something", STYLES["dim"]),
        ).truncate(width, ellipsis=True)
    left = Content.assemble(
        warning,
        (f" {format.glyph(row.state)} {row.state}", STYLES.get(format.role(row.state), "")),
        (_doing(row, client, instance, now, by), MUTED),
    )
    for parts in (_cost(row, client), _cost(row, client)[:2], []):
        right = " · ".join(parts) + " "
        if left.cell_length + len(right) < width:
            break
    else:
        return left.truncate(width, ellipsis=True)
    return Content.assemble(left, " " * max(1, width - left.cell_length - len(right)), (right, MUTED))


def _doing(row: SessionRow, client: ClientRow | None, instance: InstanceRow | None, now: float, by: Remedies) -> str:
    words = []
    if row.offer is not None and row.state is SessionState.INTERRUPTED:
        words.append(_restart(row.offer, now))
    if row.state is SessionState.STALLED:
        words.append(reasons.silence(row, client, now))
    elif row.turn_started_at is not None:
        words.append(f"for {format.duration(now - row.turn_started_at)}")
    if client is not None and client.tool and row.state is not SessionState.STALLED:
        since = "" if client.tool_started_at is None else f" {format.age(now - client.tool_started_at)}"
        words.append(f"{clean_cell(format.tool_name(client.tool), 40)}{since}")
    if row.why is not None:
        words.append(f"{len(row.waiting)} queued" if row.turn_id else f"waits: {row.why}")
        if row.why is WhyWaiting.NO_SLOT and instance is not None and (full := reasons.full_words(instance, by)):
            words.append(full)
        if row.waiting and (more := reasons.wait_words(row.waiting[0], instance, now, by)):
            words.append(more)
    if row.note and not row.turn_id:  # it tells of the last turn
        words.append(clean_cell(row.note, 80))
    if row.offer is not None and row.state is not SessionState.INTERRUPTED:
        words.append(f"a turn was interrupted {_restart(row.offer, now)}")
    return "".join(f" · {word}" for word in words)


def _restart(offer: Offer, now: float) -> str:
    return f"by a restart at {format.moment(offer.made_at, now)}, {reasons.expiry(offer, now)}"


def _cost(row: SessionRow, client: ClientRow | None) -> list[str]:
    usage = row.usage
    parts = [
        "1 turn" if row.turns == 1 else f"{row.turns} turns",
        format.money(usage.cost_usd),
        f"{format.count(usage.input_tokens + usage.output_tokens)} tokens",
    ]
    if client is not None:
        parts = [f"pid {client.pid} {format.bytes_short(client.memory_bytes)}", *parts]
    return parts
