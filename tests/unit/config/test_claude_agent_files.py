"""Sub-agent files as people have them: what Claude Code loads loads here, with the same meaning."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from supervisor.api.errors import ConfigurationError
from supervisor.config.loading import load_for
from supervisor.config.restrictions import missing_skills
from supervisor.config.settings import Settings, load_settings
from supervisor.config.template import Template
from supervisor.config.template_file import TemplateReading, read_template
from supervisor.config.template_folder import TemplateFile
from supervisor.config.templates import load_templates, read_templates

BODY = "You help."


def read(folder: Path, text: str | bytes, name: str = "agent.md") -> TemplateReading:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_template(TemplateFile(path, name))


def front(*lines: str, name: str = "agent") -> str:
    return "\n".join(["---", f"name: {name}", *lines, "---", BODY, ""])


def taken(folder: Path, *lines: str) -> Template:
    reading = read(folder, front(*lines))
    assert not reading.mistakes
    assert reading.template is not None
    return reading.template


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("@name does it", "@name does it"),
        ("% of it", "% of it"),
        ("**bold** text", "**bold** text"),
        ("[alpha] does things", "[alpha] does things"),
        ("`code` does", "`code` does"),
        ("{curly} things", "{curly} things"),
        (", comma", ", comma"),
        ("> quoted", "> quoted"),
        ('"Fast" answers: always short', '"Fast" answers: always short'),
        ("'Fast' answers: short", "'Fast' answers: short"),
        ("Use this: when x: y", "Use this: when x: y"),
        ("it's fine: really", "it's fine: really"),
        ("!important thing", "thing"),
        ("&anchor text", "text"),
        ("!!python/object:os.system x", "x"),
        ("text # comment", "text"),
        (r"a\nb: c", r"a\nb: c"),
        ("a\u2028b", "a\u2028b"),
        ("\ttabbed", "tabbed"),
        ("on", "on"),
        ("yes", "yes"),
        ("1:30", "1:30"),
        ("2024-01-01", "2024-01-01"),
        ("0755", "0755"),
        ("1.0", "1.0"),
        ("true", "true"),
        ("1_000", "1_000"),
        (".nan", ".nan"),
        ("1e999", "1e999"),
    ],
)
def test_a_value_is_the_text_that_claude_code_reads(tmp_path: Path, written: str, text: str) -> None:
    """Measured with `claude --agent`; where YAML 1.1 and 1.2 disagree, what is written is what is meant."""
    template = taken(tmp_path, f"description: {written}", "tools: Read")

    assert (template.description, template.tools) == (text, ("Read",))


@pytest.mark.parametrize(
    ("written", "tools"),
    [
        ("tools: *", None),
        ('tools: "*, Read"', None),
        ("tools: Read, *", None),
        ('tools: ["*"]', None),
        ("description: d", None),
        ("tools:", ()),
        ('tools: ""', ()),
        ("tools: []", ()),
        ("tools: null", ()),
        ("tools: false", ()),
        ("tools: 5", ()),
        ("tools: {Read: true}", ()),
        ('tools: " , , "', ()),
        ("tools: Read Grep", ("Read", "Grep")),
        ("tools: Read, Grep,", ("Read", "Grep")),
        ("tools: Read, Grep # only these", ("Read", "Grep")),
        ('tools: ["Read, Grep"]', ("Read", "Grep")),
        ("tools:\n\t- Read\n\t- Grep", ("Read", "Grep")),
        ("tools:\n\t- Read\n  - Grep", ("Read", "Grep")),
        ("tools:\tRead", ("Read",)),
        ("tools:\n-\tRead", ("Read",)),
        ("tools:\n  -\n  - Read", ("Read",)),
        ("tools: |\n  Read\n  Grep", ("Read\nGrep",)),
        ("tools: Agent(a, b), Read, Bash(git:*)", ("Agent(a, b)", "Read", "Bash(git:*)")),
        ("tools: Bash (git:*), Read", ("Bash(git:*)", "Read")),
        ("tools: Bash(npm run test:*), Read", ("Bash(npm run test:*)", "Read")),
    ],
)
def test_tools_are_those_that_claude_code_reads(tmp_path: Path, written: str, tools: tuple[str, ...] | None) -> None:
    """Written and naming none is none: never all."""
    lines = [written] if written.startswith("description") else ["description: d", written]

    assert taken(tmp_path, *lines).tools == tools


@pytest.mark.parametrize(
    ("text", "body"),
    [
        ("---  \nname: agent\ndescription: d\n--- \t\nBody", "Body"),
        ("---\n\n\nname: agent\ndescription: d\n---\nBody", "Body"),
        ("---\nname: agent\ndescription: d\n-----\nBody", "--\nBody"),
        ("---\nname: agent\ndescription: d\n ---\nBody", "Body"),
        ("---\nname: agent\ndescription: d\n---\nBody\n---\nmore\n", "Body\n---\nmore"),
        ("---\nname: agent\ndescription: d\n---", ""),
        ("---\r\nname: agent\r\ndescription: d\r\n---\r\nBody\r\nline2\r\n", "Body\r\nline2"),
        ("\ufeff---\nname: agent\ndescription: d\n---\nBody", "Body"),
        ("---\nname: agent\ndescription: d\n---\n\n\n  indented\nx  \n\n", "indented\nx"),
        ("---\n\tname: agent\n\tdescription: d\n---\nBody", "Body"),
        ('---\n{"name": "agent", "description": "d"}\n---\nBody', "Body"),
    ],
)
def test_fences_and_line_ends_are_those_of_claude_code(tmp_path: Path, text: str, body: str) -> None:
    reading = read(tmp_path, text)

    assert (reading.mistakes, reading.template and reading.template.system_prompt) == ((), body)


@pytest.mark.parametrize(
    "name",
    [
        "Report Writer",
        "code.reviewer",
        "snake_case",
        "UPPER",
        "日本語",
        "Привет мир",
        "émile",
        "a/b",
        "../up",
        "on",
        "1.5",
        "👩‍💻",
    ],
)
def test_every_name_that_claude_code_takes_works_and_has_a_safe_slug(tmp_path: Path, name: str) -> None:
    template = read(tmp_path, front("description: d", name=name)).template

    assert template is not None
    assert template.name == name
    assert template.slug.isascii()
    assert template.slug.replace("-", "").isalnum()
    assert template.slug == template.slug.lower()
    assert len(template.slug) <= 64


def test_different_names_have_different_slugs_and_plain_names_are_their_own() -> None:
    names = [
        "report-writer",
        "Report Writer",
        "report writer",
        "report.writer",
        "日本",
        "本日",
        "a" * 64,
        "a" * 65,
        "\u00e9",
        "e\u0301",
    ]
    names += [Template(name="Report Writer", description="d").slug]

    assert len({Template(name=name, description="d").slug for name in names}) == len(names)
    assert Template(name="report-writer", description="d").slug == "report-writer"


def test_an_instance_is_changed_by_its_name_in_a_file_and_by_its_slug_in_a_variable(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text(front("description: d", name="Code.Reviewer 日"))
    toml = tmp_path / "bullpen.toml"
    toml.write_text(
        '[instances."Code.Reviewer 日"]\nidleTtl = 3\n[instances."Code.Reviewer 日".queue]\nmaxWaiting = 7\n'
    )
    slug = Template(name="Code.Reviewer 日", description="d").slug.upper().replace("-", "_")

    with pytest.raises(ConfigurationError, match=r"bullpen.toml:2: instances\.Code\.Reviewer 日\.idleTtl is not a key"):
        load_settings(toml, environ={}, templates_dir=tmp_path)
    toml.write_text(toml.read_text().replace("idleTtl = 3", "turnTimeout = 3"))
    environ = {f"BULLPEN_{slug}_MAX_WAITING": "9"}
    (template,) = load_for(load_settings(toml, environ=environ, templates_dir=tmp_path)).templates

    assert (template.turn_timeout, template.queue.max_waiting) == (3, 9)


def test_keys_of_other_programs_are_noted_and_near_misses_of_ours_are_mistakes(tmp_path: Path) -> None:
    foreign = ["category: x", 'emoji: "*"', "version: 1.0", "mode: subagent", "temperature: 0.1", "tags: [a]", "3: x"]
    reading = read(tmp_path, front("description: d", *foreign))

    assert reading.mistakes == ()
    assert [line for line, _ in reading.notes] == [4, 5, 6, 7, 8, 9, 10]
    assert reading.notes[0][1] == "category is not a key here: it has no effect"
    for wrong in ("allowedTools: Read", "tool: Read", "max-turns: 3", "permissionmode: plan", "mode: plan"):
        assert read(tmp_path, front("description: d", wrong)).mistakes, wrong


def test_what_has_no_effect_and_what_is_not_known_is_noted(tmp_path: Path) -> None:
    lines = [
        "description: d",
        "color: red",
        "triggers: {a: b}",
        "provider: x",
        "tools: Raed, Grep",
        "mcpServers: {wiki: {command: wiki}}",
        "workspace: nowhere",
    ]
    notes = [sentence for _, sentence in read(tmp_path, front(*lines)).notes]

    assert notes == [
        "color has no effect in bullpen",
        "tools: there is no tool 'Raed'; did you mean Read?",
        "tools names no tool of the MCP server wiki: the agent has none of them; mcp__wiki gives all",
        f"workspace {tmp_path / 'nowhere'} does not exist; it is made when the first client starts",
    ]


def test_keys_that_claude_code_does_not_see_are_noted_with_the_line_where_it_stops(tmp_path: Path) -> None:
    reading = read(tmp_path, front("description: first --- then", "permissionMode: bypassPermissions"))
    assert reading.template is not None
    assert reading.template.permission_mode == "bypassPermissions"
    (note,) = reading.note_lines()
    assert note.startswith("agent.md:3: holds three dashes")
    assert not read(tmp_path, front("description: first -- then")).note_lines()


def test_one_bad_file_is_named_and_the_others_run(tmp_path: Path) -> None:
    (tmp_path / "good.md").write_text(front("description: d", name="good"))
    (tmp_path / "bad.md").write_text(front("description: d", "maxTurns: no", name="bad"))
    (tmp_path / "notes.md").write_text("# Only a note\n")
    (tmp_path / "README.md").write_text("# Read me\n")

    loaded = load_for(Settings(state_dir=tmp_path / "state", templates_dir=tmp_path))

    assert [template.name for template in loaded.templates] == ["good"]
    assert loaded.left_out == ("bad.md:4: maxTurns must be a whole number, not 'no'",)
    assert loaded.files_left_out == 1
    assert loaded.notes == ("notes.md:1: does not begin with front matter: keys between two lines of ---",)


def test_of_files_with_one_name_both_are_named_and_neither_runs(tmp_path: Path) -> None:
    for file, name in (("a.md", "twin"), ("b.md", "twin"), ("c.md", "other")):
        (tmp_path / file).write_text(front("description: d", name=name))

    loaded = load_for(Settings(state_dir=tmp_path / "state", templates_dir=tmp_path))

    assert [template.name for template in loaded.templates] == ["other"]
    assert loaded.left_out == (
        "a.md:2: name twin is also used by b.md: neither runs",
        "b.md:2: name twin is also used by a.md: neither runs",
    )


def test_all_kinds_of_mistakes_come_in_one_round(tmp_path: Path) -> None:
    lines = ["description: d", "maxTurns: no", "pool: {spares: 5}", "env: {T: 'env:NOWHERE_SET'}"]
    (tmp_path / "bad.md").write_text(front(*lines))

    with pytest.raises(ConfigurationError) as raised:
        load_for(Settings(state_dir=tmp_path / "state", templates_dir=tmp_path))

    assert [mistake.split(": ")[0] for mistake in raised.value.mistakes] == ["bad.md:4", "bad.md:5", "bad.md:6"]


def test_a_settings_file_may_still_name_the_instance_of_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "good.md").write_text(front("description: d", name="good"))
    (tmp_path / "bad.md").write_text("---\nname: bad\n")
    settings = load_settings(environ={"BULLPEN_BAD_SPARES": "1"}, templates_dir=tmp_path)

    assert [template.name for template in load_for(settings).templates] == ["good"]


def test_folders_below_links_and_plugins_are_read_as_claude_code_reads_them(tmp_path: Path) -> None:
    """Links are followed and loops end, each file once; of a plugin and of `.claude` only the agents, README or not."""
    for way in (
        "top.md",
        ".hidden.md",
        "README.md",
        "sub/deep/low.md",
        "node_modules/x/dep.md",
        "folder.md/inside.md",
        ".claude/agents/own.md",
        ".claude/skills/s/SKILL.md",
        ".git/no.md",
        "E.MD",
        "plug/agents/pa.md",
        "plug/agents/sub/pb.md",
        "plug/skills/s/SKILL.md",
        "plug/README.md",
    ):
        path = tmp_path / "agents" / way
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(front("description: d", "permissionMode: bypassPermissions", name=path.stem))
    plugin = tmp_path / "agents/plug"
    (plugin / ".claude-plugin").mkdir()
    (plugin / ".claude-plugin/plugin.json").write_text('{"name": "plug"}')
    (plugin / "agents/bare.md").write_text("Just a prompt.")
    (tmp_path / "agents/link.md").symlink_to(tmp_path / "agents/top.md")
    (tmp_path / "agents/loop").symlink_to(tmp_path / "agents")

    templates = {template.name: template for template in load_templates(tmp_path / "agents")}

    assert sorted(templates) == sorted(
        ["top", ".hidden", "README", "low", "dep", "inside", "own", "plug:pa", "plug:sub:pb", "plug:bare"]
    )
    assert templates["plug:pa"].permission_mode == "default", "a plugin's agent decides nothing of that"
    assert templates["top"].permission_mode == "bypassPermissions"
    assert templates["plug:bare"].system_prompt == "Just a prompt."
    assert [one.name for one in load_templates(plugin)] == ["plug:bare", "plug:pa", "plug:sub:pb"]


def test_a_plugin_that_lists_its_agents_has_these_and_no_others(tmp_path: Path) -> None:
    manifest = tmp_path / "agents/plug/.claude-plugin/plugin.json"
    for way in ("top.md", "more/m.md", "agents/in.md", "../out.md"):
        path = tmp_path / "agents/plug" / way
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(front("description: d", name=path.stem))
    manifest.parent.mkdir()

    def names(agents: str) -> list[str]:
        manifest.write_text(f'{{"name": "plug", "agents": {agents}}}')
        readings = read_templates(tmp_path / "agents")
        return sorted(reading.template.name for reading in readings if reading.template is not None)

    assert names('["./top.md", "./more/m.md"]') == ["out", "plug:m", "plug:top"]
    assert names('"./top.md"') == ["out", "plug:top"]
    assert names("[]") == ["out"]
    manifest.write_text('{"name": "plug", "agents": ["../out.md", "./nope.md", "./top.md"]}')
    mistakes = [line for reading in read_templates(tmp_path / "agents") for line in reading.mistake_lines()]
    guard = "{PreToolUse: [{hooks: [{type: command, command: x}]}]}"
    (tmp_path / "agents/plug/top.md").write_text(front("description: d", f"hooks: {guard}", name="top"))
    (told,) = [one.mistake_lines() for one in read_templates(tmp_path / "agents") if one.file.path.name == "top.md"]
    assert told == [
        "plug/top.md:4: hooks of a plugin's agent are not run: remove them, or copy the file out of the plugin"
    ]
    assert mistakes == [
        "plug/.claude-plugin/plugin.json:1: agents: there is no '../out.md' in the plugin",
        "plug/.claude-plugin/plugin.json:1: agents: there is no './nope.md' in the plugin",
    ]


def test_what_is_no_file_is_one_line_at_once(tmp_path: Path) -> None:
    (tmp_path / "good.md").write_text(front("description: d", name="good"))
    os.mkfifo(tmp_path / "fifo.md")
    (tmp_path / "device.md").symlink_to("/dev/zero")
    (tmp_path / "broken.md").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop.md").symlink_to("loop.md")
    (tmp_path / "round").symlink_to("round")
    (tmp_path / "work.md").write_text(front("description: d", "workspace: round", name="work"))
    manifest = tmp_path / "plug/.claude-plugin/plugin.json"
    manifest.parent.mkdir(parents=True)
    manifest.write_text(json.dumps({"name": "plug", "agents": ["./round.md", "\0", "x" * 5000]}))
    (tmp_path / "plug/round.md").symlink_to("round.md")
    with (tmp_path / "giant.md").open("wb") as giant:
        giant.truncate(100 * 1024**2)
    (tmp_path / "nul.md").write_bytes(b"---\nname: nul\ndescription: d\n---\nBo\0dy")
    bomb = "\n".join(f"  a{n}: &a{n} [{f'*a{n - 1}, *a{n - 1}' if n else 'x'}]" for n in range(40))
    (tmp_path / "bomb.md").write_text(front("description: d", f"mcpServers:\n{bomb}", name="bomb"))
    os.mkfifo(tmp_path / "secret")
    (tmp_path / "env.md").write_text(front("description: d", "env: {T: 'file:secret'}", name="env"))
    began = time.monotonic()

    loaded = load_for(Settings(state_dir=tmp_path / "state", templates_dir=tmp_path))

    assert time.monotonic() - began < 5
    assert [template.name for template in loaded.templates] == ["good"]
    assert [line.partition(":")[0] for line in loaded.left_out] == [
        *("bomb.md", "broken.md", "device.md", "env.md", "fifo.md", "giant.md", "loop.md", "nul.md", "work.md"),
        *["plug/.claude-plugin/plugin.json"] * 3,
        "round",
    ]
    assert "loop.md:1: cannot be read: Too many levels of symbolic links" in loaded.left_out


@pytest.mark.parametrize(
    "value", ["!!bool maybe", "!!int [a]", "!!float {a: b}", "!!map x", "!!seq x", "!!timestamp 99"]
)
def test_a_tag_that_does_not_fit_its_value_harms_its_file_alone(tmp_path: Path, value: str) -> None:
    reading = read(tmp_path, front("description: d", f"version: {value}"))

    assert reading.template is None or not reading.mistakes


@pytest.mark.parametrize(
    "line", [r'workspace: "\0"', "workspace: agent.md", f"workspace: {'x' * 5_000}", f"skills: {'x' * 5_000}"]
)
def test_a_way_that_leads_nowhere_harms_its_file_alone(tmp_path: Path, line: str) -> None:
    (tmp_path / "good.md").write_text(front("description: d", name="good"))
    (tmp_path / "agent.md").write_text(front("description: d", line))

    loaded = load_for(Settings(state_dir=tmp_path / "state", templates_dir=tmp_path))
    missing = [line for template in loaded.templates for line in missing_skills(template, {})]

    assert "good" in [template.name for template in loaded.templates]
    assert bool(loaded.left_out) is ("\\" in line or "agent.md" in line)
    assert bool(missing) is line.startswith("skills")


@pytest.mark.parametrize("number", [".nan", ".inf", "1e999", "-.inf"])
def test_a_number_that_json_does_not_know_never_reaches_the_settings_of_a_client(tmp_path: Path, number: str) -> None:
    """The CLI would not read the file, and with it no wall."""
    template = taken(tmp_path, "description: d", f"sandbox: {{x: [{number}]}}", f"mcpServers: {{a: {{x: {number}}}}}")

    json.dumps([template.sandbox, template.mcp_servers], allow_nan=False)


@pytest.mark.parametrize("word", ["yes", "on", "true", "True"])
def test_a_switch_is_on_in_every_spelling(tmp_path: Path, word: str) -> None:
    template = taken(tmp_path, "description: d", "tools: Bash", f"confine: {word}", f"sandbox: {word}", "autoStart: no")

    assert (template.confine, template.sandbox, template.auto_start) == (True, True, False)


def test_a_folder_of_notes_alone_has_no_templates(tmp_path: Path) -> None:
    (tmp_path / "note.md").write_text("# Note")

    with pytest.raises(ConfigurationError, match="there are no templates"):
        read_templates(tmp_path)


def test_a_prompt_reaches_the_template_byte_for_byte(tmp_path: Path) -> None:
    body = "# H\n<!-- c -->\n@file.md !`ls` $ARGUMENTS ${X}\n\ttab"

    assert read(tmp_path, f"---\nname: a\ndescription: d\n---\n{body}\n").template.system_prompt == body  # type: ignore[union-attr]
