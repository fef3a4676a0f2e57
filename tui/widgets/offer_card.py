"""The card of a turn that a restart interrupted: its keys work only while it has the focus."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from supervisor import Offer, SessionState
from tui.themes import MUTED
from tui.widgets.card import DockedCard, how_to_reach
from tui.wording import format, reasons
from tui.wording.sanitize import clean_cell
from tui.wording.verbs import bindings_of, key_of


class OfferCard(DockedCard):
    """Asks whether the turn is sent again. It only posts the choice; the pane confirms it and calls the engine."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings_of("replay", "drop_offer")]

    class ReplayWanted(Message):
        def __init__(self, offer: Offer) -> None:
            super().__init__()
            self.offer = offer

    class DropWanted(Message):
        def __init__(self, offer: Offer) -> None:
            super().__init__()
            self.offer = offer

    def __init__(self, offer: Offer) -> None:
        super().__init__()
        self.offer = offer

    @property
    def subject(self) -> object:
        return self.offer

    @property
    def since(self) -> float:
        return self.offer.made_at

    def compose(self) -> ComposeResult:
        offer = self.offer
        yield self.line
        yield Static(
            Content.assemble((f"{offer.source}  ", MUTED), (f"“{clean_cell(offer.text)}”", "bold")),
            classes="summary",
            markup=False,
        )
        keys = (("replay", "replay: tools may act a second time"), ("drop_offer", "drop: leave it as it is"))
        parts = [Content.assemble((key_of(verb), "bold $text-accent"), f" {words}") for verb, words in keys]
        yield Static(Content("   ").join(parts), classes="keys", markup=False)
        yield how_to_reach("to decide: replay it or drop it")

    def show_age(self, now: float) -> None:
        """Writes when it was interrupted and how long the choice is left."""
        sign = format.glyph(SessionState.INTERRUPTED)
        self.border_title = Content(f"{sign} Interrupted by a restart at {format.moment(self.offer.made_at, now)}")
        self.border_subtitle = Content(reasons.expiry(self.offer, now))
        words = "Interrupted by a restart"
        self.write_line(f"{sign} {words}", format.moment(self.offer.made_at, now), clean_cell(self.offer.text, 200))

    def action_replay(self) -> None:
        if self.takes_keys():
            self.post_message(self.ReplayWanted(self.offer))

    def action_drop_offer(self) -> None:
        if self.takes_keys():
            self.post_message(self.DropWanted(self.offer))
