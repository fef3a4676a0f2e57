"""A text that is written anew only when it says something else, and laid out anew only when its height differs."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static


class Line(Static):
    def __init__(self, *, id: str | None = None, classes: str | None = None, wraps: bool = False) -> None:
        super().__init__(id=id, classes=classes, markup=False)
        self._wraps = wraps
        self._shown: tuple[str, object] = ("", ())

    def show(self, content: Content) -> None:
        now = (content.plain, tuple(content.spans))
        if now != self._shown:
            is_as_high = self._shown[0].count("\n") == content.plain.count("\n")
            self._shown = now
            self.update(content, layout=self._wraps or not is_as_high)
