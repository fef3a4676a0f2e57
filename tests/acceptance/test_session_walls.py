"""What one session's agent can reach of another's, on real Claude Code processes."""

from __future__ import annotations

import json
import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path

import anyio
import pytest

from supervisor.api.errors import AlreadyAnswered
from supervisor.api.keys import SessionKey
from supervisor.api.outcomes import Done, Failed, FailureKind
from supervisor.api.prompts import Prompt
from supervisor.api.questions import Allow
from supervisor.api.states import SessionState
from supervisor.claude.transcript_cut import find_transcript, project_name
from tests.acceptance.conftest import House, Open
from tests.acceptance.terminal import ROOT
from tests.waiting import until

pytestmark = pytest.mark.anyio

FILE_TOOLS = ["Read", "Write", "Grep", "Glob"]


async def say(house: House, text: str, user: str) -> str:
    outcome = await (await house.supervisor.submit(Prompt("desk", text, user=user))).outcome()
    assert isinstance(outcome, Done), outcome
    return outcome.text


async def use(house: House, tool: str, user: str, **arguments: object) -> str:
    """What the tool has returned; in `dontAsk`, whatever would be put to a human is refused."""
    return await say(house, f"[[tool: {tool} {json.dumps(arguments)}]]", user)


async def approved(house: House, tool: str, user: str = "ana", **arguments: object) -> str:
    """The same, with whatever is asked meanwhile allowed once."""
    async with anyio.create_task_group() as group:
        group.start_soon(_allow_all, house)
        text = await use(house, tool, user, **arguments)
        group.cancel_scope.cancel()
    return text


async def _allow_all(house: House) -> None:
    with await house.supervisor.watch() as feed:
        while True:
            for question in house.supervisor.view.snapshot().questions:
                with suppress(AlreadyAnswered):  # it is on its way to the agent
                    await house.supervisor.answer(question.id, Allow(), by="test")
            await feed.wait()
            feed.take()


def uuid_of(house: House, user: str) -> str:
    (row,) = [row for row in house.supervisor.view.snapshot().sessions if row.key.user == user]
    return row.session_uuid


def arguments_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()


async def hibernate(house: House, user: str) -> None:
    supervisor = house.supervisor
    key = SessionKey("desk", user, "default")

    def is_in(state: SessionState) -> bool:
        return any(row.key == key and row.state is state for row in supervisor.view.snapshot().sessions)

    await until(lambda: is_in(SessionState.IDLE), within=30)
    await supervisor.hibernate(key)
    await until(lambda: is_in(SessionState.HIBERNATED) and not supervisor.view.snapshot().clients, within=30)


async def test_agents_of_one_folder_share_its_files_and_nothing_of_their_conversations(
    open_house: Open, tmp_path: Path
) -> None:
    keys = {"workspace": "shared", "tools": FILE_TOOLS, "confine": False, "permissionMode": "dontAsk"}
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "plan.txt").write_text("the plan is quicksand")
    async with open_house(2, keys=keys) as house:
        await say(house, "[[echo]] my secret is marmalade", "ana")
        store = tmp_path / "claude" / "projects"
        transcript = find_transcript(tmp_path / "claude", uuid_of(house, "ana"))
        assert transcript is not None
        assert "marmalade" in transcript.read_text()

        assert "marmalade" not in await use(house, "Read", "bo", file_path=str(transcript))
        for folder in (transcript.parent, store, store.parent):
            found = await use(house, "Grep", "bo", pattern="marmal", path=str(folder), output_mode="content")
            assert "marmalade" not in found
        for user in ("ana", "bo"):
            assert "quicksand" in await use(house, "Read", user, file_path=str(shared / "plan.txt"))
            assert "quicksand" in await use(
                house, "Grep", user, pattern="quick", path=str(shared), output_mode="content"
            )


