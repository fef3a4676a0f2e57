"""The bundled CLI's running total of costs, through graceful ends, kills and resumes."""

from __future__ import annotations

import os
import signal

import psutil
import pytest

from supervisor.api.outcomes import Done
from supervisor.api.prompts import Prompt
from tests.acceptance.conftest import House, Open
from tests.waiting import until

pytestmark = pytest.mark.anyio


async def cost_of(house: House, text: str) -> float:
    ticket = await house.supervisor.submit(Prompt("desk", text, user="ana"))
    outcome = await ticket.outcome()
    assert isinstance(outcome, Done)
    return outcome.usage.cost_usd


async def test_a_turn_costs_what_it_costs_whatever_ended_the_client_before_it(open_house: Open) -> None:
    """The first turns are dear: booked again after a kill, they would show."""
    dear = "[[stream: 400 words, 0]]"
    cheap = "[[say: yes]]"
    costs: list[float] = []
    async with open_house(state="kept") as house:
        supervisor = house.supervisor
        costs += [await cost_of(house, dear), await cost_of(house, dear)]
        await supervisor.hibernate((await supervisor.snapshot()).sessions[0].key)
        await until(lambda: not supervisor.view.snapshot().clients, within=30)
        costs.append(await cost_of(house, cheap))
        (pid,) = house.pids
        os.kill(pid, signal.SIGKILL)
        await until(lambda: not supervisor.view.snapshot().clients, within=30)
        costs += [await cost_of(house, cheap), await cost_of(house, cheap)]
        (pid,) = house.pids
        psutil.Process(pid).kill()
        await until(lambda: not supervisor.view.snapshot().clients, within=30)
        costs.append(await cost_of(house, cheap))
        booked = (await supervisor.snapshot()).sessions[0].usage.cost_usd
    async with open_house(state="kept") as house:
        costs.append(await cost_of(house, cheap))
    assert max(costs[2:]) < min(costs[:2]) / 2, costs
    assert booked == pytest.approx(sum(costs[:-1]))
