"""Chaos: real CLIs on rehearsal, everything that can go wrong at once, and a reckoning of what became of the prompts.

python -m tests.chaos --seconds 60 --sessions 12 --seed 7

The director (parent) owns the endpoint and the faults, so that both outlive the supervisor; the stagehand (child) runs
the supervisor and is killed and started again. The audit reads only what is durable: the journal, the transcripts, the
endpoint's record, the process table, and what the child has acknowledged.
"""