@pytest.mark.parametrize("mode", ["plan", pytest.param("auto", marks=pytest.mark.exhaustive)])
async def test_a_mode_that_reads_without_questions_asks_outside_the_workspace(
    open_house: Open, tmp_path: Path, mode: str
) -> None:
    """Where commands run, a template is not confined; the CLI reads the whole host unasked in `plan` then."""
    shared, outside = tmp_path / "shared", tmp_path / "outside"
    shared.mkdir()
    outside.mkdir()
    (shared / "plan.txt").write_text("quicksand")
    (outside / "a.txt").write_text("marmalade")
    (shared / "link").symlink_to(outside)
    keys = {
        "tools": ["Bash", "Read", "Grep", "Glob"],
        "permissionMode": mode,
        "workspace": "shared",
        "questionTtl": 0.5,
    }
    async with open_house(1, keys=keys) as house:
        assert "quicksand" in await use(house, "Read", "ana", file_path=str(shared / "plan.txt"))
        assert "plan.txt" in await use(house, "Grep", "ana", pattern="quicksand", path=str(shared))
        for tool, arguments in (
            ("Read", {"file_path": str(outside / "a.txt")}),
            ("Read", {"file_path": str(shared / "link" / "a.txt")}),
            ("Grep", {"pattern": "marmalade", "path": str(outside)}),
            ("Glob", {"pattern": f"{outside}/*.txt"}),
        ):
            assert "No answer within" in await use(house, tool, "ana", **arguments), arguments
        assert "marmalade" in await approved(house, "Read", file_path=str(outside / "a.txt"))


async def test_a_schedule_left_in_the_folder_belongs_to_no_session(open_house: Open, tmp_path: Path) -> None:
    """The CLI looks for schedules in its working directory, and that is never the shared folder."""
    async with open_house(2, keys={"workspace": "shared", "permissionMode": "acceptEdits"}) as house:
        await say(house, "[[say: hi]]", "ana")
        await say(house, "[[say: hi]]", "bo")
        requests = [request for request in house.rehearsal.record if "hi" in request.prompt]
        folders = {
            line.split(": ", 1)[1]
            for request in requests
            for line in request.text.splitlines()
            if "Primary working directory" in line
        }
        workspaces = house.supervisor.settings.state_dir / "workspaces" / "desk"
        assert folders == {str(workspaces / uuid_of(house, user)) for user in ("ana", "bo")}


async def test_an_agent_is_told_where_its_shared_folder_is_and_bash_stays_there(
    open_house: Open, tmp_path: Path
) -> None:
    """Also without a system prompt of its own."""
    keys = {"workspace": "shared", "system_prompt": "", "tools": ["Bash"], "permissionMode": "acceptEdits"}
    async with open_house(1, keys=keys) as house:
        shared = tmp_path / "shared"
        await use(house, "Bash", "ana", command=f"cd {shared} && touch from-ana")
        assert await use(house, "Bash", "ana", command="pwd; ls") == f"The tool returned: {shared}\nfrom-ana"
        assert f"The folder you work in is {shared}" in house.rehearsal.record[0].system


async def test_a_conversation_that_began_in_a_shared_directory_moves_to_its_own_when_it_is_resumed(
    open_house: Open, tmp_path: Path
) -> None:
    async with open_house(1, keys={"workspace": "shared"}) as house:
        await say(house, "[[echo]] my number is 4711", "ana")
        await hibernate(house, "ana")
        config, uuid = tmp_path / "claude", uuid_of(house, "ana")
        own = find_transcript(config, uuid)
        assert own is not None
        old = config / "projects" / project_name(tmp_path / "shared")
        (old / uuid / "tool-results").mkdir(parents=True)
        shutil.move(own, old / own.name)

        assert "4711" in await say(house, "[[recall]]", "ana")
        assert find_transcript(config, uuid) == own
        assert list(old.iterdir()) == []
        assert (own.parent / uuid / "tool-results").is_dir()


async def test_no_word_of_the_prompt_and_no_token_stands_in_a_process_listing(open_house: Open, tmp_path: Path) -> None:
    """And none of their files is left while the client runs. The prompt is larger than an argument may be."""
    keys = {
        "system_prompt": "You are PROMPTWORD. " + "x" * 300_000,
        "mcpServers": {"wiki": {"command": "true", "env": {"TOKEN": "TOKENWORD"}}},
    }
    async with open_house(1, keys=keys) as house:
        await say(house, "[[say: hi]]", "ana")
        (row,) = (await house.supervisor.snapshot()).clients
        arguments = arguments_of(row.pid)
        assert "--system-prompt-file" in arguments
        assert "PROMPTWORD" not in arguments
        assert "TOKENWORD" not in arguments
        assert list((house.supervisor.settings.state_dir / "starting").iterdir()) == []
        assert "PROMPTWORD" in house.rehearsal.record[-1].system
        assert len(house.rehearsal.record[-1].system) > 300_000


