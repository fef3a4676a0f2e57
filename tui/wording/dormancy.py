"""Clients that sleep, in words: since when, what they use now, what they used awake. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from supervisor import ClientRow, HostRow, InstanceRow, PoolStatistics, SlotState, WhyAwake
from tui.wording import format


def short(row: ClientRow, now: float) -> str:
    """`4m · 34M in swap · 141M awake`, beside its state; empty while it is awake."""
    if row.dormant_since is None:
        return ""
    parts = [
        format.age(now - row.dormant_since),
        f"{format.bytes_short(row.swap_bytes)} in swap" if row.swap_bytes else "",
        f"{format.bytes_short(row.awake_bytes)} awake" if row.awake_bytes else "",
    ]
    return " · ".join(filter(None, parts))


def sentence(row: ClientRow, now: float) -> str:
    """`for 4m05; 9.0M in memory, 34M in swap; it used 141M awake; its next prompt wakes it, or a
    word typed in its chat`; empty while it is awake."""
    if row.dormant_since is None:
        return ""
    swap = f", {format.bytes_short(row.swap_bytes)} in swap" if row.swap_bytes else ", nothing in swap"
    awake = f"; it used {format.bytes_short(row.awake_bytes)} awake" if row.awake_bytes else ""
    asleep = format.duration(now - row.dormant_since)
    wakes = "a prompt that needs a client wakes it"
    if row.key is not None:
        wakes = "its next prompt wakes it, or a word typed in its chat"
    return f"for {asleep}; {format.bytes_short(row.memory_bytes)} in memory{swap}{awake}; {wakes}"


def when(row: ClientRow | None, limits: Mapping[str, str]) -> str:
    """`sleeps when idle for 60s (pool.dormantAfter)`; empty where it never does, and while it works. `limits` of its
    instance, by name."""
    after = limits.get("pool.dormantAfter", "none")
    if after == "none" or row is None or row.state not in (SlotState.READY, SlotState.DORMANT):
        return ""
    return f"sleeps when idle for {after} (pool.dormantAfter)"


def woke(row: ClientRow) -> str:
    """`woke in 0.2 s, the last time`; empty when it was never woken."""
    return "" if row.wake_seconds is None else f"woke in {format.duration(row.wake_seconds)}, the last time"


_AWAKE = {
    WhyAwake.TIMER: "its agent has set a timer",
    WhyAwake.IN_BACKGROUND: "an agent of it works in the background",
    WhyAwake.AT_WORK: "something of it is at work",
    WhyAwake.SERVERS: "an MCP server of it is still connecting",
    WhyAwake.NOT_STOPPED: "something of it could not be stopped (a process of another user, sudo?); "
    "tried again after its next turn",
}


def awake(row: ClientRow) -> str:
    """`stays awake: its agent has set a timer`; empty when nothing keeps it from sleeping."""
    return "" if row.why_awake is None else f"stays awake: {_AWAKE[row.why_awake]}"


def counts(pool: PoolStatistics) -> str:
    """`3 dormant, 1 waking, `; what there is none of is left out."""
    named = ((pool.dormant, "dormant"), (pool.waking, "waking"))
    return "".join(f"{number} {word}, " for number, word in named if number)


def host_words(row: HostRow) -> str:
    """How many clients sleep, and how much all clients have in swap."""
    count = f"{format.some(row.dormant, 'client')} asleep"
    if not row.swap_budget:
        return f"{count}; this host has no swap: those that sleep keep their memory"
    return (
        f"{count}; clients have {format.bytes_short(row.swap_bytes)} in swap of the "
        f"{format.bytes_short(row.swap_budget)} that they may (dormant_budget)"
    )


def asleep(instances: Sequence[InstanceRow]) -> int:
    """Clients that sleep, over all instances."""
    return sum(row.pool.dormant for row in instances)
