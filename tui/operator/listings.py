"""What can be listed and is no row of the dashboard: for its list dialog and for the commands that print tables."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, NamedTuple

from supervisor import (
    ActionTaken,
    BreakerState,
    Budget,
    Contexts,
    Engine,
    HookRow,
    HookRun,
    ProviderRow,
    Route,
    RunState,
    ScheduleRow,
    SharedServerRow,
)
from tui.wording import budgets
from tui.wording.format import age, first_line, moment

MOST_DETAIL = 80
"""Cells that a list shows of what an action has answered; `--json` has all of it. Why one failed is shown whole."""

Rows = Iterable[Sequence[str]]


class Listing(NamedTuple):
    """One list: what the engine is asked, and how its answer is written."""

    name: str
    """What is typed after `:`; the command and the engine's method have the same name."""
    title: str
    columns: tuple[str, ...]
    """Headings, in capitals. The last column takes what room is left."""
    ask: Callable[[Engine, str], Awaitable[Any]]
    """Gets the engine, and what was typed behind the name. Raises `BullpenError`."""
    rows: Callable[[Any], Rows]
    """A cell for each column; whole, and not cleaned."""
    none: str
    """What is told when there are no rows."""


def _audit_rows(done: Iterable[ActionTaken]) -> Rows:
    for one in done:
        yield (
            time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(one.at)),
            one.by,
            one.via,
            one.verb,
            "/".join(filter(None, (one.instance, one.user, one.session))) or one.client or one.turn or "-",
            one.detail,
        )


AUDIT = Listing(
    "audit",
    "what operators did",
    ("WHEN", "WHO", "FROM", "VERB", "WHAT", "DETAIL"),
    lambda engine, _: engine.audit(),
    _audit_rows,
    "no operator has done anything yet",
)


def _route_rows(route: Route) -> Rows:
    yield (f"→ {route.agent}", f"{route.score:.2f}", route.reason)
    for one in route.others:
        yield (one.agent, f"{one.score:.2f}", one.reason)


ROUTE = Listing(
    "route",
    "which agent this is for",
    ("AGENT", "SCORE", "WHY"),
    lambda engine, text: engine.route(text),
    _route_rows,
    "no agent matches",
)


def _hook_rows(hooks: Iterable[HookRow]) -> Rows:
    for one in hooks:
        failed = f"{one.failed} failed" if one.failed else ""
        dropped = f"{one.dropped} left out" if one.dropped else ""
        counts = ", ".join(filter(None, (str(one.fired), failed, dropped)))
        gate = f" (gate, else {one.fallback})" if one.gate else ""
        yield (one.name, " ".join(one.on) + gate, str(one.priority), counts, ", ".join(one.actions), one.condition)


HOOKS = Listing(
    "hooks",
    "what is done when something happens",
    ("HOOK", "ON", "PRIORITY", "FIRED", "DOES", "IF"),
    lambda engine, _: engine.hooks(),
    _hook_rows,
    "no hooks are declared: docs/hooks.md shows how",
)


def _run_rows(runs: Iterable[HookRun]) -> Rows:
    for one in runs:
        yield (
            time.strftime("%H:%M:%S", time.localtime(one.at)),
            one.hook,
            f"{one.event}{' (sample)' if one.is_sample else ''}",
            one.action,
            one.state.value + (f", try {one.attempt}" if one.attempt > 1 else ""),
            f"{one.seconds:.2f} s",
            first_line(one.detail, MOST_DETAIL) if one.state is RunState.DONE else one.detail,
        )


HOOK_RUNS = Listing(
    "hook-runs",
    "what hooks did last",
    ("WHEN", "HOOK", "ON", "DOES", "STATE", "TOOK", "DETAIL"),
    lambda engine, _: engine.hook_runs(),
    _run_rows,
    "no hook has fired yet",
)


def _budget_rows(found: Iterable[Budget]) -> Rows:
    for one in found:
        yield (budgets.whose(one), budgets.spent(one), f"{one.share:.0%}", str(one.under_way), budgets.outlook(one))


BUDGETS = Listing(
    "budgets",
    "what may be spent today",
    ("WHOSE", "SPENT", "SHARE", "UNDER WAY", "OUTLOOK"),
    lambda engine, _: engine.budgets(),
    _budget_rows,
    "no ceilings are set, or nothing has been spent: [budgets] in bullpen.toml",
)


