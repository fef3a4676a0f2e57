"""What every modal screen shares: a box in the middle, its title above, its keys below, and `esc` to leave it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, TypeVar

from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widget import Widget

Answered = TypeVar("Answered")


SHEET = Path(__file__).with_name("dialog.tcss")
"""Named whole: a dialog of another folder would look for it beside itself."""


class Dialog(ModalScreen[Answered]):
    """Typed by its answer. `escape` dismisses it with None, which must mean "nothing happens"."""

    CSS_PATH: ClassVar[Any] = [SHEET]
    VERTICAL_BREAKPOINTS = [(0, "-short"), (30, "-tall")]
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", "cancel", key_display="esc")]

    HINTS: ClassVar[tuple[str, ...]] = ("esc closes",)
    """Its keys, each with what it does; written into the lower edge."""

    def box(self, title: str | Content, *hints: str, is_grave: bool = False, scrolls: bool = False) -> Widget:
        """The frame of the dialog, to be filled. `hints` take the place of `HINTS`."""
        classes = "-grave" if is_grave else ""
        box = VerticalScroll(id="box", classes=classes) if scrolls else Vertical(id="box", classes=classes)
        box.border_title = title if isinstance(title, Content) else Content(title)
        box.border_subtitle = Content(" · ".join(hints or self.HINTS))
        return box

    def action_cancel(self) -> None:
        self.dismiss(None)
