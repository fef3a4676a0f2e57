"""What wants the operator's word in one conversation: cards of its questions, and of a turn that was interrupted."""

from __future__ import annotations

from collections.abc import Iterable

from textual import events, on
from textual.containers import Vertical

from supervisor import BullpenError, Deny, Offer, Question
from tui.operator.app import app_of
from tui.operator.operations import Operations
from tui.screens.dialogs.ask_text import AskTextScreen
from tui.screens.dialogs.offers import ask_drop, ask_replay
from tui.screens.dialogs.whole_question import QuestionScreen
from tui.widgets.card import DockedCard
from tui.widgets.offer_card import OfferCard
from tui.widgets.prompt import PromptInput
from tui.widgets.question_card import PermissionCard, QuestionCard, card_for
from tui.wording.format import tool_name
from tui.wording.sanitize import clean_cell

SHOWN_LINES = 2
"""Of the questions behind the one that is open; the last line tells how many more there are."""

SETTLED = "It was settled meanwhile, elsewhere or by its time. Enter puts your words into the message, esc drops them."
"""In a dialog that asks for words about a question."""


class CardDock(Vertical):
    """Shows the cards and does what they say.

    One card is open: the one with the focus, or that had it last, else the oldest; each other one is a line, so that
    neither the question that is answered nor the message is ever out of sight.

    No card takes the focus by arriving: what is typed goes on to where it went. After an answer the focus goes to the
    oldest card that is left; when there is none, or a card goes that was not answered here, to the message.
    """

    def __init__(self, operations: Operations, message: PromptInput, *, id: str) -> None:
        """`message` is where words are typed, and where the focus goes when a card goes that had it."""
        super().__init__(id=id)
        self._operations = operations
        self._message = message
        self._opened: DockedCard | None = None
        self._now = 0.0
        self._dialogs: dict[object, AskTextScreen] = {}
        """Subject of a card → the dialog that asks for words about it."""

    @property
    def oldest(self) -> DockedCard | None:
        """The card of the oldest question that is still to be answered; without one, that of an interrupted turn."""
        open_cards = [card for card in self.cards() if not card.is_settled]
        return min(open_cards, key=_place, default=None)

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
                if (dialog := self._dialogs.get(card.subject)) is not None:
                    dialog.show_mistake(SETTLED, stays=True)
        new = [OfferCard(each) if isinstance(each, Offer) else card_for(each) for each in wanted.values()]
        if new:
            self.mount(*new)
        self.fold()

    @on(events.DescendantFocus)
    def open_focused(self) -> None:
        self._opened = self._focused
        self.fold()

    def fold(self) -> None:
        """Opens one card and makes a line of each other one."""
        cards = [card for card in self.cards() if not card.is_settled]
        if self._opened not in cards:
            self._opened = None
        opened = self._opened or self.oldest
        others = sorted((card for card in cards if card is not opened), key=_place)
        for card in cards:
            card.set_class(card is not opened, "-folded")
            card.display = card is opened or card in others[:SHOWN_LINES]
        for number, card in enumerate(others[:SHOWN_LINES], start=1):
            card.unseen = max(0, len(others) - SHOWN_LINES) if number == SHOWN_LINES else 0
            card.show_age(self._now)

    def show_ages(self, now: float) -> None:
        self._now = now
        for card in self.cards():
            card.show_age(now)

    def cards(self) -> list[DockedCard]:
        return [each for each in self.children if isinstance(each, DockedCard)]

    # Questions

    @on(QuestionCard.Answered)
    def take_answer(self, event: QuestionCard.Answered) -> None:
        self.answer(event)

    def answer(self, event: QuestionCard.Answered, words: str = "") -> None:
        """Takes the card off at once. When the question takes no such answer, one line tells why, `words` stand in the
        message, and the card of a question that is still open comes back."""
        had_focus = self._focused
        answered = [card for card in self.cards() if isinstance(card, QuestionCard) and card.question is event.question]
        for card in answered:
            card.is_settled = True
            if card is had_focus:
                following = self.oldest
                self.screen.set_focus(following if following is not None and following.is_listed else self._message)
        self.fold()
        verbs = app_of(self).verbs

        async def tell() -> None:
            try:
                await self._operations.answer(event.question.id, event.answer)
            except BullpenError as error:
                verbs.tell_refusal(error)
                for card in answered:
                    card.is_settled = False
                if self.is_attached:
                    self.fold()
                    if words:
                        self._message.give_back(words)

        verbs.put(tell)

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
            self._dialogs.pop(question.id, None)
            if reason is None:
                return
            if not any(card.subject == question.id and not card.is_settled for card in self.cards()):
                self._give_back(reason)
            else:
                self.answer(QuestionCard.Answered(question, Deny(reason)), reason)

        dialog = self._dialogs[question.id] = AskTextScreen(
            f"Deny {clean_cell(tool_name(question.tool), 40)} · {clean_cell(str(question.key), 80)}",
            "The agent is told your reason; it may be left empty.",
            may_be_empty=True,
        )
        self.app.push_screen(dialog, decided)

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
            self._dialogs.pop(card.subject, None)
            if text and card.is_settled:
                self._give_back(text)
            elif text:
                card.answer_item(text)

        dialog = self._dialogs[card.subject] = AskTextScreen(clean_cell(item.header or "Answer", 40), item.question)
        self.app.push_screen(dialog, decided)

    # A turn that a restart interrupted

    @on(OfferCard.ReplayWanted)
    def replay(self, event: OfferCard.ReplayWanted) -> None:
        ask_replay(self.app, self._operations, event.offer)

    @on(OfferCard.DropWanted)
    def drop_offer(self, event: OfferCard.DropWanted) -> None:
        ask_drop(self.app, self._operations, event.offer)


def _place(card: DockedCard) -> tuple[bool, float]:
    """Questions before interrupted turns; of each kind the oldest first."""
    return isinstance(card, OfferCard), card.since
