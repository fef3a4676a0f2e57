"""Numbers for Prometheus: what is, read from a snapshot when it is asked for, and what happened, counted as it does."""

from __future__ import annotations

import time
from collections.abc import Iterable

import anyio
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from supervisor.api.budgets import Budget, Scope
from supervisor.api.caches import CacheStatistics
from supervisor.api.events import (
    ClientGone,
    ClientStarted,
    ClientWoken,
    Event,
    TemplateChanged,
    TurnFinished,
    TurnStarted,
)
from supervisor.api.outcomes import Usage, outcome_word
from supervisor.api.shared_servers import BreakerState, SharedServerRow, SharedState
from supervisor.api.snapshot import ClientRow, Snapshot
from supervisor.api.states import SlotState

LAG_SECONDS = 1.0
"""Between two looks at how late the event loop is."""
# Else each counter would come twice: as its value, and as when it began.
disable_created_metrics()  # type: ignore[no-untyped-call]
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)


_OF_SERVERS = {
    "calls": "Calls of a shared MCP server.",
    "call_errors": "Calls that it did not answer.",
    "restarts": "How often it was started again.",
    "running_calls": "Calls that run.",
    "clients": "Clients that it serves.",
    "memory_bytes": "Of its processes.",
    "saved_bytes": "That a server for each client would use on top.",
    "is_connected": "1 while it is.",
    "breaker_is_open": "1 while calls are kept from it.",
}


