"""Every fact about one row, in words, for the describe screen. Pure functions."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence

from supervisor import (
    ClientRow,
    HostRow,
    InstanceRow,
    InstanceState,
    MemoryLevel,
    Offer,
    PoolStatistics,
    Question,
    SessionRow,
    SessionState,
    WhyWaiting,
)
from tui.wording import dormancy, format, reasons
from tui.wording.remedies import KEYS, Remedies

Facts = list[tuple[str, str]]
"""(label, text) in reading order; an empty label continues the one above."""
MOST_LEFT_OUT = 20
"""Mistakes in templates' files that are shown."""


def instance_facts(row: InstanceRow, limits: Mapping[str, str], now: float, by: Remedies = KEYS) -> Facts:
    """`limits` as the engine tells them, by name."""
    pool = row.pool
    budget = "" if row.memory_budget is None else f" of {format.bytes_short(row.memory_budget)}"
    reserve = f"; one more client is expected to need {format.bytes_short(row.memory_reserve)}"
    return [
        ("archetype", row.archetype),
        ("state", row.state + (f": {note}" if (note := reasons.note_words(row, by)) else "")),
        *([("parked", parked)] if (parked := reasons.parked_words(row, now, by)) else []),
        ("description", row.description),
        ("turns", f"{row.active_sessions} running of {row.max_sessions} in parallel, {row.stalled} stalled"),
        ("queue", f"{row.waiting} waiting{_oldest(row.oldest_waiting_at, now)}"),
        *([("", full)] if (full := _full_instance(row, by)) else []),
        *([("refused", refused)] if (refused := reasons.refused_words(row, now)) else []),
        ("sessions", f"{row.sessions} known, {row.active_sessions} active, {row.failed} failed"),
        ("for you", f"{format.some(row.questions, 'question')}, {format.some(row.offers, 'interrupted turn')}"),
        (
            "clients",
            f"{pool.total} of {pool.max_clients}: {pool.busy} busy, {pool.asking} asking, {pool.idle} idle, "
            f"{dormancy.counts(pool)}{pool.spare} spare, "
            f"{pool.starting + pool.reserved} starting, {pool.closing} closing",
        ),
        ("template", _template_words(row)),
        *([("", row.template_mistake)] if row.template_mistake else []),
        ("memory", format.bytes_short(row.memory_bytes) + budget + (reserve if row.memory_reserve else "")),
        *_pool_facts(row),
        *(("walls" if index == 0 else "", line) for index, line in enumerate(row.walls)),
        *limits_facts(limits, f"{row.name}."),
    ]


def _full_instance(row: InstanceRow, by: Remedies) -> str:
    return reasons.full_words(row, by) if row.state is InstanceState.RUNNING else ""


def _template_words(row: InstanceRow) -> str:
    """Which version holds, and what still runs an earlier one."""
    if row.is_removed:
        return "removed: the instance is closed when it is empty"
    held = f"version {row.version} since bullpen started"
    if row.outdated:
        held += f"; rolled {row.rolled} of {row.to_roll}, {format.some(row.outdated, 'client')} on an earlier one"
    return held + ("; the file as it is now cannot be used:" if row.template_mistake else "")


def _pool_facts(row: InstanceRow) -> Facts:
    """How the pool has done so far."""
    pool = row.pool
    hits = "" if pool.hit_rate is None else f": {format.percent(pool.hit_rate)} began warm"
    woken = f"{pool.woken} woken, " if pool.woken else ""
    failures = ", ".join(f"{number} {kind}" for kind, number in pool.failures)
    return [
        ("turns began", f"{pool.hot} hot, {woken}{pool.adopted} on a spare, {pool.cold} cold{hits}"),
        ("waited", _percentiles(pool.wait_p50, pool.wait_p95, "the last 100 turns")),
        ("first text", "none yet" if row.first_token_p50 is None else f"p50 {format.duration(row.first_token_p50)}"),
        ("client starts", _percentiles(pool.start_p50, pool.start_p95, "the last 100 starts")),
        ("evicted", str(pool.evictions)),
        ("ended badly", failures or (f"{pool.crashes} crashed" if pool.crashes else "none")),
    ]