async def test_an_edited_template_reaches_an_old_conversation(open_house: Open) -> None:
    """Prompt and tools alike, after a restart over the same state."""
    before = {"system_prompt": "You are the old one.", "tools": ["Read"]}
    async with open_house(1, keys=before, state="state") as house:
        await say(house, "[[echo]] my number is 4711", "ana")
        assert "old one" in house.rehearsal.record[-1].system
    after = {"system_prompt": "You are the new one.", "tools": ["Read", "Write"]}
    async with open_house(1, keys=after, state="state") as house:
        assert "4711" in await say(house, "[[recall]]", "ana")
        request = house.rehearsal.record[-1]
        assert "new one" in request.system
        assert "old one" not in request.system
        assert "Write" in request.tools


async def test_effort_and_the_shape_of_the_answer_reach_the_request_and_the_caller(open_house: Open) -> None:
    schema = {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}
    keys = {"effort": "max", "fallbackModel": "claude-haiku-4-5", "output": schema}
    async with open_house(1, keys=keys) as house:
        answer = await use(house, "StructuredOutput", "ana", answer="42")
        assert json.loads(answer) == {"answer": "42"}
        made_up = await say(house, "An ordinary prompt", "cleo")
        assert isinstance(json.loads(made_up)["answer"], str)
        ticket = await house.supervisor.submit(Prompt("desk", "[[say: 42]]", user="bob"))
        failed = await ticket.outcome()
        assert isinstance(failed, Failed)
        assert failed.kind is FailureKind.OUTPUT_INVALID
        request = house.rehearsal.record[0]
        assert "StructuredOutput" in request.tools
        assert {"effort": "max"} in [message.get("output_config") for message in request.messages]
        (row,) = (await house.supervisor.snapshot()).clients
        assert "--fallback-model\0claude-haiku-4-5\0" in arguments_of(row.pid)


async def test_tools_get_neither_the_operators_environment_nor_the_clients_credentials(
    open_house: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bash and MCP servers alike; what the template's `env` grants they get, and the mark that finds them."""
    monkeypatch.setenv("DATABASE_PASSWORD", "marmalade")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "marmalade")
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "marmalade")
    monkeypatch.setenv("TEAM_TOKEN", "quicksand")
    (tmp_path / "secret").write_text("saxophone\n")
    server = tmp_path / "server.py"
    server.write_text(
        f"import os, sys\nsys.path.insert(0, {str(ROOT)!r})\nfrom tests.acceptance.tools_server import serve\n"
        "serve({'show': lambda: '\\n'.join(f'{k}={v}' for k, v in os.environ.items())})\n"
    )
    keys = {
        "tools": ["Bash", "mcp__envy__show"],
        "env": {"WIKI_TOKEN": "env:TEAM_TOKEN", "FROM_FILE": "file:secret", "MODE": "strict"},
        "mcpServers": {
            "envy": {
                "command": sys.executable,
                "args": [str(server)],
                "env": {"OWN": "${TEAM_TOKEN}", "ANTHROPIC_AUTH_TOKEN": "its own"},
            },
        },
    }
    async with open_house(1, keys=keys) as house:
        for tool, arguments in (("Bash", {"command": "env | sort; pwd"}), ("mcp__envy__show", {})):
            seen = await approved(house, tool, **arguments)
            assert "marmalade" not in seen
            assert "DATABASE_PASSWORD" not in seen
            assert "API_KEY" not in seen
            assert "MESSAGING_TOKEN" not in seen
            for part in (
                "WIKI_TOKEN=quicksand",
                "FROM_FILE=saxophone",
                "MODE=strict",
                "PATH=",
                "HOME=",
                "BULLPEN_CLIENT=",
            ):
                assert part in seen
        assert "OWN=quicksand" in seen
        assert "ANTHROPIC_AUTH_TOKEN=its own" in seen, "what the server's configuration sets is the server's"
        assert "BULLPEN_OWN" not in seen
        (row,) = (await house.supervisor.snapshot()).clients
        assert "quicksand" not in arguments_of(row.pid)
        assert not [line for line in (await house.supervisor.snapshot()).instances[0].walls if "quicksand" in line]


