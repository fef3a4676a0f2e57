"""Which conversations are open as tabs, which of them stand side by side, and which one is spoken to. No widgets."""

from __future__ import annotations

from collections.abc import Iterable

from supervisor import SessionKey

TILINGS = (1, 2, 4)
"""Panes side by side that can be asked for."""


class Deck:
    """A session is open once at most. The panes in sight are tabs, too; a tab out of sight takes the place of the pane
    that is spoken to when it is chosen, and no other pane moves."""

    def __init__(self) -> None:
        self.tabs: list[SessionKey] = []
        """In the order in which they were opened."""
        self.at: SessionKey | None = None
        """The one that is spoken to; None only while there is no tab."""
        self.panes = 1
        """How many were asked for, of `TILINGS`; there may be room for fewer."""
        self._places: list[SessionKey] = []
        """Tabs in the panes that were asked for, in the order of reading."""

    def shown(self, room: int) -> list[SessionKey]:
        """The tabs in sight where `room` panes fit; the one that is spoken to is always among them."""
        places = self._places[: max(1, min(self.panes, room))]
        if self.at is not None and self.at not in places:
            places[-1:] = [self.at]
        return places

    def open(self, keys: Iterable[SessionKey]) -> None:
        """Adds tabs for those that have none, and goes to the first. Several at once are put side by side."""
        wanted = list(dict.fromkeys(keys))
        if not wanted:
            return
        self.tabs += [key for key in wanted if key not in self.tabs]
        if len(wanted) == 1:
            self.go_to(wanted[0])
            return
        self.panes = max(self.panes, next((size for size in TILINGS if size >= len(wanted)), TILINGS[-1]))
        self._places = wanted[: self.panes]
        self.at = wanted[0]
        self._fill()

    def go_to(self, key: SessionKey) -> None:
        """Speaks to this tab from now on, and brings it into sight. Does nothing where it is not open."""
        if key not in self.tabs:
            return
        if key not in self._places:
            if len(self._places) < self.panes or self.at not in self._places:
                self._places.append(key)
            else:
                self._places[self._places.index(self.at)] = key
        self.at = key
        self._fill()

    def step_tab(self, by: int) -> None:
        """Moves to the next (1) or previous (-1) tab, round the ends."""
        self._step(self.tabs, by)

    def step_pane(self, by: int, room: int) -> None:
        """Moves to the next (1) or previous (-1) of the panes that `room` shows, round the ends."""
        self._step(self.shown(room), by)

    def _step(self, keys: list[SessionKey], by: int) -> None:
        if self.at in keys:
            self.go_to(keys[(keys.index(self.at) + by) % len(keys)])

    def tile(self, room: int) -> bool:
        """One pane, then two, four, and one again, as far as there is room. False where there is room for one only."""
        sizes = [size for size in TILINGS if size <= room]
        now = min(self.panes, sizes[-1])
        in_sight = self.shown(room)
        self.panes = sizes[(sizes.index(now) + 1) % len(sizes)]
        self._places = in_sight[: self.panes]
        if self.at is not None and self.at not in self._places:
            self._places[-1:] = [self.at]
        self._fill()
        return len(sizes) > 1

    def close(self, key: SessionKey) -> None:
        """Closes a tab. The pane or tab beside it is spoken to, when it was this one."""
        if key not in self.tabs:
            return
        index, place = self.tabs.index(key), self._places.index(key) if key in self._places else None
        self.tabs.remove(key)
        if place is not None:
            self._places.pop(place)
        if self.at == key:
            beside = self._places or self.tabs
            near = place if beside is self._places else index
            self.at = beside[min(near or 0, len(beside) - 1)] if beside else None
        self._fill()

    def rename(self, old: SessionKey, new: SessionKey) -> None:
        """A tab whose session has got another name. Where that one is open already, the two become one."""
        if old not in self.tabs or old == new:
            return
        if new in self.tabs:
            was_at = self.at == old
            self.close(old)
            if was_at:
                self.go_to(new)
            return
        self.tabs[self.tabs.index(old)] = new
        if old in self._places:
            self._places[self._places.index(old)] = new
        if self.at == old:
            self.at = new

    def _fill(self) -> None:
        """No pane stays empty while there is a tab for it."""
        self._places = self._places[: self.panes]
        if self.at is not None and self.at not in self._places:
            self._places[-1:] = [self.at]
        hidden = [key for key in self.tabs if key not in self._places]
        self._places += hidden[: self.panes - len(self._places)]
