from __future__ import annotations

from supervisor.api.entries import MOST_TEXT_HELD, Asked, Cursor, Entry, Noticed, Replied
from supervisor.api.prompts import Source
from supervisor.conversation import MOST_FRAGMENTS, MOST_HELD, Conversation, weigh


def asked(text: str) -> Asked:
    return Asked(at=0.0, turn_id="t", text=text, source=Source.CALLER, user="ana")


def test_a_reader_gets_only_what_is_new_and_loses_nothing() -> None:
    conversation = Conversation()
    conversation.append(asked("hi"))
    first = conversation.read()
    assert [type(entry) for entry in first.entries] == [Asked]
    conversation.stream("one ", "t")
    second = conversation.read(first.cursor)
    assert (second.entries, second.opened, second.open_is_new) == ((), "one ", True)
    conversation.stream("two", "t")
    third = conversation.read(second.cursor)
    assert (third.opened, third.open_is_new) == ("two", False)
    conversation.append(Replied(at=0.0, turn_id="t", text="one two"))
    fourth = conversation.read(third.cursor)
    assert fourth.entries == (Replied(at=0.0, turn_id="t", text="one two"),)
    assert conversation.read(fourth.cursor) == ((), "", False, fourth.cursor)


def test_a_reader_that_slept_through_a_block_gets_it_whole_and_the_next_from_its_start() -> None:
    conversation = Conversation()
    conversation.stream("first", "t")
    cursor = conversation.read().cursor
    conversation.append(Replied(at=0.0, turn_id="t", text="first block"))
    conversation.stream("sec", "t")
    reading = conversation.read(cursor)
    assert [entry.text for entry in reading.entries if isinstance(entry, Replied)] == ["first block"]
    assert (reading.opened, reading.open_is_new) == ("sec", True)


def test_a_notice_in_the_middle_of_a_block_does_not_close_it() -> None:
    conversation = Conversation()
    conversation.stream("one ", "t")
    cursor = conversation.read().cursor
    conversation.append(Noticed(at=0.0, text="retrying"))
    conversation.stream("two", "t")
    reading = conversation.read(cursor)
    assert (reading.opened, reading.open_is_new) == ("two", False)
    assert conversation.open_text == "one two"


def test_a_block_cut_short_is_kept_as_it_stands() -> None:
    conversation = Conversation()
    conversation.end_block(0.0)
    assert len(conversation) == 0
    conversation.stream("half a sen", "t")
    conversation.end_block(1.0)
    assert conversation.entries == (Replied(at=1.0, turn_id="t", text="half a sen"),)
    assert conversation.open_text == ""


def test_any_sequence_of_reads_rebuilds_the_same_text() -> None:
    """Lossless and replayable: how often a reader comes changes nothing."""
    for every in (1, 2, 3, 7, 100):
        conversation, cursor, shown = Conversation(), Cursor(), ""
        blocks: list[str] = []
        for step in range(60):
            if step % 10 == 9:
                conversation.end_block(0.0)
            else:
                conversation.stream(f"{step} ", "t")
            if step % every == 0:
                reading = conversation.read(cursor)
                cursor = reading.cursor
                blocks += [entry.text for entry in reading.entries if isinstance(entry, Replied)]
                shown = (reading.opened if reading.open_is_new else shown + reading.opened) if reading.opened else shown
                if reading.entries and not reading.opened:
                    shown = ""
        reading = conversation.read(cursor)
        blocks += [entry.text for entry in reading.entries if isinstance(entry, Replied)]
        assert blocks == [entry.text for entry in conversation.entries if isinstance(entry, Replied)]


def test_the_oldest_entries_are_let_go_of_and_every_cursor_stays_right() -> None:
    kept: list[Entry] = []
    conversation = Conversation(on_entry=kept.append)
    early = conversation.read().cursor
    late = early
    for number in range(5 * MOST_HELD):
        conversation.append(Noticed(at=float(number), text=str(number)))
        reading = conversation.read(late)
        assert [entry.at for entry in reading.entries] == [float(number)]
        late = reading.cursor
    assert MOST_HELD <= len(conversation.entries) <= 2 * MOST_HELD
    assert len(conversation) == len(kept) == 5 * MOST_HELD
    assert conversation.read(early).entries == conversation.entries, "who comes late gets what is held"
    assert conversation.entries[-1].at == 5 * MOST_HELD - 1


def test_a_reader_of_a_block_that_was_voided_is_told_to_take_it_back() -> None:
    conversation = Conversation()
    conversation.stream("first att", "t")
    seen, unseen = conversation.read().cursor, Cursor()
    conversation.void_block()
    void = conversation.read(seen)
    assert (void.entries, void.opened, void.open_is_new) == ((), "", True)
    assert not conversation.read(unseen).open_is_new, "who saw none of it has nothing to take back"
    conversation.stream("second", "t")
    assert conversation.read(seen)[1:3] == ("second", True)
    conversation.append(Replied(at=0.0, turn_id="t", text="second one"))
    late = conversation.read(seen)
    assert [entry.text for entry in late.entries if isinstance(entry, Replied)] == ["second one"]
    assert (late.opened, late.open_is_new) == ("", False)
    assert conversation.read(void.cursor).open_is_new is False


def test_voiding_when_nothing_is_open_changes_nothing() -> None:
    conversation = Conversation()
    before = conversation.read().cursor
    conversation.void_block()
    assert conversation.read(before) == ((), "", False, before)


def test_no_more_text_is_held_than_a_bound_and_readers_keep_their_place() -> None:
    kept: list[Entry] = []
    conversation = Conversation(on_entry=kept.append)
    cursor = conversation.read().cursor
    for number in range(40):
        conversation.append(Replied(at=1.0, text=str(number) + "x" * 1_000_000))
        assert sum(map(weigh, conversation.entries)) <= MOST_TEXT_HELD
        reading = conversation.read(cursor)
        cursor = reading.cursor
        assert [entry.text[: len(str(number))] for entry in reading.entries if isinstance(entry, Replied)] == [
            str(number)
        ]
    assert len(kept) == len(conversation) == 40
    conversation.append(Replied(at=1.0, text="y" * (MOST_TEXT_HELD + 1)))
    assert [weigh(entry) for entry in conversation.entries] == [MOST_TEXT_HELD + 1], "the last one is always held"


def test_fragments_that_nobody_reads_are_put_together() -> None:
    conversation = Conversation()
    for _ in range(3 * MOST_FRAGMENTS):
        conversation.stream("ab", "t")
        assert len(conversation._open) <= MOST_FRAGMENTS
    assert conversation.open_text == "ab" * 3 * MOST_FRAGMENTS
