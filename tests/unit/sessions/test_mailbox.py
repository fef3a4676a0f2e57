from __future__ import annotations

import pytest

from supervisor.api.keys import SessionKey
from supervisor.api.prompts import Priority, Prompt
from supervisor.conversation import Conversation
from supervisor.sessions.mailbox import Mailbox
from supervisor.sessions.turn import Turn

KEY = SessionKey("desk", "ana", "default")


def make_turn(text: str, priority: Priority = Priority.NORMAL) -> Turn:
    return Turn(
        text, f"uuid-{text}", KEY, Prompt("desk", text, priority=priority), Conversation(), at=0.0, is_recorded=True
    )


def texts(mailbox: Mailbox) -> list[str]:
    return [turn.prompt.text for turn in mailbox]


def test_turns_leave_in_the_order_they_came() -> None:
    """S3.13–16"""
    mailbox = Mailbox()
    for text in "abc":
        mailbox.put(make_turn(text))
    order = []
    while mailbox.is_ready:
        order.append(mailbox.begin().prompt.text)
        mailbox.finish()
    assert order == ["a", "b", "c"]


def test_priorities_go_first_and_keep_the_order_inside_one() -> None:
    """S1.3"""
    mailbox = Mailbox()
    for text, priority in [("n1", 2), ("l", 3), ("c1", 0), ("h", 1), ("n2", 2), ("c2", 0)]:
        mailbox.put(make_turn(text, Priority(priority)))
    assert texts(mailbox) == ["c1", "c2", "h", "n1", "n2", "l"]


def test_nothing_may_begin_while_a_turn_runs() -> None:
    mailbox = Mailbox()
    mailbox.put(make_turn("a"))
    mailbox.put(make_turn("b"))
    mailbox.begin()
    assert not mailbox.is_ready
    with pytest.raises(AssertionError, match="nothing may begin"):
        mailbox.begin()


def test_withdrawing_takes_that_turn_and_no_other() -> None:
    mailbox = Mailbox()
    turns = [make_turn(text) for text in "abc"]
    for turn in turns:
        mailbox.put(turn)
    assert mailbox.withdraw(turns[1])
    assert not mailbox.withdraw(turns[1])
    assert texts(mailbox) == ["a", "c"]
    assert [turn.prompt.text for turn in mailbox.clear()] == ["a", "c"]
    assert len(mailbox) == 0


def test_repr_says_what_is_in_it() -> None:
    mailbox = Mailbox()
    mailbox.put(make_turn("a"))
    assert repr(mailbox) == "<Mailbox free, 1 waiting>"
    mailbox.begin()
    assert repr(mailbox) == "<Mailbox busy, 0 waiting>"
