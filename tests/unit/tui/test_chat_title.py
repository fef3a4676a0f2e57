"""The line above a conversation."""

from __future__ import annotations

import pytest

from supervisor import InstanceRow, Limit, SessionRow, SessionState, WhyWaiting
from tests.tui import stage, troubles
from tests.tui.stage_engine import NOW
from tui.screens.chat.title import chat_title
from tui.wording import facts, format, remedies


def title(row: SessionRow, width: int = 300, instance: InstanceRow | None = None) -> str:
    return chat_title(row.key, row, None, instance, NOW, width, remedies.IN_CHAT).plain


@pytest.mark.parametrize(
    ("changes", "runs"),
    [
        ({"state": SessionState.WORKING, "turn_id": "t", "turn_started_at": NOW - 3}, "for 3.0 s"),
        ({"state": SessionState.STALLED, "turn_id": "t", "silent_since": NOW - 70}, "silent for 1m10"),
        ({"state": SessionState.IDLE}, ""),
    ],
)
def test_an_interrupted_turn_is_told_apart_from_the_turn_that_runs(changes: dict[str, object], runs: str) -> None:
    """R4: its offer stays open while the session goes on, and is no part of what the session does now."""
    row = stage.session(stage.ANA, offer=troubles.offer(stage.ANA, "Can you do it for me?"), **changes)
    restart = f"by a restart at {format.moment(NOW - 120, NOW)}, dropped in 58m"
    now = "".join(f" · {word}" for word in (runs, f"a turn was interrupted {restart}") if word)
    assert f"{row.state}{now}  " in title(row)
    interrupted = stage.session(stage.ANA, state=SessionState.INTERRUPTED, offer=row.offer)
    assert f"interrupted · {restart}  " in title(interrupted)


def test_what_is_told_of_a_session_names_keys_that_work_where_it_is_read() -> None:
    """In a chat letters are words; out of reach, what changes nothing still works."""
    row = stage.session(stage.ANA, offer=troubles.offer(stage.ANA, "x"), state=SessionState.INTERRUPTED)
    told = {
        by: dict(facts.session_facts(row, None, None, {}, NOW, by))
        for by in (remedies.KEYS, remedies.IN_CHAT, remedies.OUT_OF_REACH)
    }
    assert [each["transcript"].partition(" ")[2] for each in told.values()] == [
        "(H says where)",
        "(H on the dashboard says where)",
        "(H says where)",
    ]
    at = f"interrupted by a restart at {format.moment(NOW - 120, NOW)}"
    assert [each["interrupted"].partition(" · ")[0] for each in told.values()] == [
        f"{at}: R replays, Z drops",
        f"{at}: F4, then R replays, Z drops",
        at,
    ]


@pytest.mark.parametrize(
    ("limit", "remedy"),
    [
        (Limit("maxSessions", 3, 3), "s on the dashboard raises it"),
        (Limit("maxClients", 5, 5), ":set helpdesk.maxClients on the dashboard raises it"),
    ],
)
def test_a_title_names_keys_that_work_and_is_cut_with_a_sign(limit: Limit, remedy: str) -> None:
    """In a chat letters are words."""
    row = stage.session(stage.CARO, state=SessionState.WAITING, why=WhyWaiting.NO_SLOT)
    instance = stage.instance("helpdesk", limit=limit)
    whole = title(row, instance=instance)
    assert remedy in whole
    left = len(whole.partition("   ")[0])
    for width in range(20, left + 40):
        shown = title(row, width, instance)
        assert len(shown) <= width
        assert shown.endswith("…") == (width < left), width
