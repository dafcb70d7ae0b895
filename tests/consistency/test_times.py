"""Times that are written in several files and must fit each other."""

from __future__ import annotations

import ast

from cleanplate.jobs.result_owners import HOLD_SECONDS
from cleanplate.rate_limit.polling import next_wait
from tests.consistency.project import PACKAGE, Project, called_by

LEDGER = f"{PACKAGE}/jobs/ledger.py"
QUEUE = f"{PACKAGE}/aws/queue.py"
STORAGE = f"{PACKAGE}/aws/storage.py"
DEADLINES = f"{PACKAGE}/jobs/deadlines.py"
SWEEPER = f"{PACKAGE}/operations/sweep_jobs.py"
_SQS_LONGEST = 43_200
_HOUR = 3600


THROTTLED = ["Lambda.TooManyRequestsException"]


def _constant(project: Project, path: str, name: str) -> float:
    """A number that a module writes as ``NAME = 1.5``."""
    return next(
        float(node.value.value)
        for node in project.tree(path).body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id == name
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, int | float)
    )


def _parameter(project: Project, name: str, field: str) -> float:
    return float(project.template["Parameters"][name][field])


def _queue(project: Project) -> dict[str, int]:
    queue: dict[str, int] = project.resources("AWS::SQS::Queue")["UploadsQueue"]
    return queue


def _posting(project: Project) -> set[str]:
    """The functions that send paid requests: those that reach a step which calls ``send``."""
    steps = {
        path
        for path in project.files(f"{PACKAGE}/steps/*.py")
        for node in project.nodes(path)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "send"
    }
    return {
        name
        for name, about in project.functions.items()
        for own in [_own_steps(project, f"{about['CodeUri'].strip('/')}/app.py")]
        if steps & {*own, *(below for step in own for below in _own_steps(project, step))}
    }


def _own_steps(project: Project, path: str) -> list[str]:
    return [
        f"{PACKAGE}/{node.module.removeprefix('cleanplate.').replace('.', '/')}.py"
        for node in project.nodes(path)
        if isinstance(node, ast.ImportFrom)
        and node.module
        and node.module.startswith(("cleanplate.steps.", "cleanplate.operations."))
    ]


def test_a_message_stays_hidden_six_times_as_long_as_its_function_may_run(project: Project) -> None:
    assert _queue(project)["VisibilityTimeout"] >= 6 * project.seconds("RequestMaskFunction")


def test_a_message_is_kept_longer_than_the_latest_deadline_of_a_photo(project: Project) -> None:
    assert _queue(project)["MessageRetentionPeriod"] > _parameter(project, "PhotoDeadlineHours", "MaxValue") * _HOUR


def test_the_machine_gives_every_function_the_time_that_the_function_has(project: Project) -> None:
    for _, name, state in project.tasks():
        assert state["TimeoutSeconds"] > project.seconds(called_by(state)), name


def test_the_machine_outlives_the_latest_slot_and_its_longest_fill(project: Project) -> None:
    latest_slot = _parameter(project, "PhotoDeadlineHours", "MaxValue") * _HOUR
    assert project.machine["TimeoutSeconds"] > latest_slot + _parameter(project, "FillDeadlineSeconds", "MaxValue")


def test_a_lease_outlives_every_function_that_posts(project: Project) -> None:
    """Until the function is surely dead its answer may still be written, so nobody else may send the POST again."""
    posting = _posting(project)
    assert posting == {"RequestMaskFunction", "CheckJobFunction", "FillMaskedAreasFunction"}
    lease = _constant(project, LEDGER, "LEASE_SECONDS")
    assert lease > max(project.seconds(name) for name in posting)


def test_a_lease_ends_before_a_message_whose_call_died_comes_back(project: Project) -> None:
    assert _constant(project, LEDGER, "LEASE_SECONDS") < _queue(project)["VisibilityTimeout"]


def test_a_fault_is_tried_for_hours_with_pauses_that_sqs_can_make(project: Project) -> None:
    first, growth, longest = (
        _constant(project, QUEUE, name) for name in ("_FIRST_PAUSE", "_PAUSE_GROWTH", "_LONGEST_PAUSE")
    )
    for name in ("UploadsQueue", "AdmittedQueue"):
        receives = project.resources("AWS::SQS::Queue")[name]["RedrivePolicy"]["maxReceiveCount"]
        pauses = [min(first * growth**number, longest) for number in range(receives - 1)]
        assert sum(pauses) >= 5 * _HOUR, name
        assert longest + project.seconds("RequestMaskFunction") <= _SQS_LONGEST
        # Three faults ring: within a minute of the first.
        assert sum(pauses[:2]) < 60


