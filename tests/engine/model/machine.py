"""All moves together."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.engine.model.agents import Agents
from tests.engine.model.callers import Callers
from tests.engine.model.operators import Operators
from tests.engine.model.recording import rule
from tests.engine.model.troubles import Troubles


class PoolModel(Callers, Agents, Operators, Troubles):
    """Each rule makes one move and lets the engine run for a while; the laws are looked at after each."""

    @rule(seconds=st.sampled_from([0.3, 1.5, 6.0]))
    def let_time_pass(self, seconds: float) -> None:
        self.stage.pass_time(seconds)
        self.listen()

    @rule(seconds=st.sampled_from([12.0, 31.0, 61.0, 300.0, 1_000.0, 40_000.0]))
    def suspend_the_machine(self, seconds: float) -> None:
        """All of it is due at once afterwards."""
        self.stage.suspend(seconds)
        self.listen()

    @rule(seconds=st.sampled_from([-7_200.0, -30.0, 7_200.0]))
    def set_the_wall_clock(self, seconds: float) -> None:
        self.stage.wall_offset += seconds
        self.go(None)