def _percentiles(p50: float | None, p95: float | None, of: str) -> str:
    known = [f"{name} {format.duration(value)}" for name, value in (("p50", p50), ("p95", p95)) if value is not None]
    return f"{' · '.join(known)}, {of}" if known else "none yet"


def host_facts(row: HostRow, instances: Iterable[InstanceRow], limits: Mapping[str, str], now: float) -> Facts:
    """`limits` of the host, by name."""
    pools = [one.pool for one in instances]
    return [
        ("bullpen", f"{row.version}, up {format.duration(now - row.started_at)}"),
        ("endpoint", row.endpoint),
        ("door", row.door or "not open"),
        ("kept in", f"{row.state_dir}: journal, workspaces, logs"),
        ("transcripts", f"in {row.transcripts_dir}, a folder for each workspace"),
        ("journal", f"CANNOT BE WRITTEN: {row.journal_failing}: no new prompts" if row.journal_failing else "writes"),
        (
            "memory",
            f"{format.bytes_short(row.memory_bytes)} of clients, {format.bytes_short(row.memory_reserved)} reserved "
            f"for those on their way in, of {format.bytes_short(row.memory_budget)}",
        ),
        ("", f"{format.bytes_short(row.memory_available)} available on the host"),
        ("", f"{format.bytes_short(row.supervisor_bytes)} used by bullpen itself"),
        ("clients", _all_clients(pools, row.max_agents)),
        *([("turns began", began)] if (began := _began_words(pools)) else []),
        ("dormant", dormancy.host_words(row)),
        *_disk_facts(row, now),
        *_left_out_facts(row),
        *limits_facts(limits, ""),
    ]


def _all_clients(pools: Sequence[PoolStatistics], most: int) -> str:
    """What the two numbers of the header are."""
    active, total = sum(pool.active for pool in pools), sum(pool.total for pool in pools)
    return f"{active} of {total} have a turn that runs or asks; {most} there may be (max_agents)"


def _began_words(pools: Sequence[PoolStatistics]) -> str:
    """What `warm` in the header counts; empty before the first turn."""
    hot, woken = sum(pool.hot for pool in pools), sum(pool.woken for pool in pools)
    adopted, cold = sum(pool.adopted for pool in pools), sum(pool.cold for pool in pools)
    if not (total := hot + woken + adopted + cold):
        return ""
    warm = format.percent((total - cold) / total)
    return f"{warm} warm, on a client that was there: {hot} hot, {woken} woken, {adopted} on a spare; {cold} cold"


def _left_out_facts(row: HostRow) -> Facts:
    """Every mistake in a file of a template."""
    shown = [("" if number else "templates", line) for number, line in enumerate(row.left_out[:MOST_LEFT_OUT])]
    more = len(row.left_out) - MOST_LEFT_OUT
    return [*shown, ("", f"and {more:,} more: bullpen check lists them all")] if more > 0 else shown


def _disk_facts(row: HostRow, now: float) -> Facts:
    if (disk := row.disk) is None:
        return []
    short = format.bytes_short
    facts: Facts = [
        (
            "state",
            f"{short(disk.total)} on disk: journal {short(disk.journal)}, workspaces {short(disk.workspaces)}, "
            f"conversations {short(disk.conversations)}; {short(disk.free)} free{_measured(row.disk_measured_at, now)}",
        )
    ]
    if row.not_removed:
        facts.append(("not removed", f"{len(row.not_removed)}, such as {row.not_removed[0]}"))
    return facts


def _measured(at: float | None, now: float) -> str:
    return "" if at is None else f"; measured {format.age(now - at)} ago"


def limits_facts(limits: Mapping[str, str], owner: str) -> Facts:
    """One line for each section, so that a template's limits stand as its author wrote them."""
    sections: dict[str, list[str]] = {}
    for name, value in limits.items():
        section, _, key = name.rpartition(".")
        sections.setdefault(section, []).append(f"{key} {value}")
    unset = [one for one in sections if one.startswith("budgets.") and _is_unset(sections[one])]
    for section in unset:
        del sections[section]
    if unset:
        sections["budgets"] = [f"none for {', '.join(one.removeprefix('budgets.') for one in unset)}"]
    lines = [f"{section}: {', '.join(each)}" if section else ", ".join(each) for section, each in sections.items()]
    if not lines:
        return []
    first = next(iter(limits))
    lines.append(f":set {owner}{first} {limits[first]} changes one until the next restart")
    return [("limits" if index == 0 else "", line) for index, line in enumerate(lines)]