def test_both_queues_hide_a_message_six_times_as_long(project: Project) -> None:
    queues = project.resources("AWS::SQS::Queue")
    hidden = {queues[name]["VisibilityTimeout"] for name in ("UploadsQueue", "AdmittedQueue")}
    assert hidden == {6 * project.seconds("RequestMaskFunction")}


def test_the_rooms_lease_outlasts_a_call_that_looks(project: Project) -> None:
    lease, look = (_constant(project, f"{PACKAGE}/steps/admit_photos.py", name) for name in ("_LEASE", "_TIME_FOR_ONE"))
    assert lease > 3 * look
    assert look < project.seconds("AdmitPhotosFunction") / 10


def test_a_record_outlives_every_message_about_its_photo(project: Project) -> None:
    """In the queue, in its execution, and among the dead letters until somebody redrives it."""
    queues = project.resources("AWS::SQS::Queue")
    kept = (queues[name]["MessageRetentionPeriod"] for name in ("UploadsQueue", "AdmittedQueue", "DeadLetterQueue"))
    longest = sum(kept) + project.machine["TimeoutSeconds"]
    assert _parameter(project, "RecordDays", "MinValue") * 24 * _HOUR > longest


def test_a_stored_answer_is_used_only_while_links_live(project: Project) -> None:
    assert _constant(project, f"{PACKAGE}/jobs/reuse.py", "ANSWER_SECONDS") < _constant(
        project, STORAGE, "LINK_SECONDS"
    )


def test_a_job_is_late_only_when_every_repeat_of_its_slowest_step_is_over(project: Project) -> None:
    slack = _constant(project, DEADLINES, "SLACK")
    for name, state in project.states("Task").items():
        repeats = state["Retry"]
        pauses = sum(
            min(clause["IntervalSeconds"] * clause["BackoffRate"] ** number, clause["MaxDelaySeconds"])
            for clause in repeats
            for number in range(clause["MaxAttempts"])
        )
        # A call that was throttled has run nothing.
        ran = [clause for clause in repeats if clause["ErrorEquals"] != THROTTLED]
        tries = 1 + sum(clause["MaxAttempts"] for clause in ran)
        assert slack > tries * state["TimeoutSeconds"] + pauses, name


def test_a_throttled_call_is_repeated_for_longer_than_any_other(project: Project) -> None:
    """A new account may run ten functions at once, so a burst is throttled for minutes."""
    for name, state in project.states("Task").items():
        seconds = {
            tuple(clause["ErrorEquals"]): sum(
                min(clause["IntervalSeconds"] * clause["BackoffRate"] ** number, clause["MaxDelaySeconds"])
                for number in range(clause["MaxAttempts"])
            )
            for clause in state["Retry"]
        }
        throttled = seconds.pop(tuple(THROTTLED))
        # That one waits for a writer of the same result, whose hold ends when it is said to.
        assert seconds.pop(("LedgerBusyError",)) > HOLD_SECONDS
        assert throttled > 4 * max(seconds.values()), name


def test_the_longest_execution_stays_below_step_functions_limit_of_events(project: Project) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html: 25,000 events, and the execution fails.

    A wait is two events, a task that answers five, a choice two; a failed attempt of a task three.
    """
    loop, repeat = 2 + 5 + 2, 3
    checks = 0
    for parameter in ("MaskDeadlineSeconds", "FillDeadlineSeconds"):
        elapsed, wait, deadline = 0.0, 0.0, _parameter(project, parameter, "MaxValue")
        while elapsed < deadline:
            wait = next_wait(checks, wait, elapsed, 1.0, None, deadline, 0.0) if elapsed else 1.0
            elapsed, checks = elapsed + wait, checks + 1
    attempts = sum(clause["MaxAttempts"] for clause in project.states("Task")["CheckMask"]["Retry"])
    steps = len(project.states("Task"))
    # Beside the checks: each step as often as a run may come to it for a slot, and every repeat of one call of each.
    slots = _parameter(project, "PhotoDeadlineHours", "MaxValue") * loop
    assert checks * loop + slots + steps * (loop + attempts * repeat) < 25_000


def test_a_job_is_late_only_when_a_message_whose_call_died_has_come_back(project: Project) -> None:
    visibility = _queue(project)["VisibilityTimeout"]
    assert _constant(project, DEADLINES, "SLACK") > 2 * visibility
    assert _constant(project, DEADLINES, "TO_ANNOUNCE") > 2 * visibility


def test_the_sweeper_ends_a_job_only_where_its_time_does_for_it(project: Project) -> None:
    assert _constant(project, SWEEPER, "_TIME_FOR_ONE") < project.seconds("SweepJobsFunction")
