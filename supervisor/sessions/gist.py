"""What a session is about, in two lines: the first words of its prompt, and the newest line of the reply."""

from __future__ import annotations

from supervisor.text.cleaning import one_line

ABOUT_LIMIT = 160
"""Characters of either line."""
TAIL = 640
"""Characters of the reply that are kept to find its newest line."""


class Gist:
    """Kept up to date as a session's events arrive. Costs the same however long the conversation is."""

    def __init__(self) -> None:
        self.about = ""
        """The first words of the latest prompt that began."""
        self.user = ""
        """Whose prompt that is: in a conversation that several users share, forgetting one of them clears it."""
        self._tail = ""
        self._is_whole = False
        """The block in the tail is complete: what comes next begins anew."""

    @property
    def latest(self) -> str:
        """The newest line of the reply that says something, without marks of Markdown; empty before the first."""
        lines = [line.strip() for line in self._tail.splitlines()]
        said = [line for line in lines if any(character.isalnum() for character in line)]
        if not said:
            return ""
        return one_line(said[-1].replace("**", "").replace("`", "").lstrip("#>*- "), ABOUT_LIMIT)

    def begin(self, prompt: str, user: str) -> None:
        """A turn begins: its prompt is what the session is about, and nothing has been replied to it."""
        self.about, self.user = one_line(prompt[: 4 * ABOUT_LIMIT], ABOUT_LIMIT), user
        self._tail, self._is_whole = "", False

    def stream(self, text: str) -> None:
        """A fragment of the block that is being written."""
        self._tail = ("" if self._is_whole else self._tail) + text[-TAIL:]
        self._tail, self._is_whole = self._tail[-TAIL:], False

    def close(self, text: str) -> None:
        """A block is complete; `text` is all of it."""
        self._tail, self._is_whole = text[-TAIL:], True

    def void(self) -> None:
        """The block that was being written is no part of the reply."""
        if not self._is_whole:
            self._tail = ""

    def restore(self, about: str, user: str, latest: str) -> None:
        """Takes over the gist that an earlier run recorded."""
        self.begin(about, user)
        self.close(latest)

    def clear(self) -> None:
        self.begin("", "")
