"""What wants the operator's word in one conversation: cards of its questions, and of a turn that was interrupted."""

from __future__ import annotations

from collections.abc import Iterable

from textual import on
from textual.containers import Vertical
from textual.message import Message

from supervisor import Deny, Offer, Question, Refused
from tui.filters import clean_cell
from tui.operations import Operations
from tui.screens.ask_text import AskTextScreen
from tui.screens.offers import ask_drop, ask_replay
from tui.screens.whole_question import QuestionScreen
from tui.widgets.offer import OfferCard
from tui.widgets.question import PermissionCard, QuestionCard, card_for


class CardDock(Vertical):
    """Shows the cards and does what they say. Who docks it is told when a card came or went that had the focus."""

    class Arrived(Message):
        """A new card; it may have the focus when nobody types."""

        def __init__(self, card: QuestionCard | OfferCard) -> None:
            super().__init__()
            self.card = card

    class Left(Message):
        """The card that had the focus is gone, and no other came."""

    def __init__(self, operations: Operations, *, id: str) -> None:
        super().__init__(id=id)
        self._operations = operations

    def show(self, questions: Iterable[Question], offer: Offer | None) -> None:
        """Docks a card for each; the cards of what is settled go."""
        wanted: dict[object, Question | Offer] = {question.id: question for question in questions}
        if offer is not None:
            wanted[offer] = offer
        had_focus = False
        for card in self.cards():
            name: object = card.offer if isinstance(card, OfferCard) else card.question.id
            if wanted.pop(name, None) is None:
                had_focus = had_focus or card.has_focus
                card.remove()
        new = [OfferCard(each) if isinstance(each, Offer) else card_for(each) for each in wanted.values()]
        if new:
            self.mount(*new)
            self.post_message(self.Arrived(new[0]))
        elif had_focus:
            self.post_message(self.Left())

    def show_ages(self, now: float) -> None:
        for card in self.cards():
            card.show_age(now)

    def cards(self) -> list[QuestionCard | OfferCard]:
        return [each for each in self.children if isinstance(each, QuestionCard | OfferCard)]

    # Questions

    @on(QuestionCard.Answered)
    def answer(self, event: QuestionCard.Answered) -> None:
        try:
            self._operations.answer(event.question.id, event.answer)
        except Refused as error:
            self.notify(str(error), severity="warning", markup=False)

    @on(QuestionCard.ReasonWanted)
    def ask_reason(self, event: QuestionCard.ReasonWanted) -> None:
        question = event.question

        def decided(reason: str | None) -> None:
            if reason is not None:
                self.answer(QuestionCard.Answered(question, Deny(reason)))

        self.app.push_screen(
            AskTextScreen(
                f"Deny {clean_cell(question.tool, 40)}",
                "The agent is told your reason; it may be left empty.",
                may_be_empty=True,
            ),
            decided,
        )

    @on(PermissionCard.Enlarged)
    def enlarge(self, event: PermissionCard.Enlarged) -> None:
        card = event.card

        def decided(action: str | None) -> None:
            if action is not None and card.is_attached:
                getattr(card, f"action_{action}")()

        self.app.push_screen(QuestionScreen(card.question), decided)

    @on(QuestionCard.TextWanted)
    def ask_other(self, event: QuestionCard.TextWanted) -> None:
        card, item = event.card, event.item

        def decided(text: str | None) -> None:
            if text and card.is_attached:
                card.answer_item(text)

        self.app.push_screen(AskTextScreen(clean_cell(item.header or "Answer", 40), item.question), decided)

    # A turn that a restart interrupted

    @on(OfferCard.ReplayWanted)
    def replay(self, event: OfferCard.ReplayWanted) -> None:
        ask_replay(self.app, self._operations, event.offer)

    @on(OfferCard.DropWanted)
    def drop_offer(self, event: OfferCard.DropWanted) -> None:
        ask_drop(self.app, self._operations, event.offer)