def _context_rows(found: Contexts) -> Rows:
    now = time.time()
    for one in found.contexts:
        tools = f"{len(one.tools)} tools" if one.names_tools else "all tools"
        parts = [tools, *([f"{len(one.skills)} skills"] if one.skills else []), f"prompt {one.prompt_characters:,}"]
        yield (
            one.instance,
            one.version[:8],
            str(one.uses),
            f"{one.build_seconds * 1000:.1f} ms",
            age(now - one.created_at),
            age(now - one.last_used_at),
            ", ".join(parts),
        )
    for cache in found.caches:
        hits = "-" if cache.hit_rate is None else f"{cache.hit_rate:.0%} hits"
        counts = (
            f"{cache.hits} hits, {cache.misses} misses, {cache.stale} stale, {cache.evictions} evicted, "
            f"{cache.expiries} expired, {cache.failures} failed, built in {cache.build_seconds:.2f} s, "
            f"{cache.bytes:,} bytes"
        )
        held = f"{cache.entries}/{cache.capacity}"
        yield (f"cache {cache.name}", hits, held, f"{cache.last_build_seconds * 1000:.1f} ms", "", "", counts)


CONTEXTS = Listing(
    "contexts",
    "what is prepared once for all clients of an agent",
    ("AGENT", "VERSION", "USES", "PREPARED IN", "AGE", "LAST USED", "WHAT"),
    lambda engine, _: engine.contexts(),
    _context_rows,
    "nothing is prepared yet",
)


def _schedule_rows(schedules: Iterable[ScheduleRow]) -> Rows:
    for one in schedules:
        failed = f", {one.failed} failed" if one.failed else ""
        yield (
            one.name,
            " ".join(filter(None, (one.when, one.timezone))),
            _time(one.next_at),
            _time(one.last_at),
            f"{one.missed_runs} ({one.missed})" if one.missed_runs else f"({one.missed})",
            f"{one.fired}{failed}",
            ", ".join(one.actions),
        )


def _time(at: float | None) -> str:
    return moment(at, time.time()) if at is not None else "-"


SCHEDULES = Listing(
    "schedules",
    "what is done at certain times",
    ("SCHEDULE", "WHEN", "NEXT", "LAST", "MISSED", "FIRED", "DOES"),
    lambda engine, _: engine.schedules(),
    _schedule_rows,
    "no schedules are declared: docs/hooks.md shows how",
)


def _server_rows(servers: Iterable[SharedServerRow]) -> Rows:
    for one in servers:
        breaker = "" if one.breaker is BreakerState.CLOSED else f", calls held back ({one.breaker})"
        running = f", {one.running} running" if one.running else ""
        waiting = f", {one.waiting} waiting" if one.waiting else ""
        failed = f", {one.errors} failed" if one.errors else ""
        yield (
            one.name,
            f"{one.state}{breaker}",
            f"{one.clients} clients, {one.processes} {'process' if one.processes == 1 else 'processes'}",
            f"{one.memory_bytes / 1e6:.0f} MB" if one.memory_bytes else "-",
            f"{one.saved_bytes / 1e6:.0f} MB" if one.saved_bytes else "-",
            str(one.tools),
            f"{one.calls}{failed}{running}{waiting}",
            one.note or f"{one.what} for {', '.join(one.agents)}",
        )


SERVERS = Listing(
    "servers",
    "MCP servers that all clients share",
    ("SERVER", "STATE", "SERVES", "USES", "SAVES", "TOOLS", "CALLS", "NOTE"),
    lambda engine, _: engine.servers(),
    _server_rows,
    "no MCP server is shared: docs/tools.md shows how",
)


def _provider_rows(found: Iterable[ProviderRow]) -> Rows:
    for one in found:
        state = one.mistake or "ready"
        if one.parked_for is not None and one.parked_until is not None:
            at = time.strftime("%H:%M", time.localtime(one.parked_until))
            state = f"parked until {at}: {one.parked_for.value}"
        stand_in = " ".join(filter(None, (one.fallback, one.fallback_model)))
        models = ", ".join(one.models) or "any"
        yield (one.name, one.endpoint or "-", str(one.clients), stand_in or "-", models, state)


PROVIDERS = Listing(
    "providers",
    "providers",
    ("PROVIDER", "ENDPOINT", "CLIENTS", "FALLBACK", "MODELS", "STATE"),
    lambda engine, _: engine.providers(),
    _provider_rows,
    "there is none",
)


_ALL = (AUDIT, BUDGETS, CONTEXTS, PROVIDERS, ROUTE, HOOKS, HOOK_RUNS, SCHEDULES, SERVERS)

LISTINGS: dict[str, Listing] = {listing.name: listing for listing in _ALL}
"""By name."""
