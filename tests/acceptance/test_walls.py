"""What one session's agent can reach of another's, on real Claude Code processes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from supervisor.model import Done, Prompt, SessionKey, SessionState
from supervisor.transcript import find_transcript, project_name
from tests.acceptance.conftest import House, Open
from tests.waiting import until

pytestmark = pytest.mark.anyio

FILE_TOOLS = ["Read", "Write", "Grep", "Glob"]


async def say(house: House, text: str, user: str) -> str:
    outcome = await house.supervisor.submit(Prompt("desk", text, user=user)).outcome()
    assert isinstance(outcome, Done), outcome
    return outcome.text


async def use(house: House, tool: str, user: str, **arguments: object) -> str:
    """What the tool has returned; in `dontAsk`, whatever would be put to a human is refused."""
    return await say(house, f"[[tool: {tool} {json.dumps(arguments)}]]", user)


def uuid_of(house: House, user: str) -> str:
    (row,) = [row for row in house.supervisor.snapshot().sessions if row.key.user == user]
    return row.session_uuid


def arguments_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()


async def hibernate(house: House, user: str) -> None:
    supervisor = house.supervisor
    key = SessionKey("desk", user, "default")

    def is_in(state: SessionState) -> bool:
        return any(row.key == key and row.state is state for row in supervisor.snapshot().sessions)

    await until(lambda: is_in(SessionState.IDLE), within=30)
    supervisor.hibernate(key)
    await until(lambda: is_in(SessionState.HIBERNATED) and not supervisor.snapshot().clients, within=30)


async def test_agents_of_one_folder_share_its_files_and_nothing_of_their_conversations(
    open_house: Open, tmp_path: Path
) -> None:
    keys = {"workspace": "shared", "tools": FILE_TOOLS, "permissionMode": "dontAsk"}
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
        (row,) = house.supervisor.snapshot().clients
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
        request = house.rehearsal.record[0]
        assert "StructuredOutput" in request.tools
        assert {"effort": "max"} in [message.get("output_config") for message in request.messages]
        (row,) = house.supervisor.snapshot().clients
        assert "--fallback-model\0claude-haiku-4-5\0" in arguments_of(row.pid)
