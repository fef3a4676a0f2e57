"""Turns that wait for the operator because of a budget: they hold up their own user's, and nobody else's."""

from __future__ import annotations

from typing import cast

import pytest

from supervisor.api.keys import SessionKey
from supervisor.api.prompts import Prompt
from supervisor.conversation import Conversation
from supervisor.sessions.mailbox import Mailbox
from supervisor.sessions.turn import Turn

DESK = SessionKey("clerk", "everyone", "desk")


def turn(name: str, user: str, *, is_held: bool = False) -> Turn:
    prompt = Prompt("clerk", name, user)
    return Turn(name, name, DESK, prompt, cast(Conversation, ()), at=0.0, is_recorded=True, is_held=is_held)


def test_a_held_turn_of_a_shared_session_is_passed_by_other_users_alone() -> None:
    mailbox = Mailbox()
    held, own, other = turn("1", "ana", is_held=True), turn("2", "ana"), turn("3", "ben")
    for one in (held, own, other):
        mailbox.put(one)
    assert mailbox.begin() is other
    mailbox.finish()
    assert not mailbox.is_ready
    assert mailbox.head is held
    with pytest.raises(AssertionError):
        mailbox.begin()
    held.is_held = False
    assert [mailbox.begin(), mailbox.finish(), mailbox.begin()] == [held, held, own]
    assert not len(mailbox)
