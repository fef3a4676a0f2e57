"""Clients that sleep, as monitors are told of them."""

from __future__ import annotations

from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families

from supervisor import ClientWoken
from supervisor.gateway.documents import STATS_EXAMPLE
from supervisor.gateway.metrics import Metrics
from supervisor.gateway.monitoring import count_agents
from tests.tui.stage import resting
from tests.tui.stage_engine import MB, NOW


def test_a_dormant_client_counts_as_idle_and_a_waking_one_as_active() -> None:
    """S5.27: active and idle are all there are."""
    stats = count_agents(resting().picture())
    assert (stats["total_agents"], stats["active_agents"], stats["idle_agents"]) == (8, 4, 4)
    assert (stats["dormant_agents"], stats["waking_agents"]) == (3, 1)
    assert (stats["swap_bytes"], stats["swap_budget"]) == (133 * MB, 4_000 * MB)
    assert stats.keys() == STATS_EXAMPLE.keys()


def test_metrics_tell_of_states_swap_and_how_long_waking_took() -> None:
    metrics = Metrics()
    metrics.count([ClientWoken(at=NOW, instance="helpdesk", client="helpdesk-5", slept=410.0, seconds=0.19)])
    text = metrics.expose(resting().picture())[0].decode()
    families = {one.name: one for one in text_string_to_metric_families(text)}

    def of_helpdesk(name: str, **labels: str) -> float:
        wanted = {"instance": "helpdesk", **labels}
        return next(one.value for one in families[name].samples if one.labels == wanted and "_sum" not in one.name)

    assert of_helpdesk("bullpen_clients", state="dormant") == 2
    assert of_helpdesk("bullpen_clients", state="waking") == 1
    assert of_helpdesk("bullpen_client_swap_bytes") == 99 * MB
    assert of_helpdesk("bullpen_client_wake_seconds", le="0.1") == 0
    assert of_helpdesk("bullpen_client_wake_seconds", le="0.25") == 1
    assert families["bullpen_swap_budget_bytes"].samples[0].value == 4_000 * MB


def test_metrics_tell_of_the_client_that_is_worst_off_and_nothing_where_there_are_no_groups() -> None:
    """0 would say that all is well."""
    stage, metrics = resting(), Metrics()
    fourth, fifth = stage.clients["helpdesk-4"], stage.clients["helpdesk-5"]
    stage.put(replace(fourth, peak_bytes=400 * MB, pressure=2.5), replace(fifth, peak_bytes=300 * MB, pressure=12.5))

    def shown() -> dict[str, list[tuple[str, float]]]:
        families = text_string_to_metric_families(metrics.expose(stage.picture())[0].decode())
        return {one.name: [(each.labels["instance"], each.value) for each in one.samples]
                for one in families if "_memory_p" in one.name}  # fmt: skip

    assert shown() == {
        "bullpen_client_memory_peak_bytes": [("helpdesk", 400 * MB)],
        "bullpen_client_memory_pressure_share": [("helpdesk", 0.125)],
    }
    stage.put(fourth, fifth)
    assert not any(shown().values())
