"""The header says what matters in the room it has; the event log follows what happens."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from textual.app import App, ComposeResult

from supervisor import (
    Archetype,
    ClientDormant,
    ClientGone,
    ClientWoken,
    Expired,
    Failed,
    FailureKind,
    HostRow,
    InstanceChanged,
    InstanceRow,
    InstanceState,
    PoolStatistics,
    Restarted,
    TurnFinished,
)
from tests.tui.theatre import screen_text
from tui.widgets.event_log import KEPT, EventLog
from tui.widgets.header import StatusHeader, compose_header
from tui.wording.event_lines import line_of, thing_of
from tui.wording.facts import host_facts

pytestmark = pytest.mark.anyio

AT = 1_700_000_000.0
HOST = HostRow("0.1.0", True, "rehearsal", AT, 1_200_000_000, 8_000_000_000, 50_000_000, 9_000_000_000)


def instance(name: str, questions: int = 1, failed: int = 1) -> InstanceRow:
    return InstanceRow(
        name,
        "",
        Archetype.SERVICE,
        InstanceState.RUNNING,
        "",
        PoolStatistics(busy=2, asking=1, idle=1, max_clients=4),
        4,
        9,
        3,
        5,
        AT,
        (0, 5),
        600_000_000,
        0.4,
        questions,
        failed,
    )


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 200])
def test_the_header_fits_and_never_drops_what_matters(width: int) -> None:
    """D1: REHEARSAL, busy clients and the queue are said at every width from 60 on."""
    line = compose_header(HOST, [instance("a"), instance("b")], AT, width)
    if width >= 60:
        assert line.cell_length == width
        for words in ("REHEARSAL", "6/8 clients", "10 queued"):
            assert words in line.plain
    if width >= 80:
        assert "◐ 2 questions" in line.plain
    if width >= 120:
        assert "1.2/8.0G" in line.plain
    if width >= 200:
        assert "2 instances  18 sessions" in line.plain
        assert "━" in line.plain


@pytest.mark.parametrize("width", [62, 80, 100, 120, 200])
def test_an_alarm_stands_before_everything_that_can_be_counted(width: int) -> None:
    """A journal that cannot be written refuses every prompt, and that is said at every width."""
    alarmed = replace(HOST, journal_failing="disk\nfull", memory_reserved=300_000_000)
    line = compose_header(alarmed, [replace(instance("a"), offers=3)], AT, width)
    assert line.cell_length == width
    assert line.plain.startswith(" REHEARSAL    JOURNAL: disk full: no new prompts ")
    assert "◐ 1" in line.plain
    assert "↺ 3" in line.plain


def test_the_header_names_the_endpoint_when_it_is_real() -> None:
    real = HostRow("0.1.0", False, "api.example.com\x1b[2J", AT, 0, 0, 0, 0)
    line = compose_header(real, [], AT, 120).plain
    assert "REHEARSAL" not in line
    assert "api.example.com�[2J" in line, "R5"


@pytest.mark.parametrize("width", [80, 120, 200])
def test_files_that_were_left_out_are_counted_in_the_header_and_named_by_h(width: int) -> None:
    lines = ("a.md:4: maxTurns must be a whole number, not 'no'", "a.md:5: pool is wrong", "b.md:1: is not UTF-8 text")
    host = replace(HOST, left_out=lines)

    assert "✕ 2 files left out (H)" in compose_header(host, [instance("a", questions=0, failed=0)], AT, width).plain
    told = host_facts(host, [], {}, AT)
    assert [text for _, text in told if text in lines] == list(lines)
    assert ("templates", lines[0]) in told
    edited = replace(instance("a", questions=0, failed=0), template_mistake=lines[0])
    words = compose_header(host, [edited], AT, 200).plain
    assert "✕ 1 broken edit, 1 file left out (H)" in words, "of the one the version before goes on"


class StatusApp(App[None]):
    def compose(self) -> ComposeResult:
        yield StatusHeader()
        yield EventLog()


async def test_the_event_log_keeps_the_last_and_follows_the_newest() -> None:
    app = StatusApp()
    async with app.run_test(size=(80, 10)) as pilot:
        app.query_one(StatusHeader).set(HOST, [instance("a")], AT)
        log = app.query_one(EventLog)
        assert "nothing has happened yet" in log.render_line(0).text
        failed = TurnFinished(
            at=AT, instance="a", user="u", session="s", outcome=Failed(FailureKind.CRASHED, "boom\nand more")
        )
        for number in range(KEPT + 20):
            log.write(AT, f"line {number}", "dim")
        log.add([failed])
        await pilot.pause()
        assert len(log.lines) == KEPT
        assert "a/u/s  turn failed (crashed-in-turn): boom" in log.render_line(log.size.height - 1).text
        log.focus()
        await pilot.press(*["up"] * 12)
        top = log.render_line(0).text
        log.add([replace(failed, user="v")])
        assert log.render_line(0).text == top, "who reads is not disturbed"
        await pilot.press("end")
        assert "a/v/s" in log.render_line(log.size.height - 1).text
        log.add([replace(failed, user="w")])
        assert "a/w/s" in log.render_line(log.size.height - 1).text, "and who is at the end follows"


@pytest.mark.parametrize("width", [80, 120, 200])
def test_clients_that_sleep_are_counted_in_the_header_and_weighed_by_h(width: int) -> None:
    pool = PoolStatistics(busy=2, dormant=3, waking=1, max_clients=8)
    line = compose_header(HOST, [replace(instance("a", questions=0, failed=0), pool=pool)], AT, width)
    assert "3/6 clients  ☾ 3 dormant  5 queued" in line.plain, "who wakes is about to work"
    asleep = replace(HOST, dormant=3, swap_bytes=133_000_000, swap_budget=4_000_000_000)
    words = "3 clients asleep; clients have 133M in swap of the 4.0G that they may (dormant_budget)"
    assert ("dormant", words) in host_facts(asleep, [], {}, AT)
    assert ("dormant", "0 clients asleep; this host has no swap: those that sleep keep their memory") in host_facts(
        HOST, [], {}, AT
    )


def test_h_says_what_the_numbers_of_the_header_mean_and_names_no_budget_that_is_not_set() -> None:
    pool = PoolStatistics(busy=2, idle=1, asking=1, max_clients=8, hot=41, woken=5, adopted=9, cold=5)
    rows = [replace(instance("a", questions=0, failed=0), pool=pool)]
    line = compose_header(HOST, rows, AT, 200).plain
    assert "3/4 clients" in line
    assert "92% warm" in line
    limits = {"max_agents": "20", "budgets.user.cost_per_day": "none", "budgets.agent.turns_per_day": "9",
              "budgets.session.cost_per_day": "none", "budgets.session.at": "refuse"}  # fmt: skip
    told = host_facts(HOST, rows, limits, AT)
    assert ("clients", "3 of 4 have a turn that runs or asks; 100 there may be (max_agents)") in told
    began = "92% warm, on a client that was there: 41 hot, 5 woken, 9 on a spare; 5 cold"
    assert ("turns began", began) in told
    assert [text for _, text in told if text.startswith("budgets")] == [
        "budgets.agent: turns_per_day 9", "budgets: none for user, session"
    ]  # fmt: skip
    assert "turns began" not in dict(host_facts(HOST, [], {}, AT))


def test_a_client_that_sleeps_has_one_line_in_the_log() -> None:
    asleep = ClientDormant(
        at=AT, before=141_000_000, after=9_000_000, client="a-3", instance="a", user="u", session="s"
    )
    woken = ClientWoken(at=AT, slept=900.0, seconds=0.2, client="a-3", instance="a", user="u", session="s")
    assert line_of(asleep) == ("a-3  dormant: 141M → 9.0M", "asleep")
    assert line_of(woken) == ("a-3  woke in 0.2 s; it slept 15m00", "ok")
    assert thing_of(asleep) == thing_of(woken) is not None, "the second takes the place of the first"


def test_an_ending_without_words_has_no_colon() -> None:
    """Of a call of a tool that is over, no words are kept."""
    bare = TurnFinished(at=AT, instance="sorter", outcome=Failed(FailureKind.OUTPUT_INVALID, ""))
    told = replace(bare, outcome=Failed(FailureKind.OUTPUT_INVALID, "it does not fit"))
    assert line_of(bare)[0] == "sorter  turn failed (output-invalid)"
    assert line_of(told)[0] == "sorter  turn failed (output-invalid): it does not fit"


def test_a_prompt_that_waited_for_too_long_is_refused_in_the_log_as_in_its_row() -> None:
    """S2.25–27: the same word is found by the same filter everywhere."""
    late = TurnFinished(at=AT, instance="desk", outcome=Expired("desk is saturated: no turn could begin", 2.0))
    assert line_of(late) == ("desk  prompt refused: desk is saturated: no turn could begin", "error")


@pytest.mark.parametrize(("not_offered", "told"), [(0, ""), (1, " (1 of them not on offer)"), (7, " (not on offer)")])
def test_a_restart_tells_how_many_interrupted_turns_are_not_in_the_inbox(not_offered: int, told: str) -> None:
    """R2."""
    event = Restarted(at=AT, sessions=27, waiting=3, interrupted=7, orphans=0, not_offered=not_offered)
    line = f"taken over from the last run: 27 sessions, 3 waiting turns, 7 interrupted{told}"
    assert line_of(event) == (line, "warn")


@pytest.mark.parametrize(
    ("note", "told"),
    [
        ("", "desk  is stopped"),
        ("not started", "desk  is stopped: not started"),
        ("its template was removed", "desk  is stopped: its template was removed"),
    ],
)
def test_a_line_that_stays_promises_nothing_that_is_over_when_it_is_read(note: str, told: str) -> None:
    """An instance that was opened again is not opened by the verb of an old line."""
    assert line_of(InstanceChanged(at=AT, instance="desk", state=InstanceState.STOPPED, note=note))[0] == told


def test_a_process_left_behind_is_an_alarm() -> None:
    """R3."""
    gone = ClientGone(at=AT, client="a-1", reason="kill", seconds=0.4)
    assert line_of(gone) == ("a-1  gone after 0.4 s (kill)", "dim")
    left = ClientGone(at=AT, client="a-1", reason="kill", seconds=9.0, left_over=2)
    assert line_of(left)[1] == "error"


async def test_an_event_log_that_grows_shows_what_came_before() -> None:
    app = StatusApp()
    async with app.run_test(size=(60, 5)) as pilot:
        log = app.query_one(EventLog)
        log.styles.height = "1fr"
        for number in range(40):
            log.write(AT, f"line-{number:02}")
        await pilot.pause()
        assert screen_text(app).count("line-") <= 4
        await pilot.resize_terminal(60, 20)
        await pilot.pause()
        assert screen_text(app).count("line-") >= 18
