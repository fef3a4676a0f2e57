"""What the line-API widgets share: component styles looked up once per theme, and single lines repainted."""

from __future__ import annotations

from typing import ClassVar

from rich.style import Style
from textual.geometry import Region
from textual.scroll_view import ScrollView


class LineView(ScrollView):
    """A scroll view that draws `Strip`s itself. Looks come from component classes named `<PREFIX>--<role>`."""

    PREFIX: ClassVar[str] = ""
    ALLOW_MAXIMIZE = True

    DEFAULT_CSS = """
    LineView {
        overflow-x: hidden;
        overflow-y: auto;
        scrollbar-size-vertical: 1;
    }
    """

    def __init__(self, *, name: str | None = None, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self._ink: dict[str, Style] = {}
        self._ground: dict[str, Style] = {}

    def ink(self, role: str) -> Style:
        """Colour and attributes of a role, without its background. An unknown or empty role has none."""
        if (style := self._ink.get(role)) is None:
            full = self._component(role)
            style = self._ink[role] = full.without_color + Style(color=full.color)
        return style

    def ground(self, role: str) -> Style:
        """The background of a role, blended with what lies under the widget."""
        if (style := self._ground.get(role)) is None:
            style = self._ground[role] = Style(bgcolor=self._component(role).bgcolor)
        return style

    def _component(self, role: str) -> Style:
        name = f"{self.PREFIX}--{role}"
        if name not in self._get_component_classes():
            return Style.null()
        return self.get_component_rich_style(name)

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._ink.clear()
        self._ground.clear()
        self.forget_strips()

    def watch_show_vertical_scrollbar(self, is_shown: bool) -> None:
        """A scrollbar that appears after the view was scrolled does not know how far."""
        if is_shown:
            self.vertical_scrollbar.position = self.scroll_y

    def forget_strips(self) -> None:
        """Called when a cached strip may no longer look as it should."""

    def repaint_line(self, y: int, lines: int = 1, *, x: int = 0, width: int | None = None) -> None:
        """Repaints lines of the visible area, or `width` cells of them from `x` on; `y` counts from its top. What is
        out of sight costs nothing."""
        top, bottom = max(0, y), min(self.size.height, y + lines)
        if bottom > top:
            self.refresh(Region(x, top, self.size.width if width is None else width, bottom - top))

    @property
    def is_at_end(self) -> bool:
        """Whether the last line is in sight."""
        return self.scroll_offset.y >= self.max_scroll_y
