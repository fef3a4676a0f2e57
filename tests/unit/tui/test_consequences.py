"""What a confirmation says would happen: all of the work that a verb touches, and no more."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from supervisor import PoolStatistics, WhyWaiting
from tests.tui import stage
from tests.tui.stage import ANA, NOW
from tests.tui.stage_engine import MB, StageEngine
from tests.waiting import at_once
from tui.engine_link.bridge import Bridge
from tui.operator import consequences

NOTHING = ("nothing runs and nothing waits",)


def bridge_of(running: int = 0, asking: int = 0, queued: int = 0, clients: int = 0) -> Bridge:
    engine = StageEngine()
    pool = PoolStatistics(busy=clients - asking, asking=asking, max_clients=9)
    memory = clients * 100 * MB
    engine.put(stage.instance("a", active_sessions=running, waiting=queued, pool=pool, memory_bytes=memory))
    engine.put(stage.instance("idle"))
    bridge = Bridge(engine)
    at_once(bridge.open())
    return bridge


def test_an_instance_without_work_has_nothing_to_lose() -> None:
    bridge = bridge_of()
    for made in (consequences.of_pause, consequences.of_drain, consequences.of_second_drain, consequences.of_kill):
        assert made(bridge, "a").facts == NOTHING
    assert consequences.of_kill(bridge_of(running=1), "idle").facts == NOTHING, "what others do is not counted"


def test_a_kill_names_what_runs_what_asks_what_waits_and_the_processes() -> None:
    """D3: also the queue behind turns that run."""
    assert consequences.of_kill(bridge_of(running=3, asking=2, queued=4, clients=3), "a").facts == (
        "3 running turns are cut off",
        "2 of them wait for your answer",
        "4 waiting turns are cancelled",
        "3 clients, 300M",
    )
    assert consequences.of_kill(bridge_of(queued=1), "a").facts == ("1 waiting turn is cancelled",)
    asks = consequences.of_kill(bridge_of(running=1, asking=1, clients=1), "a").facts
    assert asks[:2] == ("1 running turn is cut off", "it waits for your answer")


def test_what_a_question_counts_is_counted_again_while_it_stays_open() -> None:
    bridge = bridge_of(running=1)
    made = [of(bridge, "a") for of in (consequences.of_pause, consequences.of_drain, consequences.of_kill)]
    made += [consequences.of_drain_all(bridge), consequences.of_kill_all(bridge)]
    bridge.instances["a"] = replace(bridge.instances["a"], active_sessions=0)
    assert [one.recount and one.recount() for one in made] == [NOTHING] * 5


@pytest.mark.parametrize(
    ("verb", "one", "several"),
    [
        (
            consequences.of_pause,
            ("1 running turn runs on", "1 waiting turn waits until it is resumed"),
            ("2 running turns run on", "2 waiting turns wait until it is resumed"),
        ),
        (
            consequences.of_drain,
            ("1 running turn runs to its end", "1 waiting turn still runs"),
            ("2 running turns run to their end", "2 waiting turns still run"),
        ),
        (
            consequences.of_second_drain,
            ("1 running turn is interrupted", "1 waiting turn is cancelled"),
            ("2 running turns are interrupted", "2 waiting turns are cancelled"),
        ),
    ],
)
def test_one_and_several_agree_with_their_verb(verb: object, one: tuple[str, ...], several: tuple[str, ...]) -> None:
    assert callable(verb)
    assert verb(bridge_of(running=1, queued=1), "a").facts == one
    assert verb(bridge_of(running=2, queued=2), "a").facts == several


def test_a_kill_of_one_client_says_whose_turn_ends_and_how_many_stay_behind_it() -> None:
    """The kill dialog names the queue also when a turn runs."""
    row = stage.session(
        ANA,
        turn_id="t-1",
        waiting=(
            stage.waiting(1, WhyWaiting.SESSION_BUSY, 3, "next"),
            stage.waiting(2, WhyWaiting.SESSION_BUSY, 2, "then"),
        ),
    )
    client = stage.client("a-1", ANA, pid=123, processes=2, memory_bytes=50 * MB)
    assert consequences.of_kill_client(client, row).facts == (
        "pid 123, 2 processes, 50M",
        f"session: {ANA}",
        "its running turn is cut off",
        "2 turns behind it wait on",
    )
    single = replace(row, waiting=row.waiting[:1])
    assert consequences.of_kill_client(client, single).facts[3:] == ("1 turn behind it waits on",)
    assert consequences.of_kill_client(client, replace(row, turn_id="", waiting=())).facts[2:] == ()
    spare = stage.client("a-2", None, pid=0, memory_bytes=0)
    assert consequences.of_kill_client(spare, None).facts == (
        "its process has not started yet",
        "session: a spare: no session uses it",
    )


def test_a_stop_means_the_running_turn_or_the_next_one_and_counts_what_is_behind_it() -> None:
    first, second = (stage.waiting(place, WhyWaiting.SESSION_BUSY, 3, f"turn {place}") for place in (1, 2))
    runs = stage.session(ANA, turn_id="t-1", waiting=(first, second))
    assert consequences.of_interrupt(runs).facts == ("its running turn is cut off", "2 turns behind it wait on")
    waits = replace(runs, turn_id="")
    assert consequences.of_interrupt(waits).facts == (
        "its next prompt is cancelled: “turn 1”",
        "1 turn behind it waits on",
    )
    assert consequences.of_interrupt(replace(waits, waiting=(first,))).facts[1:] == ()


def test_forgetting_a_user_names_everything_of_theirs() -> None:
    rows = [
        stage.session(ANA, turn_id="t-1", disk_bytes=3 * MB),
        stage.session(ANA, turn_id="", waiting=(stage.waiting(1, WhyWaiting.NO_SLOT, 3, "x"),), disk_bytes=4 * MB),
    ]
    made = consequences.of_forget("ana", rows)
    assert made.facts == (
        "2 sessions with what was said in them",
        "1 running turn cut off",
        "1 waiting turn cancelled",
        "workspaces and conversations on disk: 7.0M",
    )
    assert made.typed == "ana"
    assert "said to" not in made.after
    assert "What was said to clerk and desk stays" in consequences.of_forget("ana", rows, ["clerk", "desk"]).after
    nothing = stage.session(ANA, turn_id="", waiting=(), disk_bytes=0)
    assert consequences.of_forget("ana", [nothing]).facts == (
        "1 session with what was said in it",
        "workspaces and conversations on disk",
    )


def test_quitting_and_the_whole_bullpen_count_every_instance() -> None:
    bridge = bridge_of(running=1, queued=2, clients=1)
    assert consequences.of_quit(bridge) == (
        "1 running turn would be cut off, and offered at the next start",
        "2 waiting turns would wait for the next start",
        "1 client, 100M",
    )
    assert consequences.of_kill_all(bridge).facts == (
        "1 running turn is cut off",
        "2 waiting turns are cancelled",
        "1 client, 100M",
    )
    assert consequences.of_kill_all(bridge).typed == "all", "no single key ends all of it"
    drained = consequences.of_drain_all(bridge)
    assert (drained.title, drained.is_grave) == ("Drain all of 2 instances?", False)
    assert consequences.of_quit(bridge_of()) == NOTHING


def test_closing_a_session_says_what_of_it_is_left_out_of_the_books() -> None:
    row = stage.session(ANA, turns=3, memory_bytes=50 * MB, last_activity_at=NOW)
    assert consequences.of_close(row).facts == ("3 turns of conversation", "its idle client: 50M")
    assert consequences.of_close(replace(row, memory_bytes=0)).facts == ("3 turns of conversation",)


def test_a_drain_names_the_deadline_that_is_set() -> None:
    bridge = bridge_of(running=1)
    bridge.host = replace(bridge.host, drain_deadline=90.0)
    for made in (consequences.of_drain(bridge, "a"), consequences.of_drain_all(bridge)):
        assert "After 1m30 what still runs is interrupted, what waits is cancelled." in made.after
