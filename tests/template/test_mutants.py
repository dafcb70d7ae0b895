"""Every test of the template is seen to fail: each test here runs one of them on a template with a fault put into it."""

from __future__ import annotations

import copy
import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import pytest

from tests.template import test_alarms, test_keys, test_machine, test_resources, test_rights

Template = dict[str, Any]
_GONE = object()
_MODULES = (test_alarms, test_keys, test_machine, test_resources, test_rights)


@dataclass(frozen=True)
class Fault:
    """One value that a test must not let pass: at ``at`` (names and indices from the top, with dots) stands ``value``."""

    test: Callable[..., None]
    at: str
    value: Any = _GONE
    more: dict[str, Any] = field(default_factory=dict)

    def plant(self, template: Template) -> Template:
        """Return the template with the fault in it; what lies beside the way to it is the template's own."""
        faulty = copy.copy(template)
        place: Any = faulty
        last: Any
        *path, last = [int(step) if step.isdigit() else step for step in self.at.split("/")]
        for step in path:
            place[step] = copy.copy(place[step])
            place = place[step]
        if self.value is _GONE:
            del place[last]
        else:
            before = copy.deepcopy(place[last]) if isinstance(place, list) or last in place else None
            place[last] = self.value(before) if callable(self.value) else self.value
            assert place[last] != before, "this is no fault"
        return faulty


def _p(resource: str, path: str) -> str:
    return f"Resources/{resource}/Properties/{path}"


def _statement(function: str, path: str) -> str:
    return _p(f"{function}FunctionRole", f"Policies/0/PolicyDocument/Statement/{path}")


def _machine(edit: Callable[[dict[str, Any]], None]) -> Callable[[Any], Any]:
    """An edit of the state machine's definition, which SAM keeps as a text in lines."""

    def mutated(before: Any) -> str:
        definition = json.loads("\n".join(before["Fn::Join"][1]))
        edit(definition["States"])
        return json.dumps(definition)

    return mutated


_DEFINITION = _p("CleanPhotoStateMachine", "DefinitionString")


def _also(before: Any) -> list[Any]:
    return [*(before if isinstance(before, list) else [before]), "s3:DeleteObject"]