def _is_unset(limits: Iterable[str]) -> bool:
    """Whether no ceiling of a budget is set; what is done at one (`at refuse`) means nothing without."""
    return all(limit.endswith(" none") or limit.startswith("at ") for limit in limits)


def session_facts(
    row: SessionRow,
    client: ClientRow | None,
    instance: InstanceRow | None,
    limits: Mapping[str, str],
    now: float,
    by: Remedies = KEYS,
) -> Facts:
    """`client` is the one that serves it, `instance` the one it belongs to, `limits` those of that instance."""
    usage = row.usage
    facts: Facts = [
        ("instance", row.key.instance),
        ("user", row.key.user),
        ("session", row.key.session),
        ("state", row.state + (f", waits: {row.why}" if row.why else "")),
        *([("waits for", f"MCP server {', '.join(row.awaited_servers)}")] if row.awaited_servers else []),
        *([("waits for", full)] if (full := _full(row, instance, by)) else []),
        ("note", row.note or "none"),
        *([] if row.offer is None else [("interrupted", reasons.offer_sentence(row.offer, now, by.decide))]),
        ("turn", _turn(row, now)),
        *([("stalled", reasons.silence(row, client, now))] if row.state is SessionState.STALLED else []),
        *([("progress", reasons.progress(client, now))] if client is not None and row.turn_id else []),
        ("turns ended", str(row.turns)),
        (
            "tokens",
            f"{usage.input_tokens:,} in, {usage.output_tokens:,} out, {usage.cache_tokens:,} from cache",
        ),
        ("cost", format.money(usage.cost_usd)),
        *([] if row.context_share is None else [("context", f"{row.context_share:.0%} full")]),
        ("client", _client_words(row, client, now)),
        *([("", when)] if (when := dormancy.when(client, limits)) else []),
        *_runs_with(row),
        ("memory", _session_memory(row)),
        ("workspace", row.workspace or "none yet"),
        *([("kept", "no: it ends with its turn, and nothing of it stays")] if row.ends_with_turn else []),
        ("transcript", _transcript(row, by)),
        *([("on disk", format.bytes_short(row.disk_bytes))] if row.disk_bytes else []),
        ("created", _moment(row.created_at, now)),
        ("last activity", _moment(row.last_activity_at, now)),
        ("questions", str(len(row.questions))),
        ("queue", f"{len(row.waiting)} waiting"),
    ]
    for turn in row.waiting:
        more = reasons.wait_words(turn, instance, now, by)
        why = f"{turn.why}, {format.age(now - turn.queued_at)}" + (f", {more}" if more else "")
        facts.append(("", f"{turn.position}. {why}, from {turn.source}: {turn.text}"))
    return facts


def _transcript(row: SessionRow, by: Remedies) -> str:
    if not row.session_uuid:
        return "not begun"
    return f"{row.session_uuid}.jsonl" + (f" ({by.host} says where)" if by.host else "")


def _full(row: SessionRow, instance: InstanceRow | None, by: Remedies) -> str:
    return reasons.full_words(instance, by) if row.why is WhyWaiting.NO_SLOT and instance is not None else ""


def _runs_with(row: SessionRow | ClientRow) -> Facts:
    return [("runs with", chosen)] if (chosen := chosen_words(row)) else []


def chosen_words(row: SessionRow | ClientRow) -> str:
    """The provider and model that were chosen; empty for the host's own provider and the template's model."""
    provider = "" if row.provider == "default" else row.provider
    return ", ".join(filter(None, (f"provider {provider}" if provider else "", row.model and f"model {row.model}")))


