"""What goes wrong: processes, starts, memory, disks, and the supervisor itself."""

from __future__ import annotations

import anyio
from hypothesis import strategies as st
from hypothesis.stateful import precondition

from supervisor.api.errors import ConnectFailed
from supervisor.api.prompts import Prompt
from supervisor.process.end_reason import EndReason
from tests.engine.model.bullpens import MIB, PANIC_BYTES
from tests.engine.model.kept import read_journal
from tests.engine.model.play import PACE, PICK, Play, pick, raise_if
from tests.engine.model.recording import rule


class Troubles(Play):
    @precondition(lambda self: self.stage.live)
    @rule(number=PICK, trouble=st.sampled_from(["dies", "dies", "hangs", "stays"]), pace=PACE)
    def strike_a_process(self, number: int, trouble: str, pace: int | None) -> None:
        """It dies, it hangs, or it will leave only when it is killed."""
        connection = pick(self.stage.live, number)
        if trouble == "dies":
            self.book.dead.add(connection.launch.client_id)
            self.stage.run(lambda: connection.die(exit_code=1))
        elif trouble == "hangs":
            self.book.hung.add(connection.launch.client_id)
            connection.hang()
        else:
            connection.survives_terminate = True
        self.go(pace)

    @precondition(lambda self: self.stage.asleep)
    @rule(number=PICK, trouble=st.sampled_from(["dies", "never wakes", "never wakes", "wakes and hangs"]), pace=PACE)
    def strike_one_that_sleeps(self, number: int, trouble: str, pace: int | None) -> None:
        connection = pick(self.stage.asleep, number)
        if trouble == "dies":
            self.book.dead.add(connection.launch.client_id)
            self.stage.run(lambda: connection.die(exit_code=-9))
        else:
            self.book.hung.add(connection.launch.client_id)
            if trouble == "never wakes":
                connection.is_stuck_asleep = True
            else:
                connection.hang()
        self.go(pace)

    @precondition(lambda self: self.stage.live)
    @rule(pace=PACE)
    def let_them_sleep(self, pace: int | None) -> None:
        """All answer, and nothing happens for a while: whatever may sleep does, or is about to."""
        for connection in self.stage.talking:
            self.answer_prompt(connection)
        self.stage.pass_time(3.0 if pace is None else 0.3)
        self.go(pace)

    @precondition(lambda self: self.stage.asleep)
    @rule(pace=PACE)
    def prompt_all_that_sleep(self, pace: int | None) -> None:
        """Everybody wakes at once."""
        asleep = {one.launch.client_id for one in self.stage.asleep}
        keys = [row.key for row in self.engine.view.snapshot().sessions if row.client_id in asleep]
        for key in keys:
            prompt = Prompt(key.instance, self.new_text(), key.user, key.session)
            self.stage.run(lambda prompt=prompt: self.submit(prompt))  # type: ignore[misc]
        self.go(pace)

    @rule(may=st.sampled_from([True, True, False]))
    def let_processes_stop(self, may: bool) -> None:
        self.stage.world.can_suspend = may

    @precondition(lambda self: self.stage.live)
    @rule(number=PICK, memory=st.sampled_from([50, 150, 250, 450, 700]))
    def change_its_size(self, number: int, memory: int) -> None:
        connection = pick(self.stage.live, number)
        connection.memory_bytes = memory * MIB
        if connection.memory_bytes > PANIC_BYTES:
            self.book.swollen.add(connection.launch.client_id)

    @precondition(lambda self: self.stage.begun)
    @rule(number=PICK, pace=PACE)
    def cancel_a_task(self, number: int, pace: int | None) -> None:
        """A native cancel, as a library's mistake might make one."""
        client, task = pick(list(self.stage.begun.items()), number)
        self.book.cancelled.add(client)
        self.end_client(client, EndReason.CANCELLED, lambda _: task.cancel())
        self.go(pace)

    @rule(trouble=st.sampled_from(["fail", "fail twice", "take long"]))
    def spoil_the_next_starts(self, trouble: str) -> None:
        world = self.stage.world
        if trouble == "take long":
            world.gate = world.gate or self.stage.run(anyio.Event)
        else:
            count = 2 if trouble == "fail twice" else 1
            world.connect_failures += [ConnectFailed("it would not start") for _ in range(count)]

    @precondition(lambda self: self.stage.world.gate is not None)
    @rule(pace=PACE)
    def let_them_start(self, pace: int | None) -> None:
        self.open_the_gate()
        self.go(pace)

    @precondition(lambda self: self.stage.world.transcripts)
    @rule(number=PICK)
    def lose_a_transcript(self, number: int) -> None:
        """Somebody has tidied the disk."""
        world = self.stage.world
        held = {one.launch.session_uuid for one in world.live}
        if loose := [uuid for uuid in world.transcripts if uuid not in held]:
            del world.transcripts[pick(loose, number)]

    @rule(trouble=st.sampled_from(["slow", "full"]))
    def spoil_the_disk(self, trouble: str) -> None:
        disk = self.stage.disk
        if trouble == "full":
            disk.is_full = True
        else:
            disk.gate = disk.gate or self.stage.run(anyio.Event)

    @precondition(lambda self: not self.stage.disk.is_well)
    @rule()
    def mend_the_disk(self) -> None:
        self.stage.run(self.stage.disk.heal)
        self.stage.pass_time(1.0)  # until the next attempt to write
        self.listen()

    @rule(is_killed=st.sampled_from([True, True, False]), pace=PACE)
    def restart(self, is_killed: bool, pace: int | None) -> None:
        """The supervisor is killed, or stops in order, and the next one takes over."""
        if is_killed:
            self.stage.lose()
        else:
            self.book.grant(str(EndReason.STOPPING))
            self.stage.stop()
            self.stage.settle()
            self.listen()
            raise_if(self.stage.close())
        self.stage.world.violations.clear()  # those that are left were excused
        self.book.reopen(read_journal(self.stage.folder / "state"))
        self.stage.begin_life()
        self.watch()
        self.go(pace)
