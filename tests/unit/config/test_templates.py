"""Templates: what loads, what is refused, and in which words."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.api.errors import ConfigurationError
from supervisor.api.states import Archetype
from supervisor.config.limits import PoolLimits, QueueLimits
from supervisor.config.templates import Template, load_template, load_templates, shipped_templates, without_effect

REVIEWER = """\
---
name: reviewer
description: Use this agent after code was written: it reviews. Examples: <example>Context: done #1\\nuser: go</example>
tools: Read, Grep, Agent(worker, researcher), Bash(git diff:*)
disallowedTools: [Write]
model: inherit
permissionMode: plan
mcpServers:
  - github
  - tracker: {type: stdio, command: tracker}
skills: style, tests
maxTurns: 12
hooks:
  PreToolUse: [{matcher: Bash, hooks: [{type: command, command: check}]}]
memory: project
background: true
effort: high
isolation: worktree
initialPrompt: Begin.
color: cyan
---

You review code.
"""


def write(folder: Path, text: str, name: str = "agent.md") -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


def with_keys(*lines: str) -> str:
    return "\n".join(["---", "name: agent", "description: Helps.", *lines, "---", "You help.", ""])


def mistakes_in(path: Path) -> list[str]:
    with pytest.raises(ConfigurationError) as raised:
        load_template(path)
    return raised.value.mistakes


def test_a_plain_sub_agent_file_loads_unchanged_as_a_service_with_one_turn_at_a_time(tmp_path: Path) -> None:
    """S1.6-10: concurrency defaults to one. The description, not valid YAML, is read as Claude Code reads it."""
    path = write(tmp_path, REVIEWER, "reviewer.md")

    template = load_template(path)

    assert (template.name, template.archetype, template.concurrency.max_sessions) == ("reviewer", "service", 1)
    assert template.description.startswith("Use this agent after code was written: it reviews. Examples:")
    assert template.tools == ("Read", "Grep", "Agent(worker, researcher)", "Bash(git diff:*)")
    assert template.disallowed_tools == ("Write",)
    assert template.model is None
    assert template.skills == ("style", "tests")
    assert template.mcp_servers == {"tracker": {"type": "stdio", "command": "tracker"}}
    assert (template.system_prompt, template.path) == ("You review code.", path)
    assert [line.split(": ")[1] for line in without_effect(path)] == [
        f"{key} has no effect in bullpen" for key in ("memory", "background", "isolation", "initialPrompt", "color")
    ]


def test_an_unknown_key_is_refused_with_file_line_key_and_the_nearest_valid_one(tmp_path: Path) -> None:
    """S1.13, to the letter."""
    path = write(tmp_path, with_keys("tools: Read", "", "concurrency:", "  maxConcurrentSessions: 3"), "helpdesk.md")

    assert mistakes_in(path) == [
        "helpdesk.md:7: concurrency.maxConcurrentSessions is not a key; did you mean maxSessions?"
    ]


@pytest.mark.parametrize(
    ("written", "suggestion"),
    [
        ("max_turns: 3", "did you mean maxTurns?"),
        ("disallowed-tools: Read", "did you mean disallowedTools?"),
        ("colour: red", "did you mean color?"),
        ("maxSessions: 3", "did you mean concurrency.maxSessions?"),
        ("queue: {idleTtl: 3}", "did you mean pool.idleTtl?"),
        ("concurrency: {zzz: 3}", "the keys here are maxSessions"),
        ("allowedTools: Read", "did you mean tools?"),
        ("allowed-tools: Read", "did you mean tools?"),
        ("mode: plan", "did you mean permissionMode?"),
    ],
)
def test_the_suggestion_is_where_the_key_was_meant_to_be(tmp_path: Path, written: str, suggestion: str) -> None:
    """S1.13; only camelCase is spelled in files."""
    [mistake] = mistakes_in(write(tmp_path, with_keys(written)))

    assert mistake.startswith("agent.md:4: ")
    assert suggestion in mistake


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ("concurrency: {maxSessions: three}", "concurrency.maxSessions must be a whole number, not 'three'"),
        ("concurrency: {maxSessions: true}", "concurrency.maxSessions must be a whole number, not true"),
        ("concurrency: {maxSessions: 0}", "concurrency.maxSessions must be at least 1, not 0"),
        ("concurrency: 3", "concurrency must be a mapping of keys, not 3"),
        ("archetype: servant", "archetype must be tool, employee or service, not 'servant'"),
        ("queue: {maxWait: soon}", "queue.maxWait must be a length of time such as 30, 30s, 5m, 2h or 7d, not 'soon'"),
        (
            "pool: {askingTtl: soon}",
            "pool.askingTtl must be a length of time such as 30, 30s, 5m, 2h or 7d, not 'soon'",
        ),
        (
            "pool: {softMemory: lots}",
            "pool.softMemory must be an amount of memory such as 800MiB, 2GiB or 10%, or none, not 'lots'",
        ),
        ("pool: {memoryBudget: 10MiB}", "pool.memoryBudget must be at least 64MiB, not '10MiB'"),
        ("pool: {softMemory: 3GiB}", "pool.softMemory is 3GiB, more than pool.hardMemory (2GiB)"),
        ("pool: {hardMemory: 800MiB}", "pool.hardMemory is 800MiB, less than pool.softMemory (1GiB)"),
        ("pool: {hardMemory: none, softMemory: 5GiB}", "pool.softMemory is 5GiB, more than pool.panicMemory (4GiB)"),
        ("turnTimeout: 0", "turnTimeout must be more than 0, not 0"),
        ("tools: [Read, [Write]]", "tools[1] must be text, not a list"),
        ("autoStart: perhaps", "autoStart must be true or false, not 'perhaps'"),
        ("workspace: ''", "workspace must not be empty"),
        ("mcpServers: [3]", "mcpServers must list names or servers, not 3"),
        ("pool: {spares: 2}", "pool.spares is 2, more than the pool may hold (1; see pool.maxClients)"),
        (
            "archetype: employee\nconcurrency: {maxSessions: 2}",
            "concurrency.maxSessions must be 1 for archetype employee; only a service has more",
        ),
    ],
)
def test_a_wrong_value_is_refused_in_plain_words(tmp_path: Path, written: str, sentence: str) -> None:
    [mistake] = mistakes_in(write(tmp_path, with_keys(written)))

    assert mistake.split(": ", 1)[1] == sentence


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("You help.", "agent.md:1: does not begin with front matter: keys between two lines of ---"),
        ("---\nname: a\n", "agent.md:1: has front matter without an end: a second line of --- is missing"),
        ("---\n- a\n---\n", "agent.md:2: must hold keys with values between the two lines of ---"),
        ("---\nname: a\ntools: [Read\n---\n", "agent.md:3: is not valid YAML: "),
        (
            "---\nname: a\npool:\n  spares: 1\n   maxClients: 2\n---\n",
            "agent.md:5: is not valid YAML: mapping values are not allowed here: this line is indented otherwise",
        ),
        ("---\nname: a\ndescription: \x01\n---\n", "agent.md:3: is not valid YAML: it holds the control"),
        ("---\nname: a\n? {x: y}\n: z\n---\n", "agent.md:3: is not valid YAML: "),
        ("---\nname: a\nname: b\ndescription: c\n---\n", "agent.md:3: name is written twice"),
        ("---\nname: a\n---\n", "agent.md:1: description is missing"),
        ("---\n---\n", "agent.md:1: description is missing"),
        ("---\nname: -x\ndescription: d\n---\n", "agent.md:2: name must not begin with -"),
        ("---\nname: 'a:b'\ndescription: d\n---\n", "agent.md:2: name must not hold a colon"),
        ("---\nname: ' '\ndescription: d\n---\n", "agent.md:2: name must not be empty"),
        (
            '---\nname: "a\\e[31m"\ndescription: d\n---\n',
            "agent.md:2: name must be characters that can be seen, and holds ⟨ESC⟩",
        ),
        (f"---\nname: {'x' * 257}\ndescription: d\n---\n", "agent.md:2: name has 257 characters; at most 256"),
        ("---\nname: a\ndescription: d\n---\nBo\0dy", "agent.md:5: is no text: it holds a NUL character"),
    ],
)
def test_a_file_that_is_no_template_says_where_and_why(tmp_path: Path, text: str, mistake: str) -> None:
    assert mistakes_in(write(tmp_path, text))[0].startswith(mistake)


def test_text_in_another_encoding_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "agent.md"
    path.write_bytes("---\nname: agent\ndescription: Aufträge\n---\n".encode("latin-1"))

    assert mistakes_in(path) == ["agent.md:3: is not UTF-8 text"]


def test_byte_order_mark_and_line_ends_of_other_systems_make_no_difference(tmp_path: Path) -> None:
    plain = load_template(write(tmp_path, with_keys("maxTurns: 3"), "plain.md"))
    path = tmp_path / "windows.md"
    path.write_bytes(b"\xef\xbb\xbf" + with_keys("maxTurns: 3").replace("\n", "\r\n").encode())

    assert load_template(path).model_copy(update={"path": plain.path}) == plain
    path.write_bytes(b"\xef\xbb\xbf" + with_keys("maxTurn: 3").replace("\n", "\r\n").encode())
    assert mistakes_in(path) == ["windows.md:4: maxTurn is not a key; did you mean maxTurns?"]


def test_aliases_of_aliases_are_read_without_being_unfolded(tmp_path: Path) -> None:
    """Thirty levels of two are a billion leaves."""
    levels = [f"  a{n}: &a{n} [{f'*a{n - 1}, *a{n - 1}' if n else 'x'}]" for n in range(30)]

    template = load_template(write(tmp_path, with_keys("hooks:", *levels)))

    assert isinstance(template.hooks, dict)
    assert len(template.hooks) == 30


def test_keys_left_empty_keep_their_defaults(tmp_path: Path) -> None:
    template = load_template(write(tmp_path, with_keys("tools:", "pool:", "  # spares: 3", "queue:", "  maxWait:")))

    assert template.tools == (), "left empty it is no tool, as in Claude Code"
    assert template.spares_wanted == 0
    assert template.max_wait == 30


def test_no_tools_and_all_tools_are_told_apart(tmp_path: Path) -> None:
    assert load_template(write(tmp_path, with_keys("tools: []"))).tools == ()
    assert load_template(write(tmp_path, with_keys("tools: '*'"))).tools is None


def test_all_mistakes_of_all_files_come_at_once(tmp_path: Path) -> None:
    write(tmp_path, with_keys("model: 3", "maxTurns: no"), "a.md")
    write(tmp_path, "no front matter", "b.md")
    write(tmp_path, with_keys(), "c.md")
    write(tmp_path, with_keys(), "d.md")
    write(tmp_path, "# The templates of this bullpen", "README.md")

    with pytest.raises(ConfigurationError) as raised:
        load_templates(tmp_path)

    found = ["a.md:2", "a.md:4", "a.md:5", "c.md:2", "d.md:2"]
    assert [mistake.split(": ")[0] for mistake in raised.value.mistakes] == found
    assert raised.value.mistakes[-1] == "d.md:2: name agent is also used by a.md, c.md: neither runs"


def test_a_folder_without_templates_is_a_mistake(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(ConfigurationError, match=str(folder)):
            load_templates(folder)


@pytest.mark.parametrize(
    ("archetype", "max_wait", "turn_timeout"), [("tool", 30, 300), ("employee", None, 600), ("service", 30, None)]
)
def test_the_archetype_decides_the_time_outs_unless_the_template_does(
    archetype: str, max_wait: float | None, turn_timeout: float | None
) -> None:
    """S1.28, S2.25."""
    plain = Template(name="a", description="d", archetype=Archetype(archetype))
    told = Template(
        name="a",
        description="d",
        archetype=Archetype(archetype),
        queue=QueueLimits.model_validate({"maxWait": "2m"}),
        turn_timeout=7,
    )
    unlimited = Template.model_validate(
        {"name": "a", "description": "d", "archetype": archetype, "queue": {"maxWait": "none"}, "turnTimeout": "none"}
    )

    assert (plain.max_wait, plain.turn_timeout) == (max_wait, turn_timeout)
    assert (told.max_wait, told.turn_timeout) == (120, 7)
    assert (unlimited.max_wait, unlimited.turn_timeout) == (None, None)


def test_spares_are_kept_where_a_session_more_is_likely() -> None:
    def spares(archetype: Archetype, pool: PoolLimits) -> int:
        return Template(name="a", description="d", archetype=archetype, pool=pool).spares_wanted

    assert spares(Archetype.SERVICE, PoolLimits()) == 0
    assert spares(Archetype.SERVICE, PoolLimits(max_clients=2)) == 1
    assert spares(Archetype.EMPLOYEE, PoolLimits(max_clients=2)) == 0
    assert spares(Archetype.TOOL, PoolLimits(max_clients=2, spares=2)) == 2


def test_the_shipped_templates_are_what_was_promised() -> None:
    """S2.25: helpdesk 3, admin 2; one template of each archetype; nothing is written without asking."""
    shipped = {template.name: template for template in load_templates(shipped_templates())}

    assert {name: (str(it.archetype), it.concurrency.max_sessions) for name, it in shipped.items()} == {
        "helpdesk": ("service", 3),
        "admin": ("service", 2),
        "clerk": ("employee", 1),
        "lookup": ("tool", 1),
    }
    assert shipped["helpdesk"].max_wait == shipped["admin"].max_wait == 30
    assert shipped["lookup"].model == "haiku"
    assert {template.permission_mode for template in shipped.values()} == {"default"}
    assert all(len(template.system_prompt) > 500 and template.tools for template in shipped.values())