def client_facts(row: ClientRow, limits: Mapping[str, str], now: float) -> Facts:
    """`limits` of its instance, by name."""
    tool = "none in flight"
    if row.tool:
        since = "" if row.tool_started_at is None else f", {format.age(now - row.tool_started_at)}"
        tool = row.tool + since
    return [
        ("instance", row.instance),
        ("process", f"{row.pid}, {row.processes} in its tree" if row.pid else "not started yet"),
        ("state", _state_words(row, now)),
        *([("", when)] if (when := dormancy.when(row, limits)) else []),
        *([("", awake)] if (awake := dormancy.awake(row)) else []),
        *([("", woke)] if (woke := dormancy.woke(row)) else []),
        ("session", "none: a spare" if row.key is None else str(row.key)),
        ("template", "an earlier version, until its turn is over" if row.is_outdated else "as it is now"),
        *_runs_with(row),
        ("memory", _tree_memory(row)),
        *([("", _trend_words(row))] if row.memory_trend else []),
        *([("", group)] if (group := _group_words(row)) else []),
        *([("", f"{grown} a minute")] if (grown := format.growth(row.memory_growth)) else []),
        ("cpu", f"{row.cpu_percent:.0f}% of one core"),
        ("tool", tool),
        *[("MCP servers" if index == 0 else "", str(server)) for index, server in enumerate(row.servers)],
        ("turns", str(row.turns)),
        ("started", _moment(row.started_at, now)),
        ("last event", _moment(row.last_event_at, now)),
    ]


def _state_words(row: ClientRow, now: float) -> str:
    return " ".join(filter(None, (row.state + (f": {row.note}" if row.note else ""), dormancy.sentence(row, now))))


def _client_words(row: SessionRow, client: ClientRow | None, now: float) -> str:
    if not row.client_id:
        starts = "the next prompt starts one" + (" and resumes the conversation" if row.session_uuid else "")
        if row.client_ended_at is None:
            return f"none: {starts}"
        return f"none since {format.moment(row.client_ended_at, now)}: {row.client_end}; {starts}"
    asleep = "" if client is None else dormancy.sentence(client, now)
    return f"{row.client_id}, dormant {asleep}" if asleep else row.client_id


def _session_memory(row: SessionRow) -> str:
    if not row.client_id:
        return "none: it has no client"
    return format.bytes_short(row.memory_bytes) if row.memory_bytes else "not measured yet"


def _trend_words(row: ClientRow) -> str:
    return f"{format.spark(row.memory_trend, len(row.memory_trend), top=1e9)} the last samples, on a scale of 0 to 1G"


def _tree_memory(row: ClientRow) -> str:
    if not row.memory_bytes:
        return "not measured yet"
    return f"{format.bytes_short(row.memory_bytes)}, the whole process tree{_level(row)}"


def _group_words(row: ClientRow) -> str:
    """What its control group tells; empty where it has none."""
    peak = f"{format.bytes_short(row.peak_bytes)} at most, pages of files included" if row.peak_bytes else ""
    waited = "" if row.pressure is None else f"waited for memory {row.pressure:.3g}% of the last 10 s"
    return "; ".join(filter(None, (peak, waited)))


def question_facts(row: Question, now: float) -> Facts:
    return [
        ("session", str(row.key)),
        ("kind", row.kind),
        ("tool", row.tool),
        ("summary", row.summary),
        ("asked", _moment(row.asked_at, now)),
        ("expires", f"in {format.duration(row.expires_at - now)}"),
        ("client held", row.client_id),
        *(("take care", warning) for warning in row.warnings),
        ("always means", row.always or "not on offer"),
        ("arguments", row.detail),
    ]


def offer_facts(row: Offer, now: float, by: Remedies = KEYS) -> Facts:
    return [
        ("session", str(row.key)),
        ("what", reasons.offer_sentence(row, now, by.decide)),
        ("prompt", row.text),
        ("from", row.source),
        ("begun", _moment(row.started_at, now)),
        ("cut off", _moment(row.made_at, now)),
        ("expires", f"in {format.duration(row.expires_at - now)}, as dropped"),
    ]


def _level(row: ClientRow) -> str:
    return "" if row.memory_level is MemoryLevel.NORMAL else f"; {row.memory_level}: {_LEVELS[row.memory_level]}"


_LEVELS = {
    MemoryLevel.SOFT: "it gets no new turn",
    MemoryLevel.HARD: "it is ended after its turn",
    MemoryLevel.PANIC: "it is being ended at once",
}


def _turn(row: SessionRow, now: float) -> str:
    if row.turn_started_at is None:
        return "none runs"
    return f"{row.turn_id}, running for {format.duration(now - row.turn_started_at)}"


def _oldest(at: float | None, now: float) -> str:
    return "" if at is None else f", the oldest for {format.duration(now - at)}"


def _moment(at: float, now: float) -> str:
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(at))}, {format.age(now - at)} ago"
