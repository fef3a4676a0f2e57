"""What the dashboard knows of the engine: as much as the feed has told, and nothing that is gone."""

from __future__ import annotations

from msgspec.structs import replace

from tests.tui import stage, troubles
from tests.tui.stage import ANA, BEN
from tests.tui.stage_engine import StageEngine
from tests.waiting import at_once
from tui.engine_link.bridge import Bridge


def staged() -> tuple[StageEngine, Bridge]:
    engine = StageEngine()
    engine.put(stage.instance("helpdesk"), stage.client("helpdesk-1", ANA))
    for key in (ANA, BEN):
        engine.put(stage.session(key, offer=troubles.offer(key, "again")))
    bridge = Bridge(engine)
    at_once(bridge.open())
    return engine, bridge


def test_a_session_that_is_closed_takes_its_offer_out_of_the_inbox() -> None:
    """R2: it is told as gone, and has no row any more that could say so."""
    engine, bridge = staged()
    assert set(bridge.offers) == {ANA, BEN}
    del engine.sessions[ANA]
    engine.feed.touch_session(ANA)
    touched = bridge.refresh()
    assert set(bridge.offers) == set(bridge.sessions) == {BEN}
    assert [one.key for one in bridge.inbox()] == [BEN]  # type: ignore[union-attr]
    assert touched.offers
    assert touched.sessions == {ANA}


def test_an_offer_that_was_decided_leaves_the_inbox_and_its_session_stays() -> None:
    engine, bridge = staged()
    engine.put(replace(engine.sessions[BEN], offer=None))
    assert bridge.refresh().offers
    assert set(bridge.offers) == {ANA}
    assert set(bridge.sessions) == {ANA, BEN}
    engine.put(replace(engine.sessions[ANA], turns=9))
    assert not bridge.refresh().offers, "another change of the session is none of its offer"


def test_what_is_gone_leaves_every_table() -> None:
    engine, bridge = staged()
    engine.clients.clear()
    engine.instances.clear()
    engine.feed.touch_client("helpdesk-1")
    engine.feed.touch_instance("helpdesk")
    touched = bridge.refresh()
    assert (bridge.clients, bridge.instances) == ({}, {})
    assert (touched.clients, touched.instances) == ({"helpdesk-1"}, {"helpdesk"})
    assert not bridge.refresh(), "it is told once"


def test_a_reader_that_was_cut_begins_anew() -> None:
    engine, bridge = staged()
    bridge._feed._is_cut = True
    engine.sessions.clear()
    assert bridge.refresh().everything
    assert (bridge.sessions, bridge.offers) == ({}, {})
