"""What wants the operator's word in one conversation: cards of its questions, and of a turn that was interrupted."""

from __future__ import annotations

from collections.abc import Iterable

from textual import on
from textual.containers import Vertical

from supervisor import Deny, Offer, Question, Refused
from tui.filters import clean_cell
from tui.operations import Operations
from tui.screens.ask_text import AskTextScreen
from tui.screens.offers import ask_drop, ask_replay
from tui.screens.whole_question import QuestionScreen
from tui.widgets.docked import DockedCard
from tui.widgets.offer import OfferCard
from tui.widgets.prompt import PromptInput
from tui.widgets.question import PermissionCard, QuestionCard, card_for


class CardDock(Vertical):
    """Shows the cards and does what they say.

    No card takes the focus by arriving: what is typed goes on to where it went. After an answer the focus goes to the
    oldest card that is left; when there is none, or a card goes that was not answered here, to the message.
    """

    def __init__(self, operations: Operations, message: PromptInput, *, id: str) -> None:
        """`message` is where words are typed, and where the focus goes when a card goes that had it."""
        super().__init__(id=id)
        self._operations = operations
        self._message = message

    @property
    def oldest(self) -> DockedCard | None:
        """The card of the oldest question that is still to be answered; without one, that of an interrupted turn."""
        open_cards = [card for card in self.cards() if not card.is_settled]
        return min(open_cards, key=lambda card: (isinstance(card, OfferCard), card.since), default=None)

    def choose(self, subject: object, *, was_seen: bool) -> DockedCard | None:
        """The card that is about that, as chosen by the operator, who may have seen its row; the oldest one where it is
        gone."""
        for card in self.cards():
            if subject is not None and card.subject == subject and not card.is_settled:
                card.was_chosen = card.was_chosen or was_seen
                return card
        return self.oldest

    @property
    def is_focused(self) -> bool:
        return self._focused is not None

    @property
    def _focused(self) -> DockedCard | None:
        return next((card for card in self.cards() if card is self.screen.focused), None)

    def show(self, questions: Iterable[Question], offer: Offer | None) -> None:
        """Docks a card for each; the cards of what is settled go."""
        wanted: dict[object, Question | Offer] = {question.id: question for question in questions}
        if offer is not None:
            wanted[offer] = offer
        for card in self.cards():
            if wanted.pop(card.subject, None) is None:
                if card is self._focused:
                    # Its letters were meant for this question: another card must not get them.
                    self.screen.set_focus(self._message)
                card.is_settled = True
                card.remove()
        new = [OfferCard(each) if isinstance(each, Offer) else card_for(each) for each in wanted.values()]
        if new:
            self.mount(*new)

    def show_ages(self, now: float) -> None:
        for card in self.cards():
            card.show_age(now)

    def cards(self) -> list[DockedCard]:
        return [each for each in self.children if isinstance(each, DockedCard)]

    # Questions

    @on(QuestionCard.Answered)
    def take_answer(self, event: QuestionCard.Answered) -> None:
        self.answer(event)

    def answer(self, event: QuestionCard.Answered) -> bool:
        """False, and one line that tells why, when the question takes no answer any more."""
        try:
            self._operations.answer(event.question.id, event.answer)
        except Refused as error:
            self.notify(str(error), severity="warning", markup=False)
            return False
        had_focus = self._focused
        for card in self.cards():
            if isinstance(card, QuestionCard) and card.question is event.question:
                card.is_settled = True
                if card is had_focus:
                    following = self.oldest
                    self.screen.set_focus(following if following is not None and following.is_seen else self._message)
        return True

    def _give_back(self, text: str) -> None:
        """Words that were written for a question that is gone; they are the operator's to use or to delete."""
        words = "the question was settled meanwhile: nothing was answered"
        if text.strip():
            self._message.give_back(text)
            words += ", and your words are in the message"
        self.notify(words, severity="warning", markup=False)

    @on(DockedCard.WordsTyped)
    def go_on_in_message(self, event: DockedCard.WordsTyped) -> None:
        self.screen.set_focus(self._message)
        self._message.insert(event.text)

    @on(QuestionCard.ReasonWanted)
    def ask_reason(self, event: QuestionCard.ReasonWanted) -> None:
        question = event.question

        def decided(reason: str | None) -> None:
            if reason is None:
                return
            if not any(card.subject == question.id and not card.is_settled for card in self.cards()):
                self._give_back(reason)
            elif not self.answer(QuestionCard.Answered(question, Deny(reason))) and reason:
                self._message.give_back(reason)

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
            if action is not None and card.is_settled:
                self._give_back("")
            elif action is not None:
                getattr(card, f"action_{action}")()

        self.app.push_screen(QuestionScreen(card.question), decided)

    @on(QuestionCard.TextWanted)
    def ask_other(self, event: QuestionCard.TextWanted) -> None:
        card, item = event.card, event.item

        def decided(text: str | None) -> None:
            if text and card.is_settled:
                self._give_back(text)
            elif text:
                card.answer_item(text)

        self.app.push_screen(AskTextScreen(clean_cell(item.header or "Answer", 40), item.question), decided)

    # A turn that a restart interrupted

    @on(OfferCard.ReplayWanted)
    def replay(self, event: OfferCard.ReplayWanted) -> None:
        ask_replay(self.app, self._operations, event.offer)

    @on(OfferCard.DropWanted)
    def drop_offer(self, event: OfferCard.DropWanted) -> None:
        ask_drop(self.app, self._operations, event.offer)
