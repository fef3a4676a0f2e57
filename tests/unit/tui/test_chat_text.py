"""What `bullpen chat` shows of a conversation: all of a reply once, and nothing of it twice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from supervisor import (
    Asked,
    Cursor,
    Deny,
    Noticed,
    QuestionClosed,
    QuestionOutcome,
    Replied,
    Source,
    ToolCalled,
    ToolReturned,
)
from supervisor.conversation import Conversation
from tui.cli.block_text import STARTS_AGAIN
from tui.cli.chat.text import ChatText, last_exchange


def asked(text: str, turn: str = "t-1", user: str = "ana", source: Source = Source.CALLER) -> Asked:
    return Asked(at=1.0, turn_id=turn, text=text, source=source, user=user)


class Reader:
    """A terminal: what stands on it after each look."""

    def __init__(self) -> None:
        self.conversation = Conversation()
        self.text = ChatText()
        self.cursor = Cursor()
        self.shown = ""

    def look(self, *, is_streamed: bool = True) -> str:
        reading = self.conversation.read(self.cursor)
        self.cursor = reading.cursor
        new = "".join(piece.text for piece in self.text.take(reading, is_streamed=is_streamed))
        self.shown += new
        return new


BLOCKS = st.lists(st.lists(st.text("ab \n", min_size=1, max_size=4), min_size=1, max_size=6), min_size=1, max_size=4)


@given(BLOCKS, st.data())
def test_however_a_reply_is_looked_at_it_is_shown_once_and_whole(blocks: list[list[str]], data: st.DataObject) -> None:
    reader = Reader()
    for fragments in blocks:
        for fragment in fragments:
            reader.conversation.stream(fragment, "t-1")
            if data.draw(st.booleans()):
                reader.look(is_streamed=data.draw(st.booleans()))
        reader.conversation.append(Replied(at=1.0, turn_id="t-1", text="".join(fragments)))
        if data.draw(st.booleans()):
            reader.look(is_streamed=data.draw(st.booleans()))
    reader.look()
    whole = ["".join(fragments) for fragments in blocks]
    assert reader.shown == "".join(text if text.endswith("\n") else f"{text}\n" for text in whole)


def test_a_part_that_is_void_is_followed_by_what_replaces_it() -> None:
    reader = Reader()
    reader.conversation.stream("The first att", "t-1")
    reader.look()
    reader.conversation.void_block()
    reader.conversation.stream("The sec", "t-1")
    reader.look()
    reader.conversation.append(Replied(at=1.0, turn_id="t-1", text="The second attempt"))
    reader.look()
    assert reader.shown == f"The first att{STARTS_AGAIN}The second attempt\n"


def test_a_line_of_another_kind_begins_where_a_line_begins() -> None:
    reader = Reader()
    reader.conversation.stream("in the middle", "t-1")
    reader.look()
    reader.conversation.append(Noticed(at=1.0, turn_id="t-1", text="retrying"))
    assert reader.look() == "\n· retrying\n"
    assert reader.text.break_line() == "", "it was broken already"


def test_a_tool_call_is_one_line_and_a_denial_is_told_once() -> None:
    reader = Reader()
    reader.conversation.append(
        ToolCalled(at=1.0, tool_use_id="u", tool="Bash", summary="ls\n-la " + "x" * 500, detail="")
    )
    line = reader.look()
    assert line.startswith("· Bash ls")
    assert line.count("\n") == 1
    assert len(line) < 200
    closed = QuestionClosed(at=1.0, question_id="q", outcome=QuestionOutcome.DENIED, answer="not today", by="ana")
    reader.conversation.append(closed)
    reader.conversation.append(ToolReturned(at=1.0, tool_use_id="u", text="not today", is_error=True))
    assert reader.look() == "· denied by ana: not today\n"
    reader.conversation.append(ToolReturned(at=1.0, tool_use_id="u", text="no such file", is_error=True))
    assert reader.look() == "· failed: no such file\n"
    assert Deny("not today").reason == closed.answer


def test_what_others_say_is_shown_with_their_name_and_what_was_typed_here_is_not() -> None:
    reader = Reader()
    reader.text.mine.add("t-1")
    reader.conversation.append(asked("mine", "t-1"))
    reader.conversation.append(asked("one\n· Bash rm", "t-2", user="ben"))
    reader.conversation.append(asked("stop it", "t-3", source=Source.OPERATOR))
    assert reader.look() == "[ben] one\n    · Bash rm\n[operator for ana] stop it\n"


def test_the_last_exchange_begins_with_its_prompt() -> None:
    entries = (asked("a"), Replied(at=1.0, text="1"), asked("b", "t-2"), Replied(at=1.0, text="2"))
    assert last_exchange(entries) == entries[2:]
    assert last_exchange(()) == ()
