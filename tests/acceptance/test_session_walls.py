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
from tests.acceptance.conftest import Bullpen, Open
from tests.acceptance.terminal import ROOT
from tests.waiting import until

pytestmark = pytest.mark.anyio

FILE_TOOLS = ["Read", "Write", "Grep", "Glob"]


async def say(bullpen: Bullpen, text: str, user: str) -> str:
    outcome = await (await bullpen.supervisor.submit(Prompt("desk", text, user=user))).outcome()
    assert isinstance(outcome, Done), outcome
    return outcome.text


async def use(bullpen: Bullpen, tool: str, user: str, **arguments: object) -> str:
    """What the tool has returned; in `dontAsk`, whatever would be put to a human is refused."""
    return await say(bullpen, f"[[tool: {tool} {json.dumps(arguments)}]]", user)


async def approved(bullpen: Bullpen, tool: str, user: str = "ana", **arguments: object) -> str:
    """The same, with whatever is asked meanwhile allowed once."""
    async with anyio.create_task_group() as group:
        group.start_soon(_allow_all, bullpen)
        text = await use(bullpen, tool, user, **arguments)
        group.cancel_scope.cancel()
    return text


async def _allow_all(bullpen: Bullpen) -> None:
    with await bullpen.supervisor.watch() as feed:
        while True:
            for question in bullpen.supervisor.view.snapshot().questions:
                with suppress(AlreadyAnswered):  # it is on its way to the agent
                    await bullpen.supervisor.answer(question.id, Allow(), by="test")
            await feed.wait()
            feed.take()


def uuid_of(bullpen: Bullpen, user: str) -> str:
    (row,) = [row for row in bullpen.supervisor.view.snapshot().sessions if row.key.user == user]
    return row.session_uuid


def arguments_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()


async def hibernate(bullpen: Bullpen, user: str) -> None:
    supervisor = bullpen.supervisor
    key = SessionKey("desk", user, "default")

    def is_in(state: SessionState) -> bool:
        return any(row.key == key and row.state is state for row in supervisor.view.snapshot().sessions)

    await until(lambda: is_in(SessionState.IDLE), within=30)
    await supervisor.hibernate(key)
    await until(lambda: is_in(SessionState.HIBERNATED) and not supervisor.view.snapshot().clients, within=30)


async def test_agents_of_one_folder_share_its_files_and_nothing_of_their_conversations(
    open_bullpen: Open, tmp_path: Path
) -> None:
    keys = {"workspace": "shared", "tools": FILE_TOOLS, "confine": False, "permissionMode": "dontAsk"}
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "plan.txt").write_text("the plan is quicksand")
    async with open_bullpen(2, keys=keys) as bullpen:
        await say(bullpen, "[[echo]] my secret is marmalade", "ana")
        store = tmp_path / "claude" / "projects"
        transcript = find_transcript(tmp_path / "claude", uuid_of(bullpen, "ana"))
        assert transcript is not None
        assert "marmalade" in transcript.read_text()

        assert "marmalade" not in await use(bullpen, "Read", "bo", file_path=str(transcript))
        for folder in (transcript.parent, store, store.parent):
            found = await use(bullpen, "Grep", "bo", pattern="marmal", path=str(folder), output_mode="content")
            assert "marmalade" not in found
        for user in ("ana", "bo"):
            assert "quicksand" in await use(bullpen, "Read", user, file_path=str(shared / "plan.txt"))
            assert "quicksand" in await use(
                bullpen, "Grep", user, pattern="quick", path=str(shared), output_mode="content"
            )