async def test_commands_and_their_exit_codes_come_through_unchanged(open_house: Open) -> None:
    async with open_house(1, keys={"tools": ["Bash"]}) as house:
        command = "printf '%s|' \"a  b\" 'c\"d' $((1 + 1)); echo; cat <<X\n$HOME *\nX\n(exit 3)"
        seen = await approved(house, "Bash", command=command)
        assert "Exit code 3" in seen
        assert 'a  b|c"d|2|' in seen
        assert f"{os.environ['HOME']} *" in seen


async def test_skills_come_without_any_settings_file(
    open_house: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user's allow rules, hooks, model and CLAUDE.md do not apply; a confined agent reads the skill's own files."""
    config, project = tmp_path / "claude", tmp_path / ".claude"
    for folder, name in ((config, "memo"), (project, "style")):
        skill = folder / "skills" / name
        skill.mkdir(parents=True)
        (skill / "SKILL.md").write_text(f"---\nname: {name}\ndescription: writes a {name}word\n---\nRead more.md.\n")
        (skill / "more.md").write_text(f"more of {name}")
    hooked = tmp_path / "hooked"
    settings = {
        "model": "claude-evil",
        "permissions": {"allow": ["Bash", "Write"]},
        "hooks": {"SessionStart": [{"hooks": [{"type": "command", "command": f"touch {hooked}"}]}]},
    }
    (config / "settings.json").write_text(json.dumps(settings))
    (config / "CLAUDE.md").write_text("CLAUDEMDWORD")
    keys = {"tools": ["Read", "Write"], "skills": ["memo", "style", "nowhere"], "permissionMode": "dontAsk"}
    async with open_house(1, keys=keys) as house:
        await say(house, "[[say: hi]]", "ana")
        request = house.rehearsal.record[0]
        assert "memoword" in request.text
        assert "styleword" in request.text
        assert "Skill" in request.tools
        assert request.model != "claude-evil"
        assert "CLAUDEMDWORD" not in request.text
        (copy,) = (house.supervisor.settings.state_dir / "skills").iterdir()
        assert "more of memo" in await use(house, "Read", "ana", file_path=str(copy / "skills" / "memo" / "more.md"))
        await use(house, "Write", "ana", file_path=str(tmp_path / "new.txt"), content="x")
        assert not (tmp_path / "new.txt").exists()
        assert not hooked.exists()


async def test_settings_are_read_where_the_template_says_so(open_house: Open, tmp_path: Path) -> None:
    config = tmp_path / "claude"
    config.mkdir()
    (config / "settings.json").write_text(json.dumps({"model": "claude-chosen-4"}))
    for number, sources in enumerate(([], ["user"])):
        async with open_house(1, keys={"settings": sources}) as house:
            await say(house, f"[[say: {number}]]", "ana")
            assert (house.rehearsal.record[0].model == "claude-chosen-4") == bool(sources)


async def test_a_spare_has_the_same_walls(open_house: Open, tmp_path: Path) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text("marmalade")
    async with open_house(2, spares=1, keys={"tools": FILE_TOOLS, "permissionMode": "acceptEdits"}) as house:
        await until(lambda: house.supervisor.view.snapshot().instances[0].pool.spare == 1, within=30)
        assert "--restricted confines" in await use(house, "Read", "ana", file_path=str(outside))
        assert (await house.supervisor.snapshot()).instances[0].pool.adopted == 1


async def test_a_start_says_which_skill_it_did_not_find(open_house: Open) -> None:
    async with open_house(1, keys={"skills": ["nowhere"]}) as house:
        (row,) = (await house.supervisor.snapshot()).instances
        assert row.note.startswith("skill nowhere was not found in")
        assert row.note in row.walls
