"""Real Claude Code processes on rehearsal: isolation, order, memory of a resumed session, interrupt."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from supervisor.api.keys import SessionKey
from supervisor.api.outcomes import Done, Failed, FailureKind, Interrupted
from supervisor.api.prompts import Prompt
from supervisor.api.states import SessionState
from tests.acceptance.conftest import Open
from tests.waiting import until

pytestmark = pytest.mark.anyio


async def test_no_request_of_one_user_ever_contains_anothers_words(open_bullpen: Open) -> None:
    """S2.11, S3.3–5, S2.37–46: read back from the endpoint's record; three users share two clients' places."""
    secrets = {"ana": "marmalade-7", "boris": "quicksand-3", "chen": "saxophone-9"}
    async with open_bullpen(2, spares=1) as bullpen:
        for round_number in range(2):
            async with anyio.create_task_group() as group:
                for user, secret in secrets.items():
                    prompt = Prompt("desk", f"[[echo]] I am {user}, {secret}, round {round_number}", user=user)
                    group.start_soon((await bullpen.supervisor.submit(prompt)).outcome)
        for user, secret in secrets.items():
            requests = bullpen.requests_of(f"I am {user}")
            assert len(requests) == 2
            assert all(secret in text for text in requests)
            assert all(other not in text for text in requests for other in secrets.values() if other != secret)
            assert all(f"round {number}" in requests[-1] for number in range(2)), "its own history is whole"


async def test_same_key_in_order_and_a_slow_turn_delays_nobody_else(open_bullpen: Open) -> None:
    """S3.13–19: the 16 s turn with eight tool calls and the 2 s turn, scaled down; both start together."""
    calls = " ".join(f'[[slow: 1]] [[tool: Bash {{"command": "echo step {n}"}}]]' for n in range(8))
    async with open_bullpen(2) as bullpen:
        supervisor = bullpen.supervisor
        slow = await supervisor.submit(Prompt("desk", f"{calls} [[say: long one done]]", user="ana"))
        after_slow = await supervisor.submit(Prompt("desk", "[[say: second of ana]]", user="ana"))
        quick = await supervisor.submit(Prompt("desk", "[[slow: 1]] [[say: short one done]]", user="boris"))
        outcome = await quick.outcome()
        assert isinstance(outcome, Done)
        assert outcome.text == "short one done"
        assert slow.finished is None, "the short turn did not wait for the long one"
        assert after_slow.finished is None
        first, second = await slow.outcome(), await after_slow.outcome()
        assert isinstance(first, Done)
        assert first.text.endswith("long one done")
        assert isinstance(second, Done)
        assert second.text == "second of ana"
        order = [text for text in ("long", "second") for request in bullpen.rehearsal.record if text in request.prompt]
        assert order.index("second") == len(order) - 1


async def test_a_session_evicted_and_resumed_remembers(open_bullpen: Open) -> None:
    """S2.10"""
    async with open_bullpen(1) as bullpen:
        supervisor = bullpen.supervisor
        await (await supervisor.submit(Prompt("desk", "[[echo]] my number is 4711", user="ana"))).outcome()
        first_pid = bullpen.pids
        await (await supervisor.submit(Prompt("desk", "[[echo]] hello", user="boris"))).outcome()
        ana = next(row for row in (await supervisor.snapshot()).sessions if row.key.user == "ana")
        assert ana.state is SessionState.HIBERNATED
        outcome = await (await supervisor.submit(Prompt("desk", "[[recall]]", user="ana"))).outcome()
        assert isinstance(outcome, Done)
        assert "4711" in outcome.text
        assert bullpen.pids != first_pid
        assert (await supervisor.snapshot()).instances[0].pool.evictions == 2


async def test_a_spare_is_adopted_with_its_own_session_id(open_bullpen: Open) -> None:
    """S2.11: the connected, never-used client answers, under the id it was born with, in its own directory."""
    async with open_bullpen(2, spares=1) as bullpen:
        supervisor = bullpen.supervisor
        await until(lambda: supervisor.view.snapshot().instances[0].pool.spare == 1, within=30)
        (spare,) = (await supervisor.snapshot()).clients
        await (await supervisor.submit(Prompt("desk", "[[say: hi]]", user="ana"))).outcome()
        (row,) = (await supervisor.snapshot()).sessions
        assert row.client_id == spare.id
        assert (await supervisor.snapshot()).instances[0].pool.adopted == 1
        assert row.session_uuid
        assert any(row.session_uuid in request.client for request in bullpen.rehearsal.record)


async def test_people_of_two_instances_do_not_meet(open_bullpen: Open) -> None:
    """S2.9, S5.41–43: same user and session name in another instance is another conversation."""
    second = {"name": "other", "tools": None}
    async with open_bullpen() as bullpen, open_bullpen(keys=second) as other:
        await (await bullpen.supervisor.submit(Prompt("desk", "[[echo]] the word is marzipan", user="ana"))).outcome()
        outcome = await (await other.supervisor.submit(Prompt("other", "[[recall]]", user="ana"))).outcome()
        assert isinstance(outcome, Done)
        assert "marzipan" not in outcome.text
        assert not any("marzipan" in request.text for request in other.rehearsal.record)


async def test_interrupt_and_ask_again_gets_the_new_answer(open_bullpen: Open) -> None:
    """Sdk-facts §2: a turn that is not drained would answer the next prompt."""
    async with open_bullpen() as bullpen:
        supervisor = bullpen.supervisor
        old = await supervisor.submit(Prompt("desk", "[[stream: 2000 words, 0.05]] the old question", user="ana"))
        conversation = await supervisor.conversation(old.key)
        await until(lambda: len(conversation.read().opened) > 20, within=30)
        pid = bullpen.pids
        await supervisor.interrupt(old.key)
        new = await supervisor.submit(Prompt("desk", "[[say: the new answer]]", user="ana"))
        stopped = await old.outcome()
        assert isinstance(stopped, Interrupted)
        assert stopped.text, "what had arrived is kept"
        outcome = await new.outcome()
        assert isinstance(outcome, Done)
        assert outcome.text == "the new answer"
        assert bullpen.pids == pid, "the client lived on"


async def test_sessions_do_not_see_each_other_as_peers(open_bullpen: Open) -> None:
    """Sdk-facts §6: with a shared configuration directory the peer tools list every other session."""
    async with open_bullpen(2, keys={"tools": None}) as bullpen:
        await (await bullpen.supervisor.submit(Prompt("desk", "[[say: hi]]", user="ana"))).outcome()
        (request,) = bullpen.rehearsal.record
    assert "Bash" in request.tools
    assert not {"ListAgents", "SendMessage"} & set(request.tools)


async def test_memory_of_the_whole_tree_is_measured(open_bullpen: Open) -> None:
    """S2.29–31"""
    async with open_bullpen() as bullpen:
        supervisor = bullpen.supervisor
        await (await supervisor.submit(Prompt("desk", "[[say: hi]]", user="ana"))).outcome()
        await until(lambda: supervisor.view.snapshot().clients[0].memory_bytes > 50_000_000, within=30)
        snapshot = await supervisor.snapshot()
        assert snapshot.sessions[0].memory_bytes == snapshot.clients[0].memory_bytes
        assert snapshot.host.memory_bytes == snapshot.clients[0].memory_bytes


async def test_a_lost_conversation_goes_on_as_a_new_one_and_the_caller_is_told(open_bullpen: Open) -> None:
    """S2.34"""
    async with open_bullpen() as bullpen:
        supervisor = bullpen.supervisor
        key = SessionKey("desk", "ana", "default")
        await (await supervisor.submit(Prompt("desk", "[[echo]] remember me", user="ana"))).outcome()
        await supervisor.hibernate(key)
        await until(lambda: not supervisor.view.snapshot().clients, within=30)
        row = (await supervisor.snapshot()).sessions[0]
        state = supervisor.settings.state_dir
        for transcript in (state.parent / "claude").rglob(f"{row.session_uuid}.jsonl"):
            transcript.unlink()
        outcome = await (await supervisor.submit(Prompt("desk", "[[echo]] still there?", user="ana"))).outcome()
        assert isinstance(outcome, Done)
        texts = [getattr(entry, "text", "") for entry in (await supervisor.conversation(key)).read().entries]
        assert any("no longer remembers" in text for text in texts)


async def test_a_prompt_is_only_words_to_the_cli(open_bullpen: Open, tmp_path: Path) -> None:
    """S3.3–5: a caller cannot read files by mentioning them, nor change the session by a slash command."""
    secret = tmp_path / "secret.txt"
    secret.write_text("the combination is 17-4-23")
    # Without tools: what is no direction is improvised on, and an improvisation may ask for a permission.
    async with open_bullpen(keys={"tools": []}) as bullpen:
        supervisor = bullpen.supervisor
        await (await supervisor.submit(Prompt("desk", "[[echo]] I live in Ulm", user="ana"))).outcome()
        before = (await supervisor.snapshot()).sessions[0].session_uuid
        await (await supervisor.submit(Prompt("desk", f"[[echo]] look at @{secret}", user="ana"))).outcome()
        for command in ("/clear", "/model haiku", "/config permissionMode=dontAsk"):
            await (await supervisor.submit(Prompt("desk", command, user="ana"))).outcome()
        outcome = await (await supervisor.submit(Prompt("desk", "[[recall]]", user="ana"))).outcome()
        assert isinstance(outcome, Done)
        assert "Ulm" in outcome.text
        assert not any("17-4-23" in request.text for request in bullpen.rehearsal.record)
        assert len({request.model for request in bullpen.rehearsal.record}) == 1
        assert (await supervisor.snapshot()).sessions[0].session_uuid == before


async def test_a_workspace_that_cannot_be_made_fails_that_turn_alone(open_bullpen: Open) -> None:
    async with open_bullpen() as bullpen:
        supervisor = bullpen.supervisor
        blocked = supervisor.settings.state_dir / "workspaces" / "desk"
        blocked.parent.mkdir(parents=True)
        blocked.write_text("a file lies where the folder should be")
        outcome = await (await supervisor.submit(Prompt("desk", "[[say: hi]]", user="ana"))).outcome()
        assert isinstance(outcome, Failed)
        assert outcome.kind is FailureKind.START_FAILED
        blocked.unlink()
        assert isinstance(await (await supervisor.submit(Prompt("desk", "[[say: hi]]", user="ana"))).outcome(), Done)
