"""The bundled CLI's running total of costs, through graceful ends, kills and resumes."""

from __future__ import annotations

import os
import signal

import psutil
import pytest

from supervisor.api.outcomes import Done
from supervisor.api.prompts import Prompt
from tests.acceptance.conftest import Bullpen, Open
from tests.waiting import until

pytestmark = pytest.mark.anyio


async def cost_of(bullpen: Bullpen, text: str) -> float:
    ticket = await bullpen.supervisor.submit(Prompt("desk", text, user="ana"))
    outcome = await ticket.outcome()
    assert isinstance(outcome, Done)
    return outcome.usage.cost_usd


async def test_a_turn_costs_what_it_costs_whatever_ended_the_client_before_it(open_bullpen: Open) -> None:
    """The first turns are dear: booked again after a kill, they would show."""
    dear = "[[stream: 400 words, 0]]"
    cheap = "[[say: yes]]"
    costs: list[float] = []
    async with open_bullpen(state="kept") as bullpen:
        supervisor = bullpen.supervisor
        costs += [await cost_of(bullpen, dear), await cost_of(bullpen, dear)]
        await supervisor.hibernate((await supervisor.snapshot()).sessions[0].key)
        await until(lambda: not supervisor.view.snapshot().clients, within=30)
        costs.append(await cost_of(bullpen, cheap))
        (pid,) = bullpen.pids
        os.kill(pid, signal.SIGKILL)
        await until(lambda: not supervisor.view.snapshot().clients, within=30)
        costs += [await cost_of(bullpen, cheap), await cost_of(bullpen, cheap)]
        (pid,) = bullpen.pids
        psutil.Process(pid).kill()
        await until(lambda: not supervisor.view.snapshot().clients, within=30)
        costs.append(await cost_of(bullpen, cheap))
        booked = (await supervisor.snapshot()).sessions[0].usage.cost_usd
    async with open_bullpen(state="kept") as bullpen:
        costs.append(await cost_of(bullpen, cheap))
    assert max(costs[2:]) < min(costs[:2]) / 2, costs
    assert booked == pytest.approx(sum(costs[:-1]))