FAULTS = [
    # --- buckets ---
    Fault(
        test_resources.test_every_bucket_is_closed_to_the_public,
        _p("ResultsBucket", "PublicAccessBlockConfiguration/RestrictPublicBuckets"), value=False,
    ),
    Fault(
        test_resources.test_every_bucket_is_encrypted,
        _p("WorkBucket", "BucketEncryption/ServerSideEncryptionConfiguration/0/ServerSideEncryptionByDefault/Fn::If/2/SSEAlgorithm"),
        "none",
    ),
    Fault(
        test_resources.test_every_bucket_refuses_what_does_not_come_by_tls,
        _p("WorkBucketPolicy", "PolicyDocument/Statement/0/Effect"), "Allow",
    ),
    Fault(
        test_resources.test_work_is_gone_after_a_day_and_masks_outlive_the_deadline,
        _p("WorkBucket", "LifecycleConfiguration/Rules/0/ExpirationInDays"), 10,
    ),
    Fault(
        test_resources.test_photos_keep_their_versions_and_what_is_there_never_expires,
        _p("UploadsBucket", "VersioningConfiguration/Status"), "Suspended",
    ),
    Fault(
        test_resources.test_what_was_deleted_is_gone_for_good_once_no_job_can_want_it,
        _p("ResultsBucket", "LifecycleConfiguration"),
    ),
    Fault(
        test_resources.test_every_function_has_its_log_group_before_its_first_call,
        _p("SaveResultLogGroup", "LogGroupName"), {"Fn::Sub": "/aws/lambda/${SaveResultFunction}"},
    ),
    Fault(
        test_resources.test_the_table_is_encrypted_and_can_be_restored, _p("JobsTable", "SSESpecification"), {"SSEEnabled": True},
    ),
    Fault(
        test_resources.test_a_partition_that_adobe_does_not_fetch_from_is_refused,
        "Rules/AdobeReadsFromThisPartition/Assertions/0/Assert/Fn::Contains/0/0", "aws-cn", {"partition": "aws-cn", "taken": 0},
    ),
    Fault(test_resources.test_photos_results_and_records_outlive_the_stack, "Resources/ResultsBucket/DeletionPolicy", "Delete"),
    Fault(
        test_resources.test_s3_notifies_of_uploads_by_an_existing_event,
        _p("UploadsBucket", "NotificationConfiguration/QueueConfigurations/0/Event"), "s3:ObjectCreate:*",
    ),
    Fault(
        test_resources.test_only_the_uploads_bucket_notifies,
        _p("ResultsBucket", "NotificationConfiguration"), {"EventBridgeConfiguration": {"EventBridgeEnabled": True}},
    ),
    Fault(
        test_resources.test_the_uploads_prefix_is_kept_to_in_both_ways,
        _p("UploadedRule", "EventPattern/detail/object"),
    ),
    # --- queue ---
    Fault(
        test_resources.test_a_message_stays_hidden_six_times_as_long_as_its_function_may_run,
        _p("RequestMaskFunction", "Timeout"), 300,
    ),
    Fault(
        test_resources.test_failing_messages_go_to_a_dead_letter_queue_with_retention,
        _p("UploadsQueue", "RedrivePolicy/deadLetterTargetArn"), {"Fn::GetAtt": ["UploadsQueue", "Arn"]},
    ),
    Fault(test_resources.test_every_queue_is_encrypted, _p("DeadLetterQueue", "SqsManagedSseEnabled")),
    Fault(
        test_resources.test_every_message_is_a_call_of_its_own,
        _p("RequestMaskFunctionUploads", "FunctionResponseTypes"), [],
    ),
    Fault(
        test_resources.test_the_index_of_waiting_photos_is_the_one_that_the_room_reads,
        _p("JobsTable", "GlobalSecondaryIndexes/1/KeySchema/1/AttributeName"), "not_before",
    ),
    # --- records and secret ---
    Fault(
        test_resources.test_the_table_forgets_by_the_attribute_that_the_ledger_writes,
        _p("JobsTable", "TimeToLiveSpecification/AttributeName"), "forgotten_at",
    ),
    Fault(test_resources.test_the_tables_key_is_the_one_that_the_code_uses, _p("JobsTable", "KeySchema/0/AttributeName"), "id"),
    Fault(
        test_resources.test_the_index_of_open_jobs_is_the_ledgers_and_holds_only_keys,
        _p("JobsTable", "GlobalSecondaryIndexes/0/Projection/ProjectionType"), "ALL",
    ),
    Fault(
        test_resources.test_the_secret_is_json_whatever_the_parameters_hold,
        "Parameters/AdobeClientSecret/AllowedPattern", ".+",
    ),
    *(
        Fault(test_resources.test_no_other_parameter_writes_the_secret_again, _p("AdobeSecret", path), value)
        for path, value in [
            ("SecretString", {"Fn::Sub": '{"client_id": "${AdobeClientId}", "scopes": "${AdobeScopes}"}'}),
            ("GenerateSecretString", {"SecretStringTemplate": {"Ref": "AdobeOrgId"}}),
            ("Name", {"Ref": "LogLevel"}),
        ]
    ),
    Fault(test_resources.test_secrets_are_never_shown_as_parameters, "Parameters/AdobeClientSecret/NoEcho"),
    Fault(
        test_resources.test_no_output_and_no_variable_holds_the_secret_itself,
        _p("CheckJobFunction", "Environment/Variables/ADOBE_CLIENT_SECRET"), {"Ref": "AdobeClientSecret"},
    ),
    # --- functions, logs, traces ---
    Fault(
        test_resources.test_every_function_has_a_handler_in_code_that_is_there,
        _p("SaveResultFunction", "Handler"), "app.handler",
    ),
    Fault(
        test_resources.test_every_functions_logs_are_kept_for_a_time_that_is_chosen,
        _p("CheckJobLogGroup", "RetentionInDays"),
    ),
    Fault(
        test_resources.test_every_function_and_every_machine_is_traced,
        _p("CheckJobFunction", "TracingConfig/Mode"), "Active",
    ),
    Fault(
        test_resources.test_every_machine_logs_its_errors_and_none_of_its_data,
        _p("CleanPhotoStateMachine", "LoggingConfiguration/IncludeExecutionData"), value=True,
    ),
    Fault(
        test_resources.test_every_state_machine_is_a_standard_one,
        _p("CleanPhotoStateMachine", "StateMachineType"), "EXPRESS",
    ),
    Fault(
        test_alarms.test_every_alarm_watches_an_existing_metric_of_a_resource,
        _p("DeadLettersAlarm", "MetricName"), "ApproximateNumberOfMessages",
    ),
    Fault(
        test_alarms.test_the_dashboard_shows_existing_metrics_of_resources,
        _p("Dashboard", "DashboardBody/Fn::Sub"), lambda before: before.replace("AdobePolls", "AdobeAsks"),
    ),
    Fault(
        test_alarms.test_every_functions_metrics_have_the_stacks_name,
        _p("SweepJobsFunction", "Environment/Variables/POWERTOOLS_SERVICE_NAME"), "cleanplate",
    ),
    Fault(test_alarms.test_every_alarm_notifies_the_topic_when_it_begins_and_ends, _p("ThrottledAlarm", "AlarmActions"), []),
    Fault(
        test_alarms.test_silence_rings_for_the_sweeper_alone_and_not_at_a_first_deploy,
        _p("SweeperSilentAlarm", "InsufficientDataActions"),
    ),
    Fault(test_alarms.test_the_operating_page_says_of_every_alarm_when_it_has_data, _p("StuckJobsAlarm", "MetricName"), "AdobeThrottled"),
    Fault(
        test_alarms.test_an_expression_uses_its_own_metrics_and_has_one_result,
        _p("FailedShareAlarm", "Metrics/0/Expression"), "IF(failed > 10, 100 * failed, 0)",
    ),
    Fault(
        test_alarms.test_the_sweeper_publishes_compared_metrics_without_events,
        _p("FailedShareAlarm", "Metrics/1/MetricStat/Metric/MetricName"), "AdobeThrottled",
    ),
    # --- the stack as a whole ---
    Fault(
        test_resources.test_a_webhook_without_a_secret_is_refused,
        "Rules/AWebhookKnowsItsCaller/RuleCondition", {"Fn::Equals": [{"Ref": "WebhookUrl"}, "never"]},
    ),
    Fault(
        test_resources.test_one_bucket_for_both_uploads_and_results_is_refused,
        "Rules/UploadsAndResultsAreTwoBuckets/RuleCondition", {"Fn::Equals": [{"Ref": "ExistingUploadsBucket"}, ""]},
    ),
    Fault(
        test_resources.test_a_budget_that_pays_for_no_photo_is_refused, "Rules/ABudgetPaysForAPhoto/Assertions", [],
    ),
    Fault(
        test_resources.test_two_buckets_are_not_refused,
        "Rules/UploadsAndResultsAreTwoBuckets/RuleCondition", {"Fn::Equals": ["", ""]},
    ),
    Fault(
        test_resources.test_nothing_speaks_of_a_resource_that_its_conditions_leave_out,
        "Resources/NotificationsTopic/Condition", "HasEmail",
    ),
    Fault(
        test_resources.test_the_functions_get_the_names_of_existing_buckets,
        _p("SaveResultFunction", "Environment/Variables/RESULTS_BUCKET/Fn::If/0"), "CreatesUploads",
    ),
    # --- the machine ---
    Fault(test_machine.test_every_choice_has_a_default, _DEFINITION, _machine(lambda states: states.update({"Pick?": {"Type": "Choice", "Choices": []}}))),
    Fault(test_machine.test_every_task_ends_in_time_and_so_does_every_machine, _DEFINITION, _machine(lambda states: states["CheckFill"].pop("TimeoutSeconds"))),
    Fault(
        test_machine.test_every_error_of_a_task_is_caught_and_leads_to_a_recorded_failure,
        _DEFINITION, _machine(lambda states: states["SaveResult"]["Catch"][0].update(Next="PhotoFailed")),
    ),
    Fault(
        test_machine.test_states_all_stands_alone_and_last_and_never_in_a_retry,
        _DEFINITION, _machine(lambda states: states["CheckMask"]["Retry"][0]["ErrorEquals"].append("States.ALL")),
    ),
    Fault(
        test_machine.test_what_is_not_there_yet_is_waited_for,
        _DEFINITION, _machine(lambda states: states["CheckMask"]["Catch"][0].update(Next="WaitForFill")),
    ),
    Fault(
        test_machine.test_every_retry_is_bounded_backs_off_and_is_spread,
        _DEFINITION, _machine(lambda states: states["CheckMask"]["Retry"][0].update(MaxAttempts=1000)),
    ),
    Fault(
        test_machine.test_a_photo_ends_as_saved_or_as_failed_and_in_no_other_state,
        _DEFINITION, _machine(lambda states: states["CheckMask"]["Catch"][0].update(Next="PhotoFailed") or states["CheckMask"].update(Next="PhotoFailed")),
    ),
    Fault(
        test_machine.test_a_photo_that_meets_no_long_wait_takes_four_transitions,
        _DEFINITION,
        _machine(
            lambda states: states.update(
                {
                    "Pause": {"Type": "Pass", "Next": "FillMaskedAreas"},
                    "CheckMask": {**states["CheckMask"], "Next": "Pause"},
                }
            )
        ),
    ),
    Fault(
        test_machine.test_nothing_but_ids_words_and_waits_flows_through_the_machine,
        _DEFINITION, _machine(lambda states: states["CheckMask"].update(Output="{% $states.result %}")),
    ),
    # --- keys ---
    *(
        Fault(test_keys.test_with_a_key_all_that_the_stack_keeps_is_encrypted_with_it, _p(resource, setting))
        for resource, setting in [
            ("ResultsBucket", "BucketEncryption/ServerSideEncryptionConfiguration/0/BucketKeyEnabled"),
            ("DeadLetterQueue", "KmsMasterKeyId"),
            ("NotificationsTopic", "KmsMasterKeyId"),
            ("AdobeSecret", "KmsKeyId"),
            ("CheckJobLogGroup", "KmsKeyId"),
            ("JobsTable", "SSESpecification/Fn::If/1/KMSMasterKeyId"),
        ]
    ),
    Fault(
        test_keys.test_without_a_key_nothing_speaks_of_one,
        _p("UploadsQueue", "KmsMasterKeyId/Fn::If/2"), "alias/aws/sqs",
    ),
    Fault(
        test_keys.test_a_function_may_use_the_stacks_key_for_its_own_data_only,
        _p("ReportProgressFunctionRole", "Policies/0/PolicyDocument/Statement/2/Fn::If/1/Action"),
        ["kms:Decrypt", "kms:GenerateDataKey"],
    ),
    Fault(
        test_keys.test_a_function_may_use_the_keys_of_existing_buckets_it_uses,
        _p("RecordFailureFunctionRole", "Policies/0/PolicyDocument/Statement/5"),
    ),
    Fault(test_keys.test_keys_are_named_by_their_arn, "Parameters/KmsKeyArn/AllowedPattern", ".*"),
    Fault(
        test_keys.test_no_policy_of_the_stack_lets_the_public_in,
        _p("UploadsQueuePolicy", "PolicyDocument/Statement/0/Principal"), "*",
    ),
    # --- rights ---
    Fault(
        test_rights.test_every_function_has_the_rights_that_its_code_uses_and_no_other,
        _statement("SaveResult", "0/Action"), _also,
    ),
    Fault(
        test_rights.test_every_function_has_a_role_to_itself,
        _p("CheckJobFunction", "Role/Fn::GetAtt/0"), "SaveResultFunctionRole",
    ),
    Fault(
        test_rights.test_no_role_has_a_policy_that_aws_writes,
        _p("CheckJobFunctionRole", "ManagedPolicyArns"), ["arn:aws:iam::aws:policy/AmazonS3FullAccess"],
    ),
    Fault(
        test_rights.test_what_a_rule_passes_on_is_valid_json_whatever_a_photo_is_called,
        _p("PhotoFailedRule", "Targets/0/InputTransformer"),
        {"InputPathsMap": {"key": "$.detail.photo.key"}, "InputTemplate": '"<key>"'},
    ),
    Fault(
        test_rights.test_a_mail_about_a_failed_photo_that_does_not_arrive_is_kept,
        _p("PhotoFailedRule", "Targets/0/DeadLetterConfig"),
    ),
    Fault(
        test_rights.test_alarms_and_failures_may_be_published_to_the_topic,
        _p("NotificationsTopicPolicy", "PolicyDocument/Statement/1/Condition"),
        {"StringEquals": {"aws:SourceAccount": "123456789012"}}, {"email": ""},
    ),
    Fault(
        test_rights.test_rights_on_everything_have_a_written_reason,
        _statement("CheckJob", "0/Resource"), "*",
    ),
    Fault(
        test_rights.test_rights_follow_the_buckets_whether_new_or_existing,
        _statement("SaveResult", "0/Resource"), {"Fn::Sub": "${UploadsBucket.Arn}/*"},
    ),
    Fault(test_rights.test_no_function_may_write_where_photos_are_uploaded, _statement("RequestMask", "0/Action"), _also),
    Fault(
        test_rights.test_every_machine_may_invoke_exactly_the_functions_that_it_calls,
        _p("CleanPhotoStateMachineRole", "Policies/0/PolicyDocument/Statement/0/Resource/1"),
    ),
    Fault(
        test_rights.test_every_role_can_be_taken_by_its_own_service_alone,
        _p("CheckJobFunctionRole", "AssumeRolePolicyDocument/Statement/0/Principal/Service"), ["ec2.amazonaws.com"],
    ),
    Fault(
        test_rights.test_a_rule_may_reach_its_target,
        _p("RecordFailureFunctionExecutionEndedPermission", "SourceArn"), {"Fn::GetAtt": ["RequestedRule", "Arn"]},
    ),
    *(
        Fault(
            test_rights.test_the_queue_accepts_messages_from_this_account_alone,
            _p("UploadsQueuePolicy", f"PolicyDocument/Statement/{number}/Condition"), {}, {"service": service},
        )
        for number, service in enumerate(["s3.amazonaws.com", "events.amazonaws.com"])
    ),
    Fault(
        test_rights.test_every_queue_refuses_what_does_not_come_by_tls,
        _p("UploadsQueuePolicy", "PolicyDocument/Statement/2/Action"), "sqs:SendMessage",
    ),
    Fault(
        test_rights.test_the_dead_letter_queue_accepts_only_undelivered_events,
        _p("DeadLetterQueuePolicy", "PolicyDocument/Statement/0/Principal/Service"), "s3.amazonaws.com",
    ),
    Fault(
        test_rights.test_what_a_rule_cannot_deliver_to_the_queue_is_kept,
        _p("RequestedRule", "Targets/0/DeadLetterConfig/Arn"), {"Fn::GetAtt": ["UploadsQueue", "Arn"]},
    ),
    Fault(test_rights.test_events_are_put_under_our_own_name_alone, _statement("RecordFailure", "2/Condition"), {}),
]  # fmt: skip


def _named(fault: Fault) -> str:
    return f"{fault.test.__name__.removeprefix('test_')}:{fault.at.split('/')[1]}"


@pytest.mark.parametrize("fault", FAULTS, ids=_named)
def test_a_mutant_fails_its_check(fault: Fault, template: Template) -> None:
    # A test that takes a list of one apart says so by ValueError; a missing name, by KeyError.
    faulty = fault.plant(template)
    with pytest.raises((AssertionError, KeyError, ValueError)):
        fault.test(faulty, **fault.more)


def _tests(module: ModuleType) -> set[Callable[..., None]]:
    return {
        value
        for name, value in vars(module).items()
        if name.startswith("test_") and inspect.isfunction(value) and value.__module__ == module.__name__
    }


def test_every_test_of_the_template_has_been_seen_to_fail() -> None:
    unseen = {test for module in _MODULES for test in _tests(module)} - {fault.test for fault in FAULTS}
    assert not unseen, sorted(test.__name__ for test in unseen)
