"""What is mutated, and the tests that ought to notice."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Target(NamedTuple):
    """Some modules, and the tests that are run for a mutant of one of them: quickest first, none with real clients."""

    modules: tuple[str, ...]
    """Paths below the root of the project."""
    tests: tuple[str, ...]


_SCHEDULING = (
    "tests/engine/test_immediate_steps.py",
    "tests/engine/test_queue_places.py",
    "tests/engine/test_recorded_orders.py",
    "tests/engine/test_turns.py",
    "tests/engine/test_interrupted_turns.py",
    "tests/engine/test_failed_turns.py",
    "tests/engine/test_pause_drain_kill_scale.py",
    "tests/engine/test_memory_admission.py",
    "tests/engine/test_warming.py",
    "tests/engine/test_dormancy.py",
    "tests/engine/test_failures_and_backoff.py",
    "tests/engine/test_detached_turns.py",
    "tests/engine/test_restart.py",
    "tests/engine/test_feed.py",
    "tests/engine/model",
)
_CLIENTS = (
    "tests/engine/test_self_begun_turns.py",
    "tests/engine/test_ends_of_self_begun_turns.py",
    "tests/engine/test_mcp_servers.py",
    "tests/engine/test_questions.py",
    "tests/engine/test_races.py",
    "tests/engine/test_hurried_end.py",
    "tests/engine/test_outcome_at_result.py",
    "tests/engine/test_simultaneous_events.py",
    "tests/engine/test_cancellation.py",
    "tests/engine/test_approvals.py",
    "tests/engine/test_costs.py",
)
_TALK = (
    "tests/engine/test_ended_sessions.py",
    "tests/engine/test_compaction.py",
    "tests/engine/test_rejected_prompts.py",
    "tests/engine/test_abandoned_attempts.py",
    "tests/engine/test_session_gist.py",
)
_REST = (
    "tests/engine/test_accepted_and_begun.py",
    "tests/engine/test_outcome_recorded_first.py",
    "tests/engine/test_prompt_written_at_once.py",
    "tests/engine/test_verbs_take_effect_at_once.py",
    "tests/engine/test_requests_by_name.py",
    "tests/engine/test_cancelled_starts.py",
    "tests/engine/test_interrupted_offers.py",
    "tests/engine/test_internal_errors.py",
    "tests/engine/test_structured_answers.py",
    "tests/engine/test_tool_calls.py",
    "tests/engine/test_doom_loop.py",
    "tests/engine/test_gates.py",
    "tests/engine/test_rolling.py",
    "tests/engine/test_live_templates.py",
    "tests/engine/test_budgets.py",
    "tests/engine/test_any_client_reports.py",
)
"""Whatever else goes through an instance."""

TARGETS = (
    Target(
        ("supervisor/scheduling/dispatcher.py",),
        ("tests/unit/scheduling/test_dispatcher.py", "tests/unit/scheduling/test_dormant_room.py", *_SCHEDULING),
    ),
    Target(
        (
            "supervisor/scheduling/admission.py",
            "supervisor/scheduling/memory_reserve.py",
            "supervisor/scheduling/swap.py",
        ),
        (
            "tests/unit/scheduling/test_admission.py",
            "tests/unit/scheduling/test_memory_reserve.py",
            "tests/unit/scheduling/test_dormant_room.py",
            *_SCHEDULING,
        ),
    ),
    Target(
        (
            "supervisor/instance/instance.py",
            "supervisor/instance/scheduler.py",
            "supervisor/instance/beginnings.py",
            "supervisor/instance/dormancy.py",
            "supervisor/instance/turns.py",
            "supervisor/instance/client_reports.py",
            "supervisor/instance/detached_turns.py",
            "supervisor/instance/stopping.py",
            "supervisor/instance/deadlines.py",
            "supervisor/instance/verbs.py",
            "supervisor/instance/core.py",
        ),
        ("tests/engine/test_one_entrance.py", *_SCHEDULING, *_CLIENTS, *_TALK, *_REST),
    ),
    Target(
        (
            "supervisor/sessions/session.py",
            "supervisor/sessions/outcomes.py",
            "supervisor/sessions/turn.py",
            "supervisor/sessions/records.py",
        ),
        (
            "tests/unit/sessions/test_session.py",
            "tests/unit/sessions/test_mailbox.py",
            "tests/unit/sessions/test_turn.py",
            "tests/unit/sessions/test_records.py",
            "tests/unit/sessions/test_held_turns.py",
            *_TALK,
            *_CLIENTS,
            *_SCHEDULING,
            *_REST,
        ),
    ),
    Target(
        (
            "supervisor/process/client.py",
            "supervisor/process/attribution.py",
            "supervisor/process/departure.py",
            "supervisor/process/sleep.py",
        ),
        (
            "tests/unit/process/test_sleep.py",
            "tests/unit/process/test_attribution.py",
            "tests/unit/process/test_exit_causes.py",
            *_CLIENTS,
            *_SCHEDULING,
            *_REST,
        ),
    ),
    Target(
        ("supervisor/api/codec.py",),
        (
            "tests/unit/api/test_codec.py",
            "tests/unit/api/test_changes.py",
            "tests/unit/journal/test_records.py",
            "tests/engine/test_restart.py",
        ),
    ),
    Target(
        (
            "supervisor/journal/erasure_book.py",
            "supervisor/journal/note_taking.py",
            "supervisor/journal/notes.py",
            "supervisor/journal/question_book.py",
            "supervisor/journal/reader.py",
            "supervisor/journal/records.py",
            "supervisor/journal/session_book.py",
            "supervisor/journal/store.py",
            "supervisor/journal/turn_book.py",
            "supervisor/journal/writer.py",
        ),
        (
            "tests/unit/journal/test_records.py",
            "tests/engine/test_journal_durability.py",
            "tests/engine/test_journal_failures.py",
            "tests/engine/test_restart.py",
            "tests/engine/test_session_gist.py",
            "tests/engine/test_forget_user.py",
            "tests/engine/test_value_bounds.py",
            "tests/engine/test_accepted_and_begun.py",
            "tests/engine/test_outcome_recorded_first.py",
            "tests/engine/test_interrupted_offers.py",
            "tests/engine/test_audit.py",
            "tests/engine/test_hooks_and_crashes.py",
            "tests/engine/test_state_directory.py",
        ),
    ),
    Target(
        (
            "supervisor/process/suspension.py",
            "supervisor/process/paging.py",
            "supervisor/process/prefetch.py",
            "supervisor/process/standstill.py",
        ),
        (
            "tests/unit/process/test_prefetch.py",
            "tests/unit/process/test_standstill.py",
            "tests/unit/process/test_paging.py",
            "tests/unit/process/test_suspension.py",
        ),
    ),
    Target(
        ("supervisor/recovery/offers.py", "supervisor/recovery/takeover.py"),
        (
            "tests/engine/test_interrupted_offers.py",
            "tests/engine/test_restart.py",
            "tests/engine/test_recorded_orders.py",
            "tests/engine/test_live_templates.py",
            "tests/engine/test_value_bounds.py",
            "tests/engine/test_budgets.py",
            "tests/engine/test_hooks_and_crashes.py",
        ),
    ),
)


def check_targets(root: Path) -> None:
    """Raises `FileNotFoundError` for one that has moved."""
    for target in TARGETS:
        for name in (*target.modules, *target.tests):
            if not (root / name).exists():
                raise FileNotFoundError(f"{name} is not there: correct tests/mutants/targets.py")
