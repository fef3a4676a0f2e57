"""What every modal screen shares: a box in the middle, `esc` to leave it without an answer."""

from __future__ import annotations

from typing import Any, ClassVar, TypeVar

from textual.binding import Binding, BindingType
from textual.screen import ModalScreen

Answered = TypeVar("Answered")


class Dialog(ModalScreen[Answered]):
    """Typed by its answer. `escape` dismisses it with None, which must mean "nothing happens"."""

    CSS_PATH: ClassVar[Any] = ["dialog.tcss"]
    VERTICAL_BREAKPOINTS = [(0, "-short"), (30, "-tall")]
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", "cancel", key_display="esc")]

    def action_cancel(self) -> None:
        self.dismiss(None)
