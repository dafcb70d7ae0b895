"""Every check is seen to fail: each test here runs one of them on a project with a fault put into it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import pytest

from tests.consistency import (
    test_dependencies,
    test_docs,
    test_errors,
    test_facts,
    test_functions,
    test_inputs,
    test_layers,
    test_operating,
    test_repository,
    test_settings,
    test_state_machine,
    test_times,
    test_words,
)
from tests.consistency.project import MACHINE, PACKAGE, TEMPLATE, Project

ERRORS = f"{PACKAGE}/errors.py"
SETTINGS = f"{PACKAGE}/settings.py"
STEPS = f"{PACKAGE}/steps"
_UPLOAD = "events/request_mask.json"

_MODULES = (
    test_dependencies,
    test_docs,
    test_errors,
    test_facts,
    test_functions,
    test_inputs,
    test_layers,
    test_operating,
    test_repository,
    test_settings,
    test_state_machine,
    test_times,
    test_words,
)
#: These compare with something outside the project's text, or bring their own mutants.
_SELF_PROVING = {test_layers.test_the_linter_refuses_what_the_layers_forbid}


@dataclass(frozen=True)
class Fault:
    """One edit that a check must not let pass. ``old`` is replaced by ``new`` once; no ``old`` is a new file."""

    check: Callable[..., None]
    path: str
    old: str = ""
    new: str | None = ""
    more: dict[str, Any] = field(default_factory=dict)

    def mutated(self) -> Project:
        """The project with this fault in it."""
        if self.new is None or not self.old:
            return Project({self.path: self.new})
        text = Project().text(self.path)
        assert self.old in text, f"{self.path} no longer reads {self.old!r}: choose another fault"
        return Project({self.path: text.replace(self.old, self.new, 1)})


FAULTS = [
    # --- inputs ---
    Fault(
        test_inputs.test_nothing_deployed_runs_programs_or_evaluates_text,
        f"{PACKAGE}/aws/storage.py", "import base64\n", "import base64\nimport subprocess\n",
    ),
    Fault(
        test_inputs.test_the_one_program_that_is_run_is_ours,
        f"{PACKAGE}/imaging/jpeg_blocks.py", '[sys.executable, "-I", "-S", ', '["python3", "-I", "-S", ',
    ),
    Fault(
        test_inputs.test_nothing_deployed_opens_a_path,
        f"{PACKAGE}/aws/temp_file.py", "tempfile.TemporaryFile(prefix=", "tempfile.NamedTemporaryFile(prefix=",
    ),
    Fault(
        test_inputs.test_a_right_on_everything_has_its_reason_beside_it,
        TEMPLATE, "                # Neither log delivery nor X-Ray knows resources.\n", "",
    ),
    # --- operating ---
    Fault(
        test_operating.test_alarms_and_sections_of_the_operating_page_match,
        "docs/operating.md", "## ThrottledAlarm", "## TooManyRequestsAlarm",
    ),
    Fault(
        test_operating.test_every_section_says_what_it_means_what_to_look_at_and_what_to_do,
        "docs/operating.md", "**Do:** leave others", "**Perhaps:** leave others",
    ),
    Fault(
        test_operating.test_the_operating_page_names_errors_and_parameters_that_exist,
        "docs/operating.md", "`JobOverdueError`", "`JobLateError`",
    ),
    Fault(
        test_operating.test_the_operating_page_names_resources_that_exist,
        "docs/operating.md", "YOUR-SWEEP-JOBS-FUNCTION", "YOUR-SWEEPER",
    ),
    # --- errors ---
    Fault(
        test_errors.test_every_error_in_retry_or_catch_is_a_class_or_the_platforms,
        MACHINE, "NotAnnouncedError", "NotAnouncedError",
    ),
    Fault(
        test_errors.test_every_error_that_the_template_gives_to_a_function_is_a_class,
        TEMPLATE, '"error": "ExecutionStoppedError"', '"error": "ExecutionAbortedError"',
    ),
    Fault(
        test_errors.test_every_error_in_a_sample_event_is_a_class,
        "events/record_failure.json", "AdobeJobFailedError", "AdobeFailedError",
    ),
    Fault(
        test_errors.test_every_error_is_drawn_in_the_tree_below_its_base,
        ERRORS, "    │   ├── OwnMaskSizeError\n", "",
    ),
    Fault(
        test_errors.test_every_error_says_what_to_do_in_words_of_its_own_class,
        ERRORS, '\n    what_to_do = "The upload has 0 bytes. Upload the photo again."\n', "",
    ),
    Fault(
        test_errors.test_every_error_ends_in_error,
        f"{PACKAGE}/outcomes.py", "\ndef failure_of(", "\nclass Late(CleanplateError):\n    pass\n\n\ndef failure_of(",
    ),
    Fault(
        test_errors.test_every_raise_of_an_error_by_name_is_read_in_the_terms_of_a_step,
        f"{PACKAGE}/error_names.py", '{"States.Timeout", ', "{",
    ),
    Fault(test_errors.test_all_retry_blocks_are_one, MACHINE, "MaxAttempts: 6", "MaxAttempts: 5"),
    Fault(
        test_errors.test_all_catch_blocks_are_one,
        MACHINE, 'cause: "{% $states.errorOutput.Cause %}"', 'cause: "{% $states.errorOutput %}"',
    ),
    # --- state machine ---
    Fault(
        test_state_machine.test_every_placeholder_is_substituted_and_every_substitution_is_used,
        MACHINE, "${SaveResultFunctionArn}", "${SaveResultArn}",
    ),
    Fault(
        test_state_machine.test_every_substituted_function_is_the_one_that_its_name_says,
        TEMPLATE, "SaveResultFunctionArn: !GetAtt SaveResultFunction.Arn", "SaveResultFunctionArn: !GetAtt CheckJobFunction.Arn",
    ),
    Fault(
        test_state_machine.test_every_word_that_a_choice_waits_for_is_returned_by_a_step,
        "statemachine/backfill.asl.yaml", "= 'nothing_there'", "= 'nothing_here'",
    ),
    Fault(
        test_state_machine.test_only_one_word_of_a_step_is_left_to_a_choices_default,
        f"{PACKAGE}/operations/send_photos.py", '_answer("full"', '_answer("full" if sent else "brimming"',
    ),
    Fault(
        test_state_machine.test_the_execution_starts_with_all_that_the_machine_reads_of_its_input,
        MACHINE, 'Seconds: "{% $states.input.wait_seconds %}"', 'Seconds: "{% $states.input.seconds %}"',
    ),
    Fault(
        test_state_machine.test_the_words_of_not_ready_are_the_seconds_that_the_machine_reads,
        f"{STEPS}/check_job.py", "NotReadyError(str(whole_seconds(seconds)))", 'NotReadyError("Not ready.")',
    ),
    Fault(test_state_machine.test_every_step_that_a_task_names_is_one_that_check_job_knows, MACHINE, "step: fill", "step: filling"),
    Fault(
        test_state_machine.test_the_payload_of_every_task_is_what_its_function_reads,
        MACHINE, 'waited: "{% $states.input.wait_seconds %}"', 'wait: "{% $states.input.wait_seconds %}"',
    ),
    Fault(
        test_state_machine.test_expressions_read_the_states_own_values_and_no_variable,
        MACHINE, "$states.context.Execution.Name", "$execution",
    ),
    Fault(test_state_machine.test_states_are_named_by_one_rule, MACHINE, "  WaitForFill:\n", "  FillWait:\n"),
    # --- times ---
    Fault(
        test_times.test_a_message_stays_hidden_six_times_as_long_as_its_function_may_run,
        TEMPLATE, "VisibilityTimeout: 1080", "VisibilityTimeout: 1079",
    ),
    Fault(
        test_times.test_a_message_is_kept_longer_than_the_latest_deadline_of_a_photo,
        TEMPLATE, "MessageRetentionPeriod: 1209600", "MessageRetentionPeriod: 345600",
    ),
    Fault(
        test_times.test_the_machine_gives_every_function_the_time_that_the_function_has,
        MACHINE, "TimeoutSeconds: 310", "TimeoutSeconds: 300",
    ),
    Fault(
        test_times.test_the_machine_outlives_the_latest_slot_and_its_longest_fill,
        MACHINE, "TimeoutSeconds: 1036800", "TimeoutSeconds: 864000",
    ),
    Fault(
        test_times.test_a_lease_outlives_every_function_that_posts,
        f"{PACKAGE}/jobs/ledger.py", "LEASE_SECONDS = 200.0", "LEASE_SECONDS = 150.0",
    ),
    Fault(
        test_times.test_a_lease_ends_before_a_message_whose_call_died_comes_back,
        f"{PACKAGE}/jobs/ledger.py", "LEASE_SECONDS = 200.0", "LEASE_SECONDS = 2000.0",
    ),
    Fault(
        test_times.test_a_fault_is_tried_for_hours_with_pauses_that_sqs_can_make,
        f"{PACKAGE}/aws/queue.py", "_LONGEST_PAUSE = 3600", "_LONGEST_PAUSE = 900",
    ),
    Fault(
        test_times.test_both_queues_hide_a_message_six_times_as_long,
        TEMPLATE, "VisibilityTimeout: 1080", "VisibilityTimeout: 1000",
    ),
    Fault(
        test_times.test_the_rooms_lease_outlasts_a_call_that_looks,
        f"{PACKAGE}/steps/admit_photos.py", "_LEASE = 120.0", "_LEASE = 20.0",
    ),
    Fault(
        test_times.test_a_job_is_late_only_when_every_repeat_of_its_slowest_step_is_over,
        f"{PACKAGE}/jobs/deadlines.py", "SLACK = 5400.0", "SLACK = 2000.0",
    ),
    Fault(
        test_times.test_a_job_is_late_only_when_a_message_whose_call_died_has_come_back,
        f"{PACKAGE}/jobs/deadlines.py", "TO_ANNOUNCE = 7200.0", "TO_ANNOUNCE = 900.0",
    ),
    Fault(
        test_times.test_the_sweeper_ends_a_job_only_where_its_time_does_for_it,
        f"{PACKAGE}/operations/sweep_jobs.py", "_TIME_FOR_ONE = 20.0", "_TIME_FOR_ONE = 200.0",
    ),
    Fault(
        test_times.test_a_throttled_call_is_repeated_for_longer_than_any_other,
        MACHINE, "MaxAttempts: 10", "MaxAttempts: 2",
    ),
    Fault(
        test_times.test_the_longest_execution_stays_below_step_functions_limit_of_events,
        MACHINE, "MaxAttempts: 10", "MaxAttempts: 2000",
    ),
    Fault(
        test_times.test_a_record_outlives_every_message_about_its_photo,
        TEMPLATE, "    MinValue: 100\n    MaxValue: 3650\n", "    MinValue: 30\n    MaxValue: 3650\n",
    ),
    Fault(
        test_times.test_a_stored_answer_is_used_only_while_links_live,
        f"{PACKAGE}/jobs/reuse.py", "ANSWER_SECONDS = 3000.0", "ANSWER_SECONDS = 4000.0",
    ),
    # --- settings ---
    Fault(
        test_settings.test_every_setting_that_a_function_needs_is_set_for_it,
        TEMPLATE, "        RECORD_DAYS: !Ref RecordDays\n", "",
    ),
    Fault(
        test_settings.test_every_setting_in_the_template_is_read,
        SETTINGS, '_number(environ, "MAX_MEGAPIXELS", least=0.001)', '_number(environ, "MAX_PIXELS", least=0.001)',
    ),
    Fault(
        test_settings.test_a_setting_that_one_function_has_to_itself_is_needed_by_it,
        TEMPLATE, "      CodeUri: functions/check_job/\n",
        "      CodeUri: functions/check_job/\n      Environment: { Variables: { STATE_MACHINE_ARN: x } }\n",
    ),
    Fault(
        test_settings.test_every_powertools_setting_is_one_that_powertools_reads,
        TEMPLATE, "POWERTOOLS_SERVICE_NAME", "POWERTOOLS_SERVICE",
    ),
    Fault(
        test_settings.test_every_field_of_the_settings_is_used,
        f"{PACKAGE}/steps/save_result.py", "services.settings.mark_as_edited", "True",
    ),
    Fault(
        test_settings.test_every_option_with_a_default_is_an_option_and_a_setting,
        SETTINGS, '"feather": "FEATHER"', '"fether": "FEATHER"',
    ),
    Fault(
        test_settings.test_the_stacks_defaults_are_the_options_own,
        TEMPLATE, "    Default: subject\n", "    Default: everything\n",
    ),
    Fault(
        test_settings.test_a_parameter_takes_the_values_that_its_option_takes,
        TEMPLATE, "AllowedValues: [same, jpeg, png, webp]", "AllowedValues: [same, jpeg, png]",
    ),
    Fault(test_settings.test_every_parameter_is_used, TEMPLATE, "\nRules:\n", "  Colour:\n    Type: String\n\nRules:\n"),
    Fault(
        test_settings.test_every_parameter_is_in_one_group,
        TEMPLATE, "Parameters: [Remove, MinScore, ", "Parameters: [Remove, ",
    ),
    Fault(
        test_settings.test_every_parameter_says_what_it_is_and_what_it_may_be,
        TEMPLATE, "    MinValue: 100\n    MaxValue: 3650\n", "",
    ),
    Fault(
        test_settings.test_every_number_that_a_parameter_allows_is_one_that_the_code_accepts,
        TEMPLATE, "    MaxValue: 6000\n", "    MaxValue: 100000\n",
    ),
    Fault(
        test_settings.test_every_parameter_that_a_message_names_exists,
        ERRORS, "MaxMegapixels or MaxPhotoMegabytes parameter", "MaxPixels or MaxPhotoMegabytes parameter",
    ),
    # --- functions and events ---
    Fault(
        test_functions.test_every_folder_is_a_function_and_every_function_a_folder,
        "functions/tidy_up/app.py", "", "def lambda_handler(event, context): ...\n",
    ),
    Fault(test_functions.test_every_function_has_its_handler, TEMPLATE, "Handler: app.lambda_handler", "Handler: app.handler"),
    Fault(test_functions.test_every_function_has_its_step, "functions/check_job/app.py", "cleanplate.steps.check_job", "cleanplate.steps.save_result"),
    Fault(test_functions.test_every_function_has_its_log_group, TEMPLATE, "/aws/lambda/${AWS::StackName}-save-result", "/aws/lambda/save"),
    Fault(
        test_functions.test_functions_and_sample_events_match_by_name,
        "events/save_result.json", "", None,
    ),
    Fault(test_functions.test_every_handler_fits_a_screen, "functions/check_job/app.py", "\n\n", "\n" * 60),
    Fault(
        test_functions.test_the_samples_of_a_step_are_payloads_that_the_machine_sends,
        "events/check_job.json", '"waited"', '"wait"',
    ),
    Fault(
        test_functions.test_every_step_of_check_job_has_a_sample_event,
        "events/check_job.fill.json", "", None,
    ),
    Fault(test_functions.test_the_samples_speak_of_one_photo_and_its_job, "events/save_result.json", '"4f39', '"4f38'),
    Fault(
        test_functions.test_every_job_id_in_a_sample_is_forty_hexadecimal_digits,
        "events/save_result.json", '"4f39', '"g4f39',
    ),
    Fault(test_functions.test_every_queue_message_has_the_digest_of_its_body, _UPLOAD, "2483012", "2483013"),
    Fault(test_functions.test_the_sample_keys_are_awkward_and_encoded_as_s3_does, _UPLOAD, "holiday+2026", "holiday%202026"),
    Fault(
        test_functions.test_both_kinds_of_s3_event_are_the_same_upload,
        "events/request_mask.eventbridge.json", "Zoë", "Zo%C3%AB",
    ),
    Fault(
        test_functions.test_the_sample_request_is_one_that_is_read,
        "events/request_mask.requested.json", r'\"options\":{\"remove\":[\"dog\",\"leash\"],\"min_score\":0.8,\"grow\":20}', r'\"options\":{}',
    ),
    Fault(
        test_functions.test_the_test_event_of_s3_is_no_upload,
        "events/request_mask.test_event.json", "", Project().text(_UPLOAD),
    ),
    Fault(
        test_functions.test_the_rules_match_the_sample_events,
        TEMPLATE, "detail-type: [Object Created]", "detail-type: [ObjectCreated]",
    ),
    Fault(
        test_functions.test_a_request_is_taken_by_one_of_two_rules_whatever_it_names,
        TEMPLATE, "[{ exists: false }, { anything-but: *our_buckets }]", "[{ anything-but: *our_buckets }]",
    ),
    Fault(
        test_functions.test_the_rule_for_ended_executions_makes_the_sample_of_it,
        TEMPLATE, "status: [FAILED, TIMED_OUT, ABORTED]", "status: [FAILED, ABORTED]",
    ),
    Fault(test_functions.test_the_rules_say_what_the_code_says, TEMPLATE, "detail-type: [Photo Failed]", "detail-type: [PhotoFailed]"),
    # --- layers, dependencies, repository ---
    Fault(
        test_repository.test_no_file_speaks_of_a_path_on_somebodys_machine,
        "docs/notes.md", "", "See /ho" + "me/somebody/cleanplate.\n",
    ),
    Fault(
        test_dependencies.test_no_requirements_name_a_registry,
        "requirements/extra.txt", "", "--index" + "-url https://packages.example/simple\n",
    ),
    Fault(
        test_repository.test_the_docs_name_sample_events_that_exist,
        "docs/development.md", "EVENT=.local/events/check_job.fill.json", "EVENT=.local/events/check.json",
    ),
    Fault(
        test_repository.test_every_link_in_the_docs_leads_somewhere,
        "docs/using.md", "(events.md#the-manifest)", "(events.md#manifests)",
    ),
    Fault(
        test_repository.test_the_docs_name_files_that_exist,
        "docs/adobe-api.md", "cleanplate/adobe/routes.py", "cleanplate/adobe/paths.py",
    ),
    Fault(
        test_docs.test_the_generated_tables_are_up_to_date,
        "docs/failures.md", "| `EmptyPhotoError` |", "| `NoBytesError` |", {"page": "docs/failures.md"},
    ),
    Fault(test_facts.test_a_test_that_the_proof_page_names_is_there, "docs/proof.md", ".py::test_", ".py::test_no_such_"),
    Fault(
        test_facts.test_every_fact_is_held_by_a_test_or_stands_on_a_page,
        "docs/proof.md", "## Facts that no emulator shows\n", "## Facts that no emulator shows\n\n| a fact | a word |\n",
    ),
    Fault(test_repository.test_the_docs_name_commands_that_exist, "README.md", "make deploy", "make publish"),
    Fault(
        test_dependencies.test_every_compiled_requirement_has_its_hashes,
        "requirements/extra.txt", "", "idna==3.20\n",
    ),
    Fault(test_dependencies.test_what_is_tested_is_what_is_deployed, "requirements/test.txt", "\npillow==13", "\npillow==12"),
    Fault(
        test_dependencies.test_every_pin_that_is_wished_for_is_the_one_that_is_compiled,
        "requirements/sam.in", "statelint==3.1.0", "statelint==3.0.0",
    ),
    Fault(
        test_dependencies.test_deployed_code_imports_only_what_layers_or_runtime_bring,
        f"{PACKAGE}/steps/mask_selection.py", "from __future__ import annotations\n", "from __future__ import annotations\nimport numpy\n",
    ),
    Fault(
        test_dependencies.test_layers_are_built_for_the_functions_runtime_and_processor,
        TEMPLATE, "Runtime: python3.13", "Runtime: python3.14",
    ),
    Fault(
        test_dependencies.test_the_template_and_the_package_have_one_version_and_licence,
        TEMPLATE, "SemanticVersion: 1.0.0", "SemanticVersion: 1.0.1",
    ),
    Fault(
        test_dependencies.test_pre_commit_runs_the_ruff_that_is_pinned,
        ".pre-commit-config.yaml", "rev: v0.", "rev: v9.",
    ),
    Fault(test_dependencies.test_every_function_has_both_layers, TEMPLATE, "      - !Ref DependenciesLayer\n", ""),
    Fault(
        test_layers.test_every_folder_of_the_package_is_installed_with_it,
        "pyproject.toml", ', "cleanplate.uploads"]', "]",
    ),
    Fault(
        test_layers.test_the_command_needs_nothing_that_only_a_checkout_has,
        "cleanplate_cli/errors.py", "from __future__ import annotations\n", "from __future__ import annotations\nimport local.paths\n",
    ),
    Fault(
        test_layers.test_nothing_deployed_imports_local_or_tests,
        f"{PACKAGE}/steps/mask_selection.py", "from __future__ import annotations\n", "from __future__ import annotations\nimport local.embedded_aws.server\n",
    ),
    Fault(
        test_layers.test_errors_and_models_import_nothing_of_ours,
        f"{PACKAGE}/models.py", "from typing import", "from cleanplate.errors import CleanplateError\nfrom typing import",
    ),
    Fault(
        test_layers.test_modules_and_functions_that_are_deployed_stay_short,
        f"{PACKAGE}/models.py", "from typing import", "\n" * 400 + "from typing import",
    ),
    Fault(
        test_layers.test_modules_and_functions_that_are_deployed_stay_short,
        f"{PACKAGE}/steps/submit.py", "    return job\n\n\ndef _sign_in", "\n" * 50 + "    return job\n\n\ndef _sign_in",
    ),
    Fault(
        test_layers.test_policy_has_neither_input_nor_output_nor_a_clock,
        f"{PACKAGE}/steps/mask_selection.py", "from __future__ import annotations\n", "from __future__ import annotations\nimport time\n",
        {"name": "steps/mask_selection"},
    ),
    Fault(
        test_layers.test_only_one_module_reads_the_environment_and_only_one_builds_clients,
        f"{PACKAGE}/services.py", "    stack = settings()\n", "    stack = settings() or os.environ\n",
    ),
    Fault(
        test_words.test_no_test_has_a_name_longer_than_seventy_characters,
        "tests/unit/test_long.py", new=f"def test_{'long_' * 14}() -> None: ...\n",
    ),
    Fault(
        test_words.test_code_and_docs_use_the_projects_terms,
        f"{PACKAGE}/services.py", "    stack = settings()\n", "    laptop_settings = settings()\n",
    ),
]  # fmt: skip


def _named(fault: Fault) -> str:
    return f"{fault.check.__name__.removeprefix('test_')}:{fault.path.rpartition('/')[2]}"


@pytest.mark.parametrize("fault", FAULTS, ids=_named)
def test_a_mutant_fails_its_check(fault: Fault) -> None:
    faulty = fault.mutated()
    with pytest.raises(AssertionError):
        fault.check(faulty, **fault.more)


def _checks(module: ModuleType) -> set[Callable[..., None]]:
    return {
        value
        for name, value in vars(module).items()
        if name.startswith("test_") and inspect.isfunction(value) and value.__module__ == module.__name__
    }


def test_every_check_has_been_seen_to_fail() -> None:
    checks = {check for module in _MODULES for check in _checks(module)}
    unseen = checks - {fault.check for fault in FAULTS} - _SELF_PROVING
    assert not unseen, sorted(check.__name__ for check in unseen)
