"""Which agent a text is for: by what agents say of themselves, in any script, whatever stands in the text."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from supervisor.api.errors import NoAgentMatches
from supervisor.routing.index import Described, RoutingIndex, flatten_triggers
from supervisor.routing.router import Router
from supervisor.routing.words import words_of
from tui.cli.routing import show_route

DESK = Described("helpdesk", "First help for staff with devices and accounts", ("vpn", "password reset", "Drucker"))
CLERK = Described("clerk", "Keeps lists, books and schedules", ("remind me", "todo"))
JAPAN = Described("shuri", "プリンターの修理をします", ("印刷できない", "薬"))
CHINA = Described("it-zh", "处理打印机和网络问题", ("重置密码",))
KOREA = Described("doumi", "사내 프린터를 고칩니다", ("비밀번호",))
RUSSIA = Described("pomosch", "Помогает с принтерами и сетью")
INDIA = Described("sahayak", "प्रिंटर की मरम्मत")
ARABIA = Described("musaid", "إصلاح الطابعات")
THAI = Described("chuai", "ซ่อมเครื่องพิมพ์")
GREECE = Described("voithos", "Επισκευή εκτυπωτών")
ALL = (DESK, CLERK, JAPAN, CHINA, KOREA, RUSSIA, INDIA, ARABIA, THAI, GREECE)


@pytest.mark.parametrize(
    ("text", "agent"),
    [
        ("My VPN is down again", "helpdesk"),
        ("ＶＰＮ", "helpdesk"),
        ("der DRÜCKER geht nicht", "helpdesk"),
        ("please reset the password of ben", "helpdesk"),
        ("remind me of the meeting", "clerk"),
        ("what do the schedules say, by the book?", "clerk"),
        ("プリンターが壊れました", "shuri"),
        ("ﾌﾟﾘﾝﾀｰ", "shuri"),
        ("頭が痛いので薬をください", "shuri"),
        ("我的打印机坏了", "it-zh"),
        ("请帮我重置密码", "it-zh"),
        ("프린터가 고장났어요", "doumi"),
        ("비밀번호를 잊었어요", "doumi"),
        ("Принтер сломался", "pomosch"),
        ("मेरा प्रिंटर ख़राब है", "sahayak"),
        ("الطَّابِعات لا تعمل", "musaid"),
        ("เครื่องพิมพ์เสีย", "chuai"),
        ("ΕΠΙΣΚΕΥΉ", "voithos"),
        ("@clerk: what is on?", "clerk"),
    ],
)
def test_a_text_of_any_script_finds_its_agent(text: str, agent: str) -> None:
    """S4.route: case, width and diacritics are folded; scripts without spaces are read in pairs."""
    route = Router().choose(text, ALL)
    assert route.agent == agent, route
    assert route.score > 0
    assert route.reason


@pytest.mark.parametrize("text", ["hello there", "how are you?", "what is this", "です", "的", "…", "🙂", "12", "x"])
def test_what_no_agent_is_for_is_refused_with_the_agents_and_the_setting(text: str) -> None:
    """S4.route"""
    with pytest.raises(NoAgentMatches, match=r"clerk.*\[routing\] default"):
        Router().choose(text, ALL)


def test_the_default_takes_what_matches_none_and_nothing_else() -> None:
    router = Router()
    assert router.choose("hello", ALL, default="clerk") == router.choose("how are you", ALL, default="clerk")
    assert router.choose("hello", ALL, default="clerk").agent == "clerk"
    assert router.choose("vpn", ALL, default="clerk").agent == "helpdesk"
    with pytest.raises(NoAgentMatches, match="the default, gone, does not run"):
        router.choose("hello", ALL, default="gone")


def test_a_reason_names_what_was_found_and_where() -> None:
    route = Router().choose("password reset for my accounts, and remind me", ALL)
    assert route.reason == "its triggers name “password reset”; its description has “accounts”"
    assert [(one.agent, one.reason) for one in route.others] == [("clerk", "its triggers name “remind”")]


def test_a_trigger_weighs_more_than_a_description_and_a_whole_phrase_more_than_its_parts() -> None:
    described = Described("one", "all about tax forms")
    triggered = Described("two", "something else", ("tax",))
    phrase = Described("three", "nothing", ("tax forms",))
    found = RoutingIndex((described, triggered, phrase)).find("tax forms")
    assert [one.agent for one in found] == ["three", "two", "one"]


def test_equal_agents_are_chosen_by_name_whatever_order_they_come_in() -> None:
    """S4.route"""
    twins = [Described(name, "about printers") for name in ("zoe", "amy", "kim")]
    for agents in (twins, twins[::-1], twins[1:] + twins[:1]):
        route = Router().choose("printer", agents)
        assert route.agent == "amy"
        assert route.reason.endswith("(as well as kim, zoe: the first by name)")


def test_the_index_follows_the_agents_it_is_asked_about() -> None:
    router = Router()
    assert router.choose("vpn", ALL).agent == "helpdesk"
    assert router.choose("vpn", (*ALL[1:], Described("network", "x", ("VPN",)))).agent == "network"
    with pytest.raises(NoAgentMatches):
        router.choose("vpn", ALL[1:])
    assert router.choose("anything at all", (CLERK,)).reason == "there is no other agent"
    with pytest.raises(NoAgentMatches, match="there is none"):
        router.choose("vpn", ())


SYNTAX = ['"', '" OR "', "NEAR(vpn, 2)", "name:vpn", "vpn*", "^vpn", "-vpn", "{a b}: c", "'; DROP TABLE agents", "\0"]


@pytest.mark.parametrize("text", SYNTAX)
def test_nothing_in_a_text_is_syntax(text: str) -> None:
    """S4.route"""
    index = RoutingIndex(ALL)
    index.find(text)
    assert index.find("vpn")[0].agent == "helpdesk"
    assert RoutingIndex((Described(text or "x", text, (text,)), DESK)).find("vpn")


@given(st.text(max_size=200), st.lists(st.text(max_size=30), max_size=3))
def test_any_text_is_compared_with_any_agent(text: str, triggers: list[str]) -> None:
    index = RoutingIndex((Described("own", text[:50], tuple(triggers)), DESK))
    found = index.find(text)
    assert found == index.find(text)
    assert all(one.reason and "\n" not in one.reason for one in found)


@given(st.characters(codec="utf-8"))
def test_folding_any_character_leaves_words_that_fold_to_themselves(character: str) -> None:
    for word in words_of(f"a{character}b"):
        assert word
        assert words_of(word) == [word] or len(words_of(word)) <= len(word)


def test_a_megabyte_costs_no_more_than_its_two_ends() -> None:
    index = RoutingIndex(ALL)
    filler = " ".join(f"w{number}" for number in range(150_000))
    began = time.process_time()
    for text in (f"vpn {filler}", f"{filler} vpn"):
        assert index.find(text)[0].agent == "helpdesk"
    assert not index.find(f"{filler[:500_000]} vpn {filler[500_000:]}")
    assert time.process_time() - began < 1.0, "some milliseconds each"


def test_triggers_are_read_at_any_depth() -> None:
    written = {"words": ["vpn", 404, True, None], "more": {"de": "Drucker, Netz"}}
    assert flatten_triggers(written) == ("vpn", "404", "Drucker, Netz")
    assert flatten_triggers("vpn, printer") == ("vpn", "printer")
    assert flatten_triggers({}) == flatten_triggers(None) == ()


def test_the_example_of_the_page_is_what_the_command_says(capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[3] / "docs/providers.md").read_text("utf-8")
    written = re.search(r"```yaml\n(.*?)```", page, re.DOTALL)
    shown = re.search(r"\$ bullpen route \"(.*?)\"\n(.*?)```", page, re.DOTALL)
    assert written
    assert shown
    front = yaml.safe_load(written[1])
    desk = Described(front["name"], front["description"], flatten_triggers(front["triggers"]))
    show_route(Router().choose(shown[1], (desk, CLERK)), False)
    assert capsys.readouterr().out == shown[2]
