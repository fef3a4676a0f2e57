"""A new question is announced once, and nothing in its words acts on the terminal."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from supervisor import Question, SessionKey
from tests.tui.stage import PERMISSION
from tui.terminal.notifications import BELL, EVERY, ST, Notices, notice_of, title_of


def asked(number: int) -> Question:
    return replace(PERMISSION, id=f"q-{number}")


def watched(terminal: str = "xterm-256color") -> tuple[Notices, list[str]]:
    sent: list[str] = []
    return Notices(sent.append, terminal=terminal), sent


def test_a_new_question_rings_once_and_changes_the_title() -> None:
    notices, sent = watched()
    notices.look({}, 0, 100.0)
    assert sent == [title_of(0)]
    for later in (0, 1, 2):
        notices.look({"q-1": asked(1)}, 1, 110.0 + later)
    assert sent[1:] == [title_of(1), BELL + notice_of([asked(1)], "")]
    notices.look({}, 0, 120.0)
    assert sent[3:] == [title_of(0)]


def test_what_was_open_at_the_start_is_a_badge_only() -> None:
    notices, sent = watched()
    notices.look({"q-1": asked(1)}, 1, 100.0)
    assert sent == [title_of(1)]


def test_a_flood_of_questions_is_one_notice_every_two_seconds() -> None:
    notices, sent = watched()
    notices.look({}, 0, 100.0)
    open_ones: dict[str, Question] = {}
    for step in range(40):
        open_ones[f"q-{step}"] = asked(step)
        notices.look(open_ones, 1, 100.0 + step * 0.25)
    rings = [one for one in sent if BELL in one]
    assert len(rings) <= 10 / EVERY + 1
    assert "new questions" in rings[1]


def test_a_question_that_was_answered_meanwhile_is_not_announced() -> None:
    notices, sent = watched()
    notices.look({}, 0, 100.0)
    notices.look({"q-1": asked(1)}, 1, 101.0)
    notices.look({"q-1": asked(1), "q-2": asked(2)}, 1, 101.5)
    notices.look({"q-1": asked(1)}, 1, 110.0)
    assert sum(BELL in one for one in sent) == 1


@pytest.mark.parametrize("terminal", ["xterm", "foot", "rxvt-unicode"])
@pytest.mark.parametrize(
    "hostile", ["\x07evil", "\x1b]52;c;aGk=\x07", "a\x9cb", "x\x1b\\y", "l\nm", "\u202e", ";;", "\ud800"]
)
def test_nothing_in_a_question_acts_on_the_terminal(terminal: str, hostile: str) -> None:
    key = SessionKey(hostile, hostile, hostile)
    command = notice_of([replace(PERMISSION, key=key, tool=hostile)], terminal)
    assert command.endswith(ST)
    body = command.removesuffix(ST)
    assert body.count("\x1b") == 1
    assert not set(body[1:]) & set("\x07\x9c\n\r\u202e\x9b")
    assert body.count(";") == (3 if terminal != "xterm" else 1)
