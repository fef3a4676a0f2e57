"""Rows of the dashboard's tables: what they say, and in which order they stand."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from rich.style import Style

from supervisor import (
    InstanceState,
    Limit,
    PoolStatistics,
    SessionKey,
    SessionState,
    SlotState,
    WhyAwake,
    WhyWaiting,
)
from tests.tui import stage, troubles
from tests.tui.stage import ANA, BEN, CARO, DORA
from tests.tui.stage_engine import MB, NOW
from tui.tables import inbox_rows, rows
from tui.tables.layout import Placed, lay_out
from tui.tables.row_drawing import compose_cells
from tui.wording import facts, format, reasons, remedies
from tui.wording.cells import Cells, Row, parts_of


def words(cells: Cells) -> str:
    return "".join(part.text for part in parts_of(cells))


def test_needs_you_first() -> None:
    """D1: asking, interrupted, failed, stalled, longest waiting, longest working, then the most recently used."""

    def made(name: str, state: SessionState, **changes: object) -> object:
        return stage.session(SessionKey("i", "u", name), state=state, **changes)

    expected = [
        made("asks", SessionState.ASKING, turn_started_at=NOW - 5),
        made("cut off first", SessionState.INTERRUPTED, offer=troubles.offer(stage.ANA, "", made_at=NOW - 9)),
        made("cut off", SessionState.INTERRUPTED, offer=troubles.offer(stage.ANA, "", made_at=NOW - 3)),
        made("failed", SessionState.FAILED),
        made("silent long", SessionState.STALLED, silent_since=NOW - 300),
        made("silent", SessionState.STALLED, silent_since=NOW - 200),
        made("waits long", SessionState.WAITING, waiting=(stage.waiting(1, WhyWaiting.NO_SLOT, 60, ""),)),
        made("waits", SessionState.WAITING, waiting=(stage.waiting(1, WhyWaiting.MEMORY, 6, ""),)),
        made("works long", SessionState.WORKING, turn_started_at=NOW - 60),
        made("works", SessionState.WORKING, turn_started_at=NOW - 6),
        made("used now", SessionState.IDLE, last_activity_at=NOW - 1),
        made("used before", SessionState.IDLE, last_activity_at=NOW - 100),
        made("dormant", SessionState.DORMANT, last_activity_at=NOW),
        made("hibernated", SessionState.HIBERNATED, last_activity_at=NOW),
    ]
    shuffled = expected[1::2] + expected[::2]
    assert sorted(shuffled, key=rows.session_order) == expected


@pytest.mark.parametrize("why", list(WhyWaiting))
def test_a_waiting_session_says_why_in_the_engines_own_word(why: WhyWaiting) -> None:
    """Design §4: the same word everywhere."""
    queue = (stage.waiting(1, why, 42, "print it"), stage.waiting(2, WhyWaiting.SESSION_BUSY, 2, "again"))
    row = stage.session(stage.ANA, state=SessionState.WAITING, why=why, waiting=queue)
    text = words(reasons.why_cells(row, None, None, NOW))
    assert text.startswith(f"{why} 42s")
    assert "+1" in text


def test_an_asking_session_names_the_tool_and_its_age() -> None:
    row = stage.session(stage.ROOT, state=SessionState.ASKING, questions=("q-1",))
    assert words(reasons.why_cells(row, stage.PERMISSION, None, NOW)).startswith("Bash 48s")
    assert words(reasons.why_cells(row, stage.CHOICE, None, NOW)).startswith("choice 12s")


def test_a_working_session_shows_the_tool_in_flight_and_what_waits_behind() -> None:
    row = stage.session(
        stage.ANA,
        state=SessionState.WORKING,
        turn_started_at=NOW - 14,
        waiting=(stage.waiting(1, WhyWaiting.SESSION_BUSY, 3, ""),),
    )
    busy = stage.client("helpdesk-3", stage.ANA, tool="Bash", tool_started_at=NOW - 6)
    assert words(reasons.why_cells(row, None, busy, NOW)) == "14s  Bash 6s  +1 queued"


def test_an_interrupted_session_says_what_can_be_done_and_how_long() -> None:
    row = troubles.aftermath().sessions[stage.ANA]
    text = words(reasons.why_cells(row, None, None, NOW))
    at = format.moment(NOW - 120, NOW)
    assert text == f"R replays, Z drops  “Can you do it for me?”  by a restart at {at}  dropped in 58m"
    assert row.offer is not None
    sentence = reasons.offer_sentence(row.offer, NOW, remedies.KEYS.decide)
    assert sentence.startswith(f"interrupted by a restart at {at}: R replays, Z drops · “Can you do it for me?”")


@pytest.mark.parametrize(
    ("limit", "asking", "told"),
    [
        (Limit("maxSessions", 3, 3), 0, "3 of 3 turns run (maxSessions): s raises it"),
        (Limit("maxSessions", 1, 1), 1, "1 of 1 turn runs (maxSessions), 1 of them waits for you: s raises it"),
        (Limit("maxClients", 8, 8), 2,
         "8 of 8 clients are taken (maxClients), 2 of them wait for you: :set helpdesk.maxClients raises it"),
        (Limit("max_agents", 40, 40), 0,
         "40 of 40 clients are taken of all instances (max_agents): :set max_agents raises it"),
        (None, 2, ""),
    ],
)  # fmt: skip
def test_a_turn_without_a_place_names_the_limit_that_binds_and_what_raises_it(
    limit: Limit | None, asking: int, told: str
) -> None:
    """Design §4: idle clients help none while all turns run, and the other way round."""
    row = stage.instance("helpdesk", limit=limit, pool=PoolStatistics(idle=4, asking=asking, max_clients=8), waiting=1)
    assert reasons.full_words(row) == told
    assert (("", told) in facts.instance_facts(row, {}, NOW)) is bool(told)
    parked = replace(row, state=InstanceState.PARKED)
    assert ("", told) not in facts.instance_facts(parked, {}, NOW), "that is not why"
    turn = replace(stage.waiting(1, WhyWaiting.NO_SLOT, 42, "print it"), place=1)
    queue = reasons.queue_words(turn, row, NOW)
    assert queue == ", ".join(filter(None, ("no-slot", str(limit or ""), "1st of 1 in the queue")))
    assert reasons.queue_words(replace(turn, why=WhyWaiting.MEMORY), row, NOW) == "memory, 1st of 1 in the queue"


@pytest.mark.parametrize(
    ("note", "resume_does", "told"),
    [
        ("", "opens it again", "p opens it again"),
        ("not started", "starts it", "not started: p starts it"),
        ("its template was removed", "", "its template was removed"),
    ],
)
def test_a_stopped_instance_names_the_key_that_opens_it(note: str, resume_does: str, told: str) -> None:
    row = stage.instance("helpdesk", state=InstanceState.STOPPED, note=note, resume_does=resume_does)
    assert words(rows.instance_row(row, NOW).cells[-1]) == told
    assert dict(facts.instance_facts(row, {}, NOW))["state"] == f"stopped: {told}"
    assert reasons.standing(row, NOW, remedies.VERBS) == told.replace("p ", "resume "), "where a command does it"
    assert reasons.standing(row, NOW, remedies.OUT_OF_REACH) == note, "where nothing does it"


def test_refused_prompts_are_told_in_the_row_and_the_title_while_they_are_news() -> None:
    """S2.25: nothing else is left of a caller that found no room."""
    row = stage.instance("helpdesk", description="Answers", refused=3, refused_at=NOW - 40)
    told = "3 prompts refused, the last 40s ago"
    assert words(rows.instance_row(row, NOW).cells[-1]) == told == reasons.alarm(row, NOW)
    assert ("refused", told) in facts.instance_facts(row, {}, NOW)
    later = NOW + reasons.RECENT
    assert words(rows.instance_row(row, later).cells[-1]) == "Answers"
    assert reasons.alarm(row, later) == ""
    assert ("refused", "3 prompts refused, the last 10m ago") in facts.instance_facts(row, {}, later)
    assert not [fact for fact in facts.instance_facts(stage.instance("helpdesk"), {}, NOW) if fact[0] == "refused"]


def test_a_place_in_the_queue_is_told_where_there_is_one() -> None:
    turn = replace(stage.waiting(1, WhyWaiting.NO_SLOT, 42, "print it"), place=2)
    busy = stage.instance("helpdesk", waiting=7)
    assert reasons.wait_words(turn, busy, NOW) == "2nd of 7 in the queue"
    assert reasons.wait_words(replace(turn, place=None), busy, NOW) == ""
    assert reasons.place_words(turn, None) == "2nd in the queue"


def test_a_parked_pool_says_why_and_when_it_tries_again() -> None:
    engine = troubles.parked()
    helpdesk, lookup = engine.instances["helpdesk"], engine.instances["lookup"]
    assert reasons.standing(helpdesk, NOW) == "rate limit, tries again in 0:42"
    assert reasons.standing(helpdesk, NOW + 43) == "rate limit, tries again now"
    assert reasons.standing(lookup, NOW) == "credentials refused, p tries again"
    assert reasons.standing(lookup, NOW, remedies.VERBS) == "credentials refused, resume tries again"
    assert reasons.standing(lookup, NOW, remedies.OUT_OF_REACH) == "credentials refused"
    assert reasons.standing(stage.instance("a", note="2 turns running"), NOW) == "2 turns running"


def test_an_instance_held_up_by_questions_says_so() -> None:
    """D1: what the operator can do something about."""
    pool = PoolStatistics(busy=1, asking=2, max_clients=3)
    held = stage.instance("a", pool=pool, max_sessions=3, active_sessions=3, waiting=4)
    assert reasons.alarm(held, NOW) == "2 of 3 turns wait for your answers, 4 queued behind them"
    assert reasons.alarm(replace(held, waiting=0), NOW) == ""
    assert reasons.alarm(replace(held, active_sessions=2), NOW) == ""
    assert reasons.alarm(replace(held, state=InstanceState.PAUSED, note="paused"), NOW) == "paused"


def test_who_is_next_stands_before_who_has_waited_longer() -> None:
    waiting = stage.busy().sessions[CARO]
    first, second = (
        replace(waiting, key=key, waiting=(replace(waiting.waiting[0], place=place, queued_at=queued_at),))
        for key, place, queued_at in ((ANA, 1, NOW - 5), (DORA, 2, NOW - 60))
    )
    nowhere = replace(first, key=BEN, waiting=(replace(first.waiting[0], place=None, queued_at=NOW - 90),))
    assert sorted([nowhere, second, first], key=rows.session_order) == [first, second, nowhere]


def test_the_growth_of_a_client_that_has_just_started_means_nothing() -> None:
    grown = replace(stage.client("a-1", None), memory_growth=-488 * MB, started_at=NOW - 10)
    assert words(rows.client_row(grown, NOW).cells[5]) == "·"
    assert words(rows.client_row(grown, NOW + 60).cells[5]) != "·"


def test_a_client_that_sleeps_says_for_how_long_and_what_it_uses() -> None:
    """Nothing in flight and no growth: that it was stopped is no news."""
    dora = stage.resting().clients["helpdesk-5"]
    cells = [words(cell) for cell in rows.client_row(replace(dora, memory_growth=-190 * MB), NOW).cells]
    assert (cells[1], cells[3], cells[5]) == ("☾ dormant", "9.0M", "·")
    assert cells[9] == "4m · 34M in swap · 199M awake"
    told = dict(facts.client_facts(dora, {}, NOW))
    wakes = "its next prompt wakes it, or a word typed in its chat"
    assert told["state"] == f"dormant for 4m05; 9.0M in memory, 34M in swap; it used 199M awake; {wakes}"
    assert "woke in 0.2 s, the last time" in [text for _, text in facts.client_facts(dora, {}, NOW)]
    nothing = replace(dora, swap_bytes=0, awake_bytes=0, wake_seconds=None)
    asleep = f"dormant for 4m05; 9.0M in memory, nothing in swap; {wakes}"
    assert dict(facts.client_facts(nothing, {}, NOW))["state"] == asleep
    spare = [words(cell) for cell in rows.client_row(stage.resting().clients["helpdesk-6"], NOW).cells]
    assert spare[1:3] == ["☾ dormant", "helpdesk-6 spare"], "a spare that sleeps is both"


def test_a_client_says_when_it_sleeps_and_a_session_without_one_since_when_and_why() -> None:
    """The words of the log, where the row is looked at."""
    limits, dora = {"pool.dormantAfter": "60s"}, stage.busy().sessions[DORA]
    client = stage.client("helpdesk-5", DORA)
    when = ("", "sleeps when idle for 60s (pool.dormantAfter)")
    assert when in facts.client_facts(client, limits, NOW)
    assert when in facts.session_facts(dora, client, None, limits, NOW)
    assert when not in facts.client_facts(replace(client, state=SlotState.BUSY), limits, NOW)
    assert when not in facts.client_facts(client, {"pool.dormantAfter": "none"}, NOW)
    starts = "the next prompt starts one and resumes the conversation"
    gone = replace(dora, client_id="", client_end="gave up its place", client_ended_at=NOW - 60)
    told = dict(facts.session_facts(gone, None, None, limits, NOW))
    assert told["client"] == f"none since {format.moment(NOW - 60, NOW)}: gave up its place; {starts}"
    told = dict(facts.session_facts(replace(dora, client_id=""), None, None, limits, NOW))
    assert told["client"] == f"none: {starts}"


@pytest.mark.parametrize("why", list(WhyAwake))
def test_an_idle_client_that_stays_awake_says_why(why: WhyAwake) -> None:
    awake = replace(stage.client("a-1", None), why_awake=why)
    assert [text for _, text in facts.client_facts(awake, {}, NOW) if text.startswith("stays awake: ")]
    assert "stays awake" not in str(facts.client_facts(replace(awake, why_awake=None), {}, NOW))


def test_a_client_in_a_control_group_says_what_it_used_at_most_and_how_long_it_waited() -> None:
    row = stage.client("a-1", None)
    told = [text for _, text in facts.client_facts(replace(row, peak_bytes=402 * MB, pressure=12.34), {}, NOW)]
    assert "402M at most, pages of files included; waited for memory 12.3% of the last 10 s" in told
    assert "waited for memory 0% of the last 10 s" in [
        text for _, text in facts.client_facts(replace(row, pressure=0.0), {}, NOW)
    ]
    assert "at most" not in str(facts.client_facts(row, {}, NOW))


def test_a_session_whose_client_sleeps_is_told_from_a_hot_and_from_a_hibernated_one() -> None:
    shown = {
        state: words(rows.session_row(stage.session(DORA, state=state), None, None, NOW).cells[0])
        for state in (SessionState.IDLE, SessionState.DORMANT, SessionState.HIBERNATED)
    }
    assert list(shown.values()) == ["○ idle", "☾ dormant", "◌ hibernated"]
    engine = stage.resting()
    doing = words(reasons.why_cells(engine.sessions[BEN], None, engine.clients["helpdesk-4"], NOW))
    assert doing == "0s  waking its client"


def test_the_worst_state_of_an_instance_is_counted_before_the_others() -> None:
    row = stage.instance("a", questions=1, offers=2, failed=3, stalled=4)
    assert words(rows.instance_row(row, NOW).cells[3]) == "1◐ 2↺ 3✕ 4⊝ "


def test_the_description_of_an_instance_tells_how_its_pool_did() -> None:
    shown = dict(facts.instance_facts(troubles.parked().instances["helpdesk"], troubles.LIMITS, NOW))
    assert shown["waited"] == "p50 0.2 s · p95 9.4 s, the last 100 turns"
    assert shown["client starts"] == "p50 1.1 s · p95 2.6 s, the last 100 starts"
    assert shown["ended badly"] == "3 rate-limit, 1 crashed-idle"
    assert shown["turns began"] == "41 hot, 9 on a spare, 4 cold: 93% began warm"
    assert shown["memory"] == "1.0G of 4.0G; one more client is expected to need 420M"


def test_the_ceiling_of_clients_is_not_what_is_cut() -> None:
    pool = PoolStatistics(busy=22, idle=10, spare=11, dormant=31, waking=12, max_clients=104)
    column = next(column for column in rows.INSTANCE_COLUMNS if column.key == "clients")
    cells = rows.clients_compact(pool)
    for width in range(5, 40):
        placed = [Placed(0, 0, width)]
        shown = compose_cells(Row("helpdesk", (cells,)), [column], placed, Style(), lambda _: Style())
        text = "".join(segment.text for segment in shown)
        assert len(text) == width
        assert text.rstrip().endswith("/104")
        assert ("…" in text) == (width < len(words(cells)))


def test_the_name_of_a_tool_leaves_room_for_the_question() -> None:
    """A long one is whole only where there is room to spare."""

    def widths(width: int) -> dict[str, int]:
        columns = inbox_rows.INBOX_COLUMNS
        return {columns[place.index].key: place.width for place in lay_out(columns, width, 1, {1: 24, 2: 25})}

    assert widths(76) == {"age": 5, "session": 24, "tool": 17, "summary": 19, "expires": 7}
    assert widths(116)["tool"] == 25


def test_clients_are_counted_by_state_and_against_their_limit() -> None:
    pool = PoolStatistics(busy=2, asking=1, idle=1, spare=1, reserved=1, starting=1, closing=1, max_clients=9)
    assert words(rows.clients_compact(pool)) == "2● 1◐ 1○ 1◇ 2◔ 1▽ /9"
    asleep = PoolStatistics(busy=2, idle=1, dormant=3, waking=1, max_clients=8)
    assert words(rows.clients_compact(asleep)) == "2● 1○ 3☾ 1◠ /8"
    assert words(rows.clients_compact(PoolStatistics(max_clients=3))) == "0/3"
    assert words(rows.clients_compact(pool, outdated=3)) == "3↻ 2● 1◐ 1○ 1◇ 2◔ 1▽ /9", "drift (S3.1-2)"


def test_clients_keep_their_place_for_life() -> None:
    """By number, not by text, and not by state."""
    ten, two = stage.client("a-10", None, state=SlotState.BUSY), stage.client("a-2", None)
    assert sorted([ten, two], key=rows.client_order) == [two, ten]


@pytest.mark.parametrize(("state", "told"), [(SlotState.READY, "a-1 spare"), (SlotState.CLOSING, "a-1 ")])
def test_a_client_without_a_session_is_a_spare_while_one_may_come(state: SlotState, told: str) -> None:
    assert words(rows.client_row(stage.client("a-1", None, state=state), NOW).cells[2]) == told


def test_noise_is_not_drawn_as_growth() -> None:
    """Every client is drawn on one scale, from nothing to 1G, which the column's title tells."""
    assert rows.CLIENT_COLUMNS[4].title == "0–1G"
    quiet = rows.client_row(stage.client("a-1", None), NOW)
    growing = rows.client_row(replace(stage.client("a-1", None), memory_trend=(100 * MB, 200 * MB, 300 * MB)), NOW)
    assert len(set(words(quiet.cells[4]))) == 1
    assert words(growing.cells[4]).strip() == "▂▂▃"


def test_every_row_has_a_cell_and_a_sort_value_for_every_column() -> None:
    """A sort letter never meets a row without an answer."""
    engine = troubles.aftermath()
    for row in engine.instances.values():
        made = rows.instance_row(row, NOW)
        assert len(made.cells) == len(made.sort) == len(rows.INSTANCE_COLUMNS)
    for session in engine.sessions.values():
        made = rows.session_row(session, None, None, NOW)
        assert len(made.cells) == len(made.sort) == len(rows.SESSION_COLUMNS)
    for client in engine.clients.values():
        made = rows.client_row(client, NOW)
        assert len(made.cells) == len(made.sort) == len(rows.CLIENT_COLUMNS)
    for item in (*engine.questions.values(), troubles.offer(stage.ANA, "again")):
        made = inbox_rows.inbox_row(item, NOW)
        assert len(made.cells) == len(made.sort) == len(inbox_rows.INBOX_COLUMNS)