@pytest.mark.parametrize("mode", ["plan", pytest.param("auto", marks=pytest.mark.exhaustive)])
async def test_a_mode_that_reads_without_questions_asks_outside_the_workspace(
    open_bullpen: Open, tmp_path: Path, mode: str
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
    async with open_bullpen(1, keys=keys) as bullpen:
        assert "quicksand" in await use(bullpen, "Read", "ana", file_path=str(shared / "plan.txt"))
        assert "plan.txt" in await use(bullpen, "Grep", "ana", pattern="quicksand", path=str(shared))
        for tool, arguments in (
            ("Read", {"file_path": str(outside / "a.txt")}),
            ("Read", {"file_path": str(shared / "link" / "a.txt")}),
            ("Grep", {"pattern": "marmalade", "path": str(outside)}),
            ("Glob", {"pattern": f"{outside}/*.txt"}),
        ):
            assert "No answer within" in await use(bullpen, tool, "ana", **arguments), arguments
        assert "marmalade" in await approved(bullpen, "Read", file_path=str(outside / "a.txt"))


async def test_a_schedule_left_in_the_folder_belongs_to_no_session(open_bullpen: Open, tmp_path: Path) -> None:
    """The CLI looks for schedules in its working directory, and that is never the shared folder."""
    async with open_bullpen(2, keys={"workspace": "shared", "permissionMode": "acceptEdits"}) as bullpen:
        await say(bullpen, "[[say: hi]]", "ana")
        await say(bullpen, "[[say: hi]]", "bo")
        requests = [request for request in bullpen.rehearsal.record if "hi" in request.prompt]
        folders = {
            line.split(": ", 1)[1]
            for request in requests
            for line in request.text.splitlines()
            if "Primary working directory" in line
        }
        workspaces = bullpen.supervisor.settings.state_dir / "workspaces" / "desk"
        assert folders == {str(workspaces / uuid_of(bullpen, user)) for user in ("ana", "bo")}


async def test_an_agent_is_told_where_its_shared_folder_is_and_bash_stays_there(
    open_bullpen: Open, tmp_path: Path
) -> None:
    """Also without a system prompt of its own."""
    keys = {"workspace": "shared", "system_prompt": "", "tools": ["Bash"], "permissionMode": "acceptEdits"}
    async with open_bullpen(1, keys=keys) as bullpen:
        shared = tmp_path / "shared"
        await use(bullpen, "Bash", "ana", command=f"cd {shared} && touch from-ana")
        assert await use(bullpen, "Bash", "ana", command="pwd; ls") == f"The tool returned: {shared}\nfrom-ana"
        assert f"The folder you work in is {shared}" in bullpen.rehearsal.record[0].system


async def test_a_conversation_that_began_in_a_shared_directory_moves_to_its_own_when_it_is_resumed(
    open_bullpen: Open, tmp_path: Path
) -> None:
    async with open_bullpen(1, keys={"workspace": "shared"}) as bullpen:
        await say(bullpen, "[[echo]] my number is 4711", "ana")
        await hibernate(bullpen, "ana")
        config, uuid = tmp_path / "claude", uuid_of(bullpen, "ana")
        own = find_transcript(config, uuid)
        assert own is not None
        old = config / "projects" / project_name(tmp_path / "shared")
        (old / uuid / "tool-results").mkdir(parents=True)
        shutil.move(own, old / own.name)

        assert "4711" in await say(bullpen, "[[recall]]", "ana")
        assert find_transcript(config, uuid) == own
        assert list(old.iterdir()) == []
        assert (own.parent / uuid / "tool-results").is_dir()


async def test_no_word_of_the_prompt_and_no_token_stands_in_a_process_listing(
    open_bullpen: Open, tmp_path: Path
) -> None:
    """And none of their files is left while the client runs. The prompt is larger than an argument may be."""
    keys = {
        "system_prompt": "You are PROMPTWORD. " + "x" * 300_000,
        "mcpServers": {"wiki": {"command": "true", "env": {"TOKEN": "TOKENWORD"}}},
    }
    async with open_bullpen(1, keys=keys) as bullpen:
        await say(bullpen, "[[say: hi]]", "ana")
        (row,) = (await bullpen.supervisor.snapshot()).clients
        arguments = arguments_of(row.pid)
        assert "--system-prompt-file" in arguments
        assert "PROMPTWORD" not in arguments
        assert "TOKENWORD" not in arguments
        assert list((bullpen.supervisor.settings.state_dir / "starting").iterdir()) == []
        assert "PROMPTWORD" in bullpen.rehearsal.record[-1].system
        assert len(bullpen.rehearsal.record[-1].system) > 300_000


async def test_an_edited_template_reaches_an_old_conversation(open_bullpen: Open) -> None:
    """Prompt and tools alike, after a restart over the same state."""
    before = {"system_prompt": "You are the old one.", "tools": ["Read"]}
    async with open_bullpen(1, keys=before, state="state") as bullpen:
        await say(bullpen, "[[echo]] my number is 4711", "ana")
        assert "old one" in bullpen.rehearsal.record[-1].system
    after = {"system_prompt": "You are the new one.", "tools": ["Read", "Write"]}
    async with open_bullpen(1, keys=after, state="state") as bullpen:
        assert "4711" in await say(bullpen, "[[recall]]", "ana")
        request = bullpen.rehearsal.record[-1]
        assert "new one" in request.system
        assert "old one" not in request.system
        assert "Write" in request.tools


async def test_effort_and_the_shape_of_the_answer_reach_the_request_and_the_caller(open_bullpen: Open) -> None:
    schema = {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}
    keys = {"effort": "max", "fallbackModel": "claude-haiku-4-5", "output": schema}
    async with open_bullpen(1, keys=keys) as bullpen:
        answer = await use(bullpen, "StructuredOutput", "ana", answer="42")
        assert json.loads(answer) == {"answer": "42"}
        made_up = await say(bullpen, "An ordinary prompt", "cleo")
        assert isinstance(json.loads(made_up)["answer"], str)
        ticket = await bullpen.supervisor.submit(Prompt("desk", "[[say: 42]]", user="bob"))
        failed = await ticket.outcome()
        assert isinstance(failed, Failed)
        assert failed.kind is FailureKind.OUTPUT_INVALID
        request = bullpen.rehearsal.record[0]
        assert "StructuredOutput" in request.tools
        assert {"effort": "max"} in [message.get("output_config") for message in request.messages]
        (row,) = (await bullpen.supervisor.snapshot()).clients
        assert "--fallback-model\0claude-haiku-4-5\0" in arguments_of(row.pid)


async def test_tools_get_neither_the_operators_environment_nor_the_clients_credentials(
    open_bullpen: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
    async with open_bullpen(1, keys=keys) as bullpen:
        for tool, arguments in (("Bash", {"command": "env | sort; pwd"}), ("mcp__envy__show", {})):
            seen = await approved(bullpen, tool, **arguments)
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
        (row,) = (await bullpen.supervisor.snapshot()).clients
        assert "quicksand" not in arguments_of(row.pid)
        assert not [line for line in (await bullpen.supervisor.snapshot()).instances[0].walls if "quicksand" in line]


async def test_commands_and_their_exit_codes_come_through_unchanged(open_bullpen: Open) -> None:
    async with open_bullpen(1, keys={"tools": ["Bash"]}) as bullpen:
        command = "printf '%s|' \"a  b\" 'c\"d' $((1 + 1)); echo; cat <<X\n$HOME *\nX\n(exit 3)"
        seen = await approved(bullpen, "Bash", command=command)
        assert "Exit code 3" in seen
        assert 'a  b|c"d|2|' in seen
        assert f"{os.environ['HOME']} *" in seen


async def test_skills_come_without_any_settings_file(
    open_bullpen: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
    async with open_bullpen(1, keys=keys) as bullpen:
        await say(bullpen, "[[say: hi]]", "ana")
        request = bullpen.rehearsal.record[0]
        assert "memoword" in request.text
        assert "styleword" in request.text
        assert "Skill" in request.tools
        assert request.model != "claude-evil"
        assert "CLAUDEMDWORD" not in request.text
        (copy,) = (bullpen.supervisor.settings.state_dir / "skills").iterdir()
        assert "more of memo" in await use(bullpen, "Read", "ana", file_path=str(copy / "skills" / "memo" / "more.md"))
        await use(bullpen, "Write", "ana", file_path=str(tmp_path / "new.txt"), content="x")
        assert not (tmp_path / "new.txt").exists()
        assert not hooked.exists()


async def test_settings_are_read_where_the_template_says_so(open_bullpen: Open, tmp_path: Path) -> None:
    config = tmp_path / "claude"
    config.mkdir()
    (config / "settings.json").write_text(json.dumps({"model": "claude-chosen-4"}))
    for number, sources in enumerate(([], ["user"])):
        async with open_bullpen(1, keys={"settings": sources}) as bullpen:
            await say(bullpen, f"[[say: {number}]]", "ana")
            assert (bullpen.rehearsal.record[0].model == "claude-chosen-4") == bool(sources)


async def test_a_spare_has_the_same_walls(open_bullpen: Open, tmp_path: Path) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text("marmalade")
    async with open_bullpen(2, spares=1, keys={"tools": FILE_TOOLS, "permissionMode": "acceptEdits"}) as bullpen:
        await until(lambda: bullpen.supervisor.view.snapshot().instances[0].pool.spare == 1, within=30)
        assert "--restricted confines" in await use(bullpen, "Read", "ana", file_path=str(outside))
        assert (await bullpen.supervisor.snapshot()).instances[0].pool.adopted == 1


async def test_a_start_says_which_skill_it_did_not_find(open_bullpen: Open) -> None:
    async with open_bullpen(1, keys={"skills": ["nowhere"]}) as bullpen:
        (row,) = (await bullpen.supervisor.snapshot()).instances
        assert row.note.startswith("skill nowhere was not found in")
        assert row.note in row.walls
