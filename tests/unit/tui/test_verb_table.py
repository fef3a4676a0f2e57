"""The registry of verbs is the only place where a key gets its meaning."""

from __future__ import annotations

from itertools import combinations

import pytest
from textual.binding import Binding

from tui.app import BullpenApp
from tui.operator.completion import VERBS as LINES
from tui.screens.chat.chat import CHANGING, ChatScreen
from tui.screens.chat.panes import SIDE_BY_SIDE, TALL
from tui.screens.dashboard.dashboard import DashboardScreen
from tui.screens.dashboard.operator_verbs import ON_TARGETS
from tui.tables import rows
from tui.tables.table import LineTable
from tui.widgets.question_card import PermissionCard
from tui.wording.verbs import GROUPS, VERBS, Verb, Where, idle_words

HOMES = {
    Where.DASHBOARD: DashboardScreen,
    Where.CHAT: ChatScreen,
    Where.QUESTION: PermissionCard,
    Where.ANYWHERE: BullpenApp,
}

TAKING_TURNS = [{"pause", "resume"}, {"drain", "undo_drain"}, {"to_question", "to_offer"}]
"""Pairs that share a key because at most one of them is ever possible."""


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_every_verb_is_handled_and_stands_in_the_help(verb: Verb) -> None:
    action = verb.name.removeprefix("app.").partition("(")[0]
    assert callable(getattr(HOMES[verb.where], f"action_{action}"))
    assert verb.group in GROUPS


@pytest.mark.parametrize("where", [Where.DASHBOARD, Where.CHAT, Where.QUESTION])
def test_no_key_means_two_things_at_once(where: Where) -> None:
    """D3: four different stops, never confused."""
    for one, other in combinations([verb for verb in VERBS if verb.where is where and verb.key], 2):
        assert one.key != other.key or {one.name, other.name} in TAKING_TURNS


def test_a_key_that_may_do_nothing_has_a_sentence_that_says_why() -> None:
    """No key is pressed in vain without a word."""
    refused = {*ON_TARGETS, "scale", "broadcast", "inbox", "describe", *CHANGING}
    keys = {(verb.where, verb.key) for verb in VERBS if verb.name in refused and verb.key}
    told = [(verb.where, verb.key) for verb in VERBS if verb.idle]
    assert keys <= {*told}
    assert len(told) == len({*told}), "one sentence for all verbs of a key"
    for where, home in ((Where.DASHBOARD, DashboardScreen), (Where.CHAT, ChatScreen), (Where.QUESTION, PermissionCard)):
        for verb in VERBS:
            if verb.where is where and verb.idle:
                *_, last = [each for each in Binding.make_bindings(home.BINDINGS) if each.key == verb.key]
                assert last.action.startswith("app.say_idle"), "it stands behind the verbs of its key"
    assert f"{SIDE_BY_SIDE} columns or {TALL} lines" in idle_words("tile", Where.CHAT)


def test_sort_letters_take_no_verbs_key() -> None:
    taken = {verb.key for verb in VERBS if verb.where is Where.DASHBOARD}
    taken |= {key for binding in LineTable.BINDINGS for key in binding.key.split(",")}
    for columns in (rows.INSTANCE_COLUMNS, rows.SESSION_COLUMNS, rows.CLIENT_COLUMNS):
        letters = [column.sort_letter for column in columns if column.sort_letter]
        assert len(letters) == len(set(letters))
        assert not taken & set(letters)


def test_what_ends_or_holds_up_work_asks_first() -> None:
    asking = {
        "broadcast",
        "interrupt",
        "stop_turn",
        "pause",
        "clear_queue",
        "drain",
        "kill",
        "close_session",
        "replay",
        "drop_offer",
        "drain_all",
        "kill_all",
        "forget_user",
    }
    assert {verb.name for verb in VERBS if verb.confirms} == asking


def test_no_text_field_loses_its_own_keys() -> None:
    """ctrl+k and ctrl+s are never bound; ctrl+q is the program's and only its."""
    assert not {"ctrl+k", "ctrl+s"} & {verb.key for verb in VERBS}
    assert [verb.name for verb in VERBS if verb.key == "ctrl+q"] == ["app.quit"]


def test_every_line_in_the_registry_can_be_typed() -> None:
    known = {*LINES}
    assert {verb.words.split()[0] for verb in VERBS if verb.words} <= known
