"""Tabs and panes: which are open, which are in sight, and which one is spoken to."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from supervisor import SessionKey
from tui.screens.chat.open_tabs import TILINGS, Deck

A, B, C, D, E = KEYS = [SessionKey("helpdesk", "ana", name) for name in "abcde"]


def deck_of(*keys: SessionKey) -> Deck:
    deck = Deck()
    for key in keys:
        deck.open([key])
    return deck


def test_an_open_session_is_shown_and_never_opened_twice() -> None:
    deck = deck_of(A, B, A)
    assert deck.tabs == [A, B]
    assert deck.at == A
    assert deck.shown(4) == [A]


def test_several_opened_at_once_stand_side_by_side_as_far_as_there_is_room() -> None:
    deck = Deck()
    deck.open([A, B, C, D, E])
    assert deck.shown(4) == [A, B, C, D]
    assert deck.shown(2) == [A, B]
    assert deck.shown(1) == [A]
    assert deck.tabs == [A, B, C, D, E]


def test_two_opened_at_once_are_two_panes() -> None:
    deck = deck_of(A)
    deck.open([B, C])
    assert deck.panes == 2
    assert deck.shown(4) == [B, C]


def test_a_hidden_tab_takes_the_place_of_the_pane_that_is_spoken_to_and_no_other_moves() -> None:
    deck = Deck()
    deck.open([A, B, C, D, E])
    deck.step_pane(1, 4)
    deck.go_to(E)
    assert deck.shown(4) == [A, E, C, D]
    assert deck.at == E


def test_tiling_goes_round_the_sizes_there_is_room_for() -> None:
    deck = deck_of(A, B, C, D, E)
    sizes = []
    for _ in range(4):
        assert deck.tile(4)
        sizes.append(len(deck.shown(4)))
    assert sizes == [2, 4, 1, 2]
    assert deck.at == E
    assert deck.tile(2)
    assert not Deck().tile(1)


def test_four_panes_come_back_when_the_room_does() -> None:
    deck = Deck()
    deck.open([A, B, C, D])
    deck.step_pane(-1, 4)
    assert deck.at == D
    assert deck.shown(1) == [D]
    assert deck.shown(4) == [A, B, C, D]


def test_closing_fills_the_place_from_the_hidden_tabs() -> None:
    deck = Deck()
    deck.open([A, B, C, D, E])
    deck.close(A)
    assert deck.at == B
    assert deck.shown(4) == [B, C, D, E]
    for key in (B, C, D, E):
        deck.close(key)
    assert (deck.at, deck.tabs, deck.shown(4)) == (None, [], [])


def test_a_session_that_turns_out_to_be_an_open_one_becomes_its_tab() -> None:
    deck = deck_of(A, B)
    deck.rename(B, A)
    assert deck.tabs == [A]
    assert deck.at == A
    deck.rename(A, C)
    assert deck.tabs == [C]
    assert deck.at == C


STEPS = st.one_of(
    st.tuples(st.just("open"), st.lists(st.sampled_from(KEYS), max_size=5)),
    st.tuples(st.just("go_to"), st.sampled_from(KEYS)),
    st.tuples(st.just("close"), st.sampled_from(KEYS)),
    st.tuples(st.just("step_tab"), st.sampled_from([-1, 1])),
    st.tuples(st.just("step_pane"), st.sampled_from([-1, 1]), st.sampled_from(TILINGS)),
    st.tuples(st.just("tile"), st.sampled_from(TILINGS)),
    st.tuples(st.just("rename"), st.sampled_from(KEYS), st.sampled_from(KEYS)),
)


@given(st.lists(STEPS, max_size=30))
def test_whatever_is_done_one_open_tab_in_sight_is_spoken_to(steps: list[tuple[object, ...]]) -> None:
    deck = Deck()
    for name, *arguments in steps:
        getattr(deck, str(name))(*arguments)
        assert len(set(deck.tabs)) == len(deck.tabs)
        assert (deck.at in deck.tabs) if deck.tabs else deck.at is None
        for room in TILINGS:
            shown = deck.shown(room)
            assert len(set(shown)) == len(shown)
            assert set(shown) <= set(deck.tabs)
            assert deck.at is None or deck.at in shown
            assert len(shown) == min(deck.panes, room, len(deck.tabs)), "no pane is empty while there is a tab for it"
