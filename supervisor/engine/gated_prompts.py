"""Prompts that stand before a gate: not accepted yet, in the order in which they came.

Gates are asked about all of them at once; they are accepted one after the other, within a session in the order in which
they came, also those about which no gate decides. Nothing of a prompt that is refused, or whose caller leaves, stays.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import anyio

from supervisor.api.errors import BullpenError, GateRefused, NotAccepting, RequestConflict
from supervisor.api.keys import SessionKey
from supervisor.api.prompts import Prompt


class _Standing:
    """One prompt that stands here under the name of a request."""

    def __init__(self, prompt: Prompt) -> None:
        self.prompt = prompt
        self.over = anyio.Event()
        self.refusal: GateRefused | None = None


class GatedPrompts:
    def __init__(self) -> None:
        self._lines: dict[SessionKey, deque[anyio.Event]] = {}
        self._requests: dict[tuple[str, str], _Standing] = {}
        self._counts: Counter[tuple[str, str]] = Counter()
        """By agent and user, and by agent with an empty user for all of them."""
        self._scopes: set[anyio.CancelScope] = set()
        self._is_closed = False

    def is_before(self, key: SessionKey) -> bool:
        """Whether a prompt of that session stands here: one that comes now comes after it."""
        return key in self._lines

    def count(self, agent: str, user: str = "") -> int:
        return self._counts[agent, user]

    def close(self) -> None:
        """Everything that stands here is refused."""
        self._is_closed = True
        for scope in self._scopes:
            scope.cancel()

    @asynccontextmanager
    async def stand(self, prompt: Prompt, key: SessionKey) -> AsyncIterator[anyio.Event]:
        """What is yielded is set when it is the prompt's turn to be accepted: wait for it. Raises `NotAccepting` when
        bullpen stops meanwhile."""
        if self._is_closed:
            raise NotAccepting("bullpen is stopping")
        mine = anyio.Event()
        line = self._lines.setdefault(key, deque())
        line.append(mine)
        if line[0] is mine:
            mine.set()
        places = ((prompt.agent, ""), (prompt.agent, prompt.user))
        for place in places:
            self._counts[place] += 1
        scope = anyio.CancelScope()
        self._scopes.add(scope)
        try:
            with scope:
                yield mine
            if scope.cancelled_caught:
                raise NotAccepting("bullpen is stopping")
        finally:
            self._scopes.discard(scope)
            for place in places:
                self._counts[place] -= 1
                if not self._counts[place]:
                    del self._counts[place]
            line.remove(mine)
            if line:
                line[0].set()
            else:
                del self._lines[key]

    @contextmanager
    def named(self, prompt: Prompt) -> Iterator[None]:
        """While the block runs, a second submission of the same request waits for what becomes of this one
        (`wait_for_twin`)."""
        if not prompt.request:
            yield
            return
        name = (prompt.user, prompt.request)
        standing = self._requests[name] = _Standing(prompt)
        try:
            yield
        except GateRefused as error:
            standing.refusal = error
            raise
        finally:
            del self._requests[name]
            standing.over.set()

    async def wait_for_twin(self, prompt: Prompt) -> bool:
        """Waits until a request of that name that stands here is through. False when there is none. Raises what became
        of it, and `RequestConflict` when it is another prompt."""
        standing = self._requests.get((prompt.user, prompt.request)) if prompt.request else None
        if standing is None:
            return False
        if standing.prompt != prompt:
            name = f"request {prompt.request!r} of {prompt.user}"
            raise RequestConflict(f"{name} is another prompt already: give this one a name of its own")
        await standing.over.wait()
        if standing.refusal is not None:
            raise _again(standing.refusal)
        return True


def _again(error: GateRefused) -> BullpenError:
    """Each caller gets an error of its own: a raised one holds the stack of its first raiser."""
    return GateRefused(str(error), gate=error.gate)
