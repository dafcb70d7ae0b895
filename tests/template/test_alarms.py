"""What alarms and the dashboard look at is what is measured, on resources that there are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from cleanplate.aws.metrics import COMPARED, Metric
from cleanplate.aws.metrics import metrics as ours
from local.dev.world import World
from local.paths import ROOT

Template = dict[str, Any]
MetricName = tuple[str, str, dict[str, str]]

#: Namespace -> its dimension, the kind of resource that the dimension names, and the metrics that AWS documents.
AWS_METRICS: dict[str, tuple[str, str, set[str]]] = {
    "AWS/SQS": (
        "QueueName",
        "AWS::SQS::Queue",
        {
            "ApproximateAgeOfOldestMessage",
            "ApproximateNumberOfMessagesDelayed",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesVisible",
            "NumberOfMessagesDeleted",
            "NumberOfMessagesReceived",
            "NumberOfMessagesSent",
        },
    ),
    "AWS/Lambda": (
        "FunctionName",
        "AWS::Lambda::Function",
        {"ConcurrentExecutions", "Duration", "Errors", "Invocations", "Throttles"},
    ),
    "AWS/States": (
        "StateMachineArn",
        "AWS::StepFunctions::StateMachine",
        {"ExecutionTime", "ExecutionsAborted", "ExecutionsFailed", "ExecutionsStarted", "ExecutionsTimedOut"},
    ),
    "AWS/DynamoDB": (
        "TableName",
        "AWS::DynamoDB::Table",
        {"ConsumedReadCapacityUnits", "ConsumedWriteCapacityUnits", "ThrottledRequests"},
    ),
}

OPERATING = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
EVERY_QUARTER = "every quarter of an hour"
#: The metrics that the sweeper counts at every run, even if they are 0.
SWEPT = {str(measure) for measure in COMPARED} | {
    str(Metric.HELD),
    str(Metric.DAY_USED),
    str(Metric.SWEPT),
    str(Metric.SECONDS_WAITED),
}
#: When AWS has data: SQS says nothing of a queue that nobody used for six hours, Lambda nothing of one without a call.
DATA = {"AWS/SQS": "while the queue is in use", "AWS/Lambda": "with every call"}


def _of_alarm(alarm: dict[str, Any]) -> Iterator[MetricName]:
    stats = [query["MetricStat"]["Metric"] for query in alarm.get("Metrics", []) if "MetricStat" in query]
    for metric in stats or [alarm]:
        yield (
            metric["Namespace"],
            metric["MetricName"],
            {dimension["Name"]: dimension["Value"] for dimension in metric["Dimensions"]},
        )


def _of_dashboard(world: World) -> Iterator[MetricName]:
    (dashboard,) = world.of_type("AWS::CloudWatch::Dashboard").values()
    for widget in json.loads(dashboard["DashboardBody"])["widgets"]:
        for namespace, name, *rest in widget["properties"]["metrics"]:
            words = [word for word in rest if isinstance(word, str)]
            yield namespace, name, dict(zip(words[::2], words[1::2], strict=True))


def _check(world: World, where: str, metric: MetricName) -> None:
    namespace, name, dimensions = metric
    if namespace == ours.namespace:
        assert name in set(Metric), f"{where}: nothing measures {name}"
        # Powertools gives every metric this one dimension.
        assert dimensions == {"service": "cleanplate"}, where
        return
    dimension, kind, names = AWS_METRICS[namespace]
    assert name in names, f"{where}: AWS knows no {namespace} {name}"
    assert dimensions.keys() == {dimension}, where
    assert dimensions[dimension].partition(".")[0] in world.of_type(kind), f"{where}: {dimensions}"


def test_every_alarm_watches_an_existing_metric_of_a_resource(template: Template) -> None:
    world = World(template)
    for name, alarm in world.of_type("AWS::CloudWatch::Alarm").items():
        for metric in _of_alarm(alarm):
            _check(world, name, metric)


def test_the_dashboard_shows_existing_metrics_of_resources(template: Template) -> None:
    world = World(template)
    shown = list(_of_dashboard(world))
    for metric in shown:
        _check(world, "Dashboard", metric)
    watched = {
        (space, name)
        for alarm in world.of_type("AWS::CloudWatch::Alarm").values()
        for space, name, _ in _of_alarm(alarm)
    }
    assert not watched - {(space, name) for space, name, _ in shown}, "an alarm rings about what nobody can look at"


def test_every_functions_metrics_have_the_stacks_name(template: Template) -> None:
    for name, function in World(template).of_type("AWS::Lambda::Function").items():
        # The name that the world gives to its stack.
        assert function["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"] == "cleanplate", name
    shared = template["Resources"]["SweepJobsFunction"]["Properties"]["Environment"]["Variables"]
    assert shared["POWERTOOLS_SERVICE_NAME"] == {"Ref": "AWS::StackName"}


def test_every_alarm_notifies_the_topic_when_it_begins_and_ends(template: Template) -> None:
    for name, alarm in World(template).of_type("AWS::CloudWatch::Alarm").items():
        assert alarm["AlarmActions"] == alarm["OKActions"] == ["NotificationsTopic"], name
        assert alarm["AlarmDescription"], name


def test_silence_rings_for_the_sweeper_alone_and_not_at_a_first_deploy(template: Template) -> None:
    """What is missing from the beginning would be breaching too; an alarm begins without data, which tells nobody."""
    for name, alarm in World(template).of_type("AWS::CloudWatch::Alarm").items():
        if name == "SweeperSilentAlarm":
            assert (alarm["TreatMissingData"], alarm["InsufficientDataActions"]) == ("missing", ["NotificationsTopic"])
        else:
            assert alarm["TreatMissingData"] == "notBreaching", name
            assert "InsufficientDataActions" not in alarm, name


def test_the_operating_page_says_of_every_alarm_when_it_has_data(template: Template) -> None:
    """Which of the kinds below it is follows from the metrics that the alarm looks at."""
    for name, alarm in World(template).of_type("AWS::CloudWatch::Alarm").items():
        kinds = {DATA[space] if space in DATA else _data_of_ours(metric) for space, metric, _ in _of_alarm(alarm)}
        (said,) = re.findall(rf"^## {name}$.*?^\*\*Data:\*\* (.+?)$", OPERATING, re.MULTILINE | re.DOTALL)[:1]
        assert all(kind in said for kind in kinds), f"{name}: say {sorted(kinds)}"


def _data_of_ours(metric: str) -> str:
    return EVERY_QUARTER if metric in SWEPT else "when it happens"


def test_an_expression_uses_its_own_metrics_and_has_one_result(template: Template) -> None:
    for name, alarm in World(template).of_type("AWS::CloudWatch::Alarm").items():
        queries = alarm.get("Metrics", [])
        ids = {query["Id"] for query in queries if "MetricStat" in query}
        for query in queries:
            if "Expression" in query:
                words = set(re.findall(r"\b[a-z]\w*\b", query["Expression"]))
                assert words == ids or (not words and "METRICS()" in query["Expression"]), name
        assert len([query for query in queries if query.get("ReturnData", True)]) == (1 if queries else 0), name


def test_the_sweeper_publishes_compared_metrics_without_events(template: Template) -> None:
    """A metric without a value would leave the whole expression without one."""
    always = {str(measure) for measure in COMPARED} | {str(Metric.HELD), str(Metric.SECONDS_WAITED)}
    for name, alarm in World(template).of_type("AWS::CloudWatch::Alarm").items():
        if "Metrics" in alarm:
            own = {metric for namespace, metric, _ in _of_alarm(alarm) if namespace == ours.namespace}
            assert own <= always, name