class Metrics:
    """Never a user or a session as a label: an instance at most."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        by = ["instance"]
        self._turns = Counter("bullpen_turns", "Turns that ended.", [*by, "outcome"], registry=registry)
        self._starts = Counter(
            "bullpen_turn_starts", "Turns by how they got a client.", [*by, "how"], registry=registry
        )
        self._waits = Histogram(
            "bullpen_wait_seconds", "From submit to start.", by, buckets=_SECONDS, registry=registry
        )
        self._spawns = Histogram(
            "bullpen_client_start_seconds", "Until a client was connected.", by, buckets=_SECONDS, registry=registry
        )
        self._wakes = Histogram(
            "bullpen_client_wake_seconds",
            "From waking a dormant client to its first sign of life.",
            by,
            buckets=_SECONDS,
            registry=registry,
        )
        self._tokens = Counter("bullpen_tokens", "Tokens of ended turns.", [*by, "kind"], registry=registry)
        self._cost = Counter("bullpen_cost_dollars", "Cost of ended turns.", by, registry=registry)
        self._ended = Counter("bullpen_clients_ended", "Clients that ended.", [*by, "kind"], registry=registry)
        self._clients = Gauge("bullpen_clients", "Clients by state.", [*by, "state"], registry=registry)
        self._waiting = Gauge("bullpen_waiting_turns", "Turns queued.", by, registry=registry)
        self._memory = Gauge("bullpen_client_memory_bytes", "Of all clients.", by, registry=registry)
        self._swap = Gauge("bullpen_client_swap_bytes", "Of all clients, in swap.", by, registry=registry)
        self._peak = Gauge(
            "bullpen_client_memory_peak_bytes",
            "The most that was charged to the control group of one of its clients.",
            by,
            registry=registry,
        )
        self._pressure = Gauge(
            "bullpen_client_memory_pressure_share",
            "Of the last 10 s, in which the client that is worst off waited for memory.",
            by,
            registry=registry,
        )
        self._swap_budget = Gauge(
            "bullpen_swap_budget_bytes", "That all clients together may have in swap.", registry=registry
        )
        self._questions = Gauge("bullpen_open_questions", "Questions that wait for an answer.", by, registry=registry)
        self._evictions = Counter("bullpen_evictions", "Clients that gave up their place.", by, registry=registry)
        self._outdated = Gauge(
            "bullpen_outdated_clients", "Clients that run an earlier version of their template.", by, registry=registry
        )
        per = ["cache"]
        self._entries = Gauge("bullpen_cache_entries", "Values that a cache holds.", per, registry=registry)
        self._cache_bytes = Gauge("bullpen_cache_bytes", "Of the values that a cache holds.", per, registry=registry)
        self._lookups = Counter(
            "bullpen_cache_events",
            "Hits, misses, stale values, evictions, expiries and failures.",
            [*per, "what"],
            registry=registry,
        )
        self._build_seconds = Counter("bullpen_cache_build_seconds", "That builds took.", per, registry=registry)
        self._cached: dict[str, CacheStatistics] = {}
        """As the counters have them, by name."""
        self._changes = Counter("bullpen_template_changes", "New versions of templates.", by, registry=registry)
        self._evicted: dict[str, int] = {}
        """As the counter has it, by instance."""
        self._first = Histogram(
            "bullpen_first_token_seconds", "From start to first word.", by, buckets=_SECONDS, registry=registry
        )
        self._lag = Gauge("bullpen_event_loop_lag_seconds", "How late the event loop was last.", registry=registry)
        self._budgets = Gauge(
            "bullpen_budget_share",
            "Of a day's ceiling, what is spent.",
            ["scope", "name", "measure"],
            registry=registry,
        )
        self._of_servers = {
            name: Gauge(f"bullpen_shared_server_{name}", says, ["server"], registry=registry)
            for name, says in _OF_SERVERS.items()
        }
        self._info = Gauge("bullpen_build_info", "1.", ["version"], registry=registry)

    def _show_shared(self, shared: Iterable[SharedServerRow]) -> None:
        for gauge in self._of_servers.values():
            gauge.clear()
        for row in shared:
            self._of_servers["calls"].labels(row.name).set(row.calls)
            self._of_servers["call_errors"].labels(row.name).set(row.errors)
            self._of_servers["restarts"].labels(row.name).set(row.restarts)
            self._of_servers["running_calls"].labels(row.name).set(row.running)
            self._of_servers["clients"].labels(row.name).set(row.clients)
            self._of_servers["memory_bytes"].labels(row.name).set(row.memory_bytes)
            self._of_servers["saved_bytes"].labels(row.name).set(row.saved_bytes)
            self._of_servers["is_connected"].labels(row.name).set(row.state is SharedState.CONNECTED)
            self._of_servers["breaker_is_open"].labels(row.name).set(row.breaker is not BreakerState.CLOSED)

    async def look_at_the_loop(self) -> None:
        """Measures how late it is, until it is cancelled."""
        while True:
            before = time.monotonic()
            await anyio.sleep(LAG_SECONDS)
            self._lag.set(max(0.0, time.monotonic() - before - LAG_SECONDS))

    def count(self, events: Iterable[Event]) -> None:
        """Counts events into the metrics."""
        for event in events:
            name = event.instance
            match event:
                case TurnStarted(waited=waited, acquisition=how):
                    self._starts.labels(name, how).inc()
                    self._waits.labels(name).observe(waited)
                case TurnFinished(outcome=outcome, first_token=first_token):
                    if first_token is not None:
                        self._first.labels(name).observe(first_token)
                    self._turns.labels(name, outcome_word(outcome)).inc()
                    self._add_usage(name, getattr(outcome, "usage", Usage()))
                case ClientStarted(seconds=seconds):
                    self._spawns.labels(name).observe(seconds)
                case ClientWoken(seconds=seconds):
                    self._wakes.labels(name).observe(seconds)
                case TemplateChanged():
                    self._changes.labels(name).inc()
                case ClientGone(kind=kind):
                    self._ended.labels(name, kind.value if kind is not None else "in-order").inc()

    def _add_usage(self, name: str, usage: Usage) -> None:
        self._tokens.labels(name, "input").inc(usage.input_tokens)
        self._tokens.labels(name, "output").inc(usage.output_tokens)
        self._tokens.labels(name, "cache").inc(usage.cache_tokens)
        self._cost.labels(name).inc(usage.cost_usd)

    def _expose_cache(self, now: CacheStatistics) -> None:
        before = self._cached.get(now.name, CacheStatistics(now.name, 0, 0, 0.0))
        self._cached[now.name] = now
        self._entries.labels(now.name).set(now.entries)
        self._cache_bytes.labels(now.name).set(now.bytes)
        self._build_seconds.labels(now.name).inc(max(0.0, now.build_seconds - before.build_seconds))
        for what in ("hits", "misses", "stale", "evictions", "expiries", "failures"):
            self._lookups.labels(now.name, what).inc(max(0, getattr(now, what) - getattr(before, what)))

    def _show_groups(self, name: str, clients: Iterable[ClientRow]) -> None:
        """An instance whose clients have no control groups has no value: 0 would say that all is well."""
        rows = tuple(clients)
        if peak := max((row.peak_bytes for row in rows), default=0):
            self._peak.labels(name).set(peak)
        if (worst := max((row.pressure for row in rows if row.pressure is not None), default=None)) is not None:
            self._pressure.labels(name).set(worst / 100)

    def expose(
        self, snapshot: Snapshot, budgets: Iterable[Budget] = (), shared: Iterable[SharedServerRow] = ()
    ) -> tuple[bytes, str]:
        """The text of all of them, and its media type. `shared` are the MCP servers that all clients share."""
        self._show_shared(shared)
        self._budgets.clear()
        for one in budgets:
            if one.scope not in (Scope.USER, Scope.SESSION):
                self._budgets.labels(one.scope.value, one.name, one.measure.value).set(one.share)
        self._info.labels(snapshot.host.version).set(1)
        self._swap_budget.set(snapshot.host.swap_budget)
        self._peak.clear()
        self._pressure.clear()
        for cache in snapshot.host.caches:
            self._expose_cache(cache)
        for row in snapshot.instances:
            clients = [client for client in snapshot.clients if client.instance == row.name]
            states = [client.state for client in clients]
            self._swap.labels(row.name).set(sum(client.swap_bytes for client in clients))
            self._show_groups(row.name, clients)
            for state in SlotState:
                self._clients.labels(row.name, state.value).set(states.count(state))
            self._waiting.labels(row.name).set(row.waiting)
            self._outdated.labels(row.name).set(row.outdated)
            self._memory.labels(row.name).set(row.memory_bytes)
            self._questions.labels(row.name).set(row.questions)
            self._evictions.labels(row.name).inc(row.pool.evictions - self._evicted.get(row.name, 0))
            self._evicted[row.name] = row.pool.evictions
        return generate_latest(self._registry), CONTENT_TYPE_LATEST
