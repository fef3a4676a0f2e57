"""A conversation's entries as blocks: calls joined with their results, questions with their answers. No widgets."""

from __future__ import annotations

from collections.abc import Iterable

from supervisor import (
    Asked,
    Cancelled,
    Entry,
    Expired,
    Noticed,
    Question,
    QuestionClosed,
    QuestionOutcome,
    QuestionPosed,
    Reading,
    Replied,
    ToolCalled,
    ToolReturned,
    TurnEnded,
)
from tui.transcript.blocks import Block, Ending, Notice, Passage, Prompted
from tui.transcript.markdown_split import Piece, PieceStream, cut_pieces
from tui.transcript.tool_blocks import Card, ToolUse
from tui.wording.sanitize import clean_text

PASSAGE_CHARACTERS = 4_000
"""A reply longer than this is several passages, each drawn only when it comes into sight."""


class Record:
    """The blocks of one conversation, top to bottom. Those of the block still being streamed are the last."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.last_reply = ""
        self._opened: _OpenReply | None = None
        self._tools: dict[str, ToolUse] = {}
        self._cards: dict[str, Card] = {}

    def apply(self, reading: Reading) -> bool:
        """Takes in what came. Returns whether anything did."""
        if not (reading.entries or reading.opened or reading.open_is_new):
            return False
        if self._opened is not None:
            del self.blocks[len(self.blocks) - len(self._opened.blocks) :]
        for entry in reading.entries:
            if isinstance(entry, Replied) and self._opened is not None:
                opened, self._opened = self._opened, None
                self._add(*opened.close(entry.text))
                self.last_reply = entry.text
            else:
                self._take(entry)
        if reading.open_is_new:
            self._opened = None  # what was read of a reply that begins again is void
        if reading.opened:
            if self._opened is None:
                self._opened = _OpenReply()
            self._opened.feed(reading.opened)
        if self._opened is not None:
            self._add(*self._opened.blocks)
        return True

    @property
    def open_text(self) -> str:
        """Text of the block that is being streamed, as far as it was read."""
        return self._opened.text if self._opened is not None else ""

    def _take(self, entry: Entry) -> None:
        match entry:
            case Asked():
                self._add(Prompted(entry))
            case Replied(text=text):
                self._add(*passages(text))
                self.last_reply = text
            case ToolCalled(tool_use_id=name):
                block = self._tools[name] = ToolUse(entry)
                self._add(block)
            case ToolReturned(tool_use_id=name):
                if (tool := self._tools.pop(name, None)) is not None:
                    tool.finish(entry)
            case QuestionPosed(question=question):
                card = self._cards[question.id] = Card(question)
                self._add(card)
                if (held := self._tool_of(question)) is not None:
                    held.hold(entry.at)
            case QuestionClosed(question_id=name):
                # It may come twice: what was approved counts as lost when it is not known to have run.
                if (posed := self._cards.get(name)) is not None:
                    posed.close(entry)
                    if (held := self._tool_of(posed.question)) is not None:
                        is_answered = entry.outcome in (QuestionOutcome.APPROVED, QuestionOutcome.DENIED)
                        held.release(entry.at, is_answered=is_answered)
            case Noticed():
                self._add(Notice(entry))
            case TurnEnded(outcome=Cancelled(reason=reason)) if (unsent := self._never_begun(entry)) is not None:
                unsent.note_unsent(reason or "cancelled")
            case TurnEnded(outcome=Expired()) if self._never_begun(entry) is not None:
                self._add(Ending(entry))
            case TurnEnded():
                for unfinished in self._tools.values():
                    unfinished.cut_off()
                self._tools.clear()
                self._add(Ending(entry))

    def _never_begun(self, ending: TurnEnded) -> Prompted | None:
        """The prompt of a turn in which nothing was said: the turn that runs meanwhile, if any, goes on."""
        last = self.blocks[-1] if self.blocks else None
        return last if isinstance(last, Prompted) and last.entry.turn_id == ending.turn_id else None

    def _tool_of(self, question: Question) -> ToolUse | None:
        """The call that the question is about. While it waits for permission it does not run, and is not shown as if it
        did."""
        for tool in reversed(self._tools.values()):
            is_it = tool.called.tool_use_id == question.tool_use_id
            if not question.tool_use_id:
                is_it = tool.called.tool == question.tool and tool.called.summary == question.summary
            if is_it:
                return tool
        return None

    def _add(self, *blocks: Block) -> None:
        for block in blocks:
            if isinstance(block, ToolUse) and self.blocks and isinstance(self.blocks[-1], ToolUse):
                block.gap = 0
            self.blocks.append(block)


def passages(text: str) -> list[Passage]:
    """A whole reply. A short one is not even cut into pieces before it is looked at."""
    if len(text) <= PASSAGE_CHARACTERS:
        return [Passage(text)]
    return _grouped(cut_pieces(clean_text(text)))


def _grouped(pieces: Iterable[Piece]) -> list[Passage]:
    groups: list[list[Piece]] = [[]]
    size = 0
    for piece in pieces:
        if size >= PASSAGE_CHARACTERS:
            groups.append([])
            size = 0
        groups[-1].append(piece)
        size += len(piece.source)
    return [_passage(group) for group in groups if group]


def _passage(pieces: list[Piece]) -> Passage:
    return Passage("\n\n".join(piece.source for piece in pieces), pieces)


class _OpenReply:
    """The reply being streamed: finished passages, then the one that grows."""

    def __init__(self) -> None:
        self._stream = PieceStream()
        self._raw: list[str] = []
        self._finished: list[Passage] = []
        self._pieces: list[Piece] = []
        self._growing = Passage("", [], is_open=True)

    @property
    def blocks(self) -> list[Block]:
        return [*self._finished, self._growing]

    @property
    def text(self) -> str:
        return "".join(self._raw)

    def feed(self, fragment: str) -> None:
        self._raw.append(fragment)
        for piece in self._stream.feed(fragment):
            self._pieces.append(piece)
            if sum(len(kept.source) for kept in self._pieces) >= PASSAGE_CHARACTERS:
                self._growing.become(_source(self._pieces), self._pieces, is_open=False)
                self._finished.append(self._growing)
                self._pieces = []
                self._growing = Passage("", [], is_open=True)
        pieces = [*self._pieces, *self._stream.open_pieces()]
        self._growing.become(_source(pieces), pieces, is_open=True)

    def close(self, text: str) -> list[Block]:
        """The blocks of the finished reply: those on screen, when they say the same."""
        if text != self.text:
            return list[Block](passages(text))
        pieces = [*self._pieces, *self._stream.open_pieces()]
        if not pieces:
            return list[Block](self._finished)
        self._growing.become(_source(pieces), pieces, is_open=False)
        if len(self._growing.text) > 2 * PASSAGE_CHARACTERS:
            return [*self._finished, *_grouped(pieces)]
        return [*self._finished, self._growing]


def _source(pieces: Iterable[Piece]) -> str:
    return "\n\n".join(piece.source for piece in pieces)
