"""CloudWatch's part in the ringing of an alarm, as far as the embedded AWS leaves it out.

The functions' metrics are read from where they really travel, their logs; what SQS would say of a queue is asked of the
queue. Alarms are taken as the template defines them, with every dimension and their arithmetic, and only what they
look at counts. Then the embedded CloudWatch is given the same numbers, compares, and rings at the topic by itself.
"""

from __future__ import annotations

import ast
import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from local.dev.world import World
from local.embedded_aws.deploy import EXPRESSIONS, log_group
from local.embedded_aws.template import transformed
from tests.end_to_end.conftest import System

#: Metrics of SQS, and what the queue itself calls them.
_ATTRIBUTES = {
    "ApproximateNumberOfMessagesVisible": "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible": "ApproximateNumberOfMessagesNotVisible",
}
_STATISTICS: Mapping[str, Callable[[list[float]], float]] = {"Sum": sum, "Maximum": max, "SampleCount": len}
_COMPARED = {
    "GreaterThanThreshold": float.__gt__,
    "GreaterThanOrEqualToThreshold": float.__ge__,
    "LessThanThreshold": float.__lt__,
}


@dataclass(frozen=True)
class Metric:
    """A metric as an alarm names it, with the statistic."""

    namespace: str
    name: str
    dimensions: Mapping[str, str]
    statistic: str


class Alarms:
    """The alarms of a deployed stack, and a subscriber to its topic."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._aws = system.aws
        self.since = time.time()
        self._physical = _physical_ids(system)
        self._log_groups = _log_groups(system)
        self.definitions = _alarms()
        self._read: dict[str, list[str]] = {}
        self._queue = self._subscribe()

    # --- what was measured ---

    def _points(self, metric: Metric) -> list[float]:
        """The values of one metric since this reader was made."""
        if metric.namespace == "AWS/SQS":
            return self._of_queue(metric)
        if metric.namespace == "AWS/Lambda":
            return self._of_function(metric)
        return [value for found, value in self._measured() if found == (metric.name, dict(metric.dimensions))]

    def _measured(self) -> Iterator[tuple[tuple[str, dict[str, str]], float]]:
        for name in self._system.stack.functions.values():
            for message in self._logged(name):
                yield from _embedded(message)

    def _logged(self, function: str) -> list[str]:
        """What a function has logged since this reader was made; read once for each look at alarms."""
        if function not in self._read:
            messages = self._read[function] = []
            logs = self._aws.client("logs")
            with contextlib.suppress(logs.exceptions.ResourceNotFoundException):
                pages = logs.get_paginator("filter_log_events").paginate(
                    logGroupName=self._log_groups[function], startTime=int(self.since * 1000)
                )
                messages += [event["message"] for page in pages for event in page["events"]]
        return self._read[function]

    def _of_queue(self, metric: Metric) -> list[float]:
        if metric.name not in _ATTRIBUTES:
            return []
        names: Any = [_ATTRIBUTES[metric.name]]
        queue = self._physical[metric.dimensions["QueueName"].partition(".")[0]]
        answer = self._aws.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=names)
        return [float(number) for number in answer["Attributes"].values()]

    def _of_function(self, metric: Metric) -> list[float]:
        """One for each error that Lambda's runtime wrote: the embedded AWS counts none of those that a queue met."""
        name = self._physical[metric.dimensions["FunctionName"]]
        return [1.0 for message in self._logged(name) if message.startswith("[ERROR]")]

    # --- what an alarm makes of it ---

    def value(self, alarm: str, given: Mapping[str, float] | None = None) -> float | None:
        """What an alarm compares; None where there are no data. ``given`` stands for metrics that nobody measures here."""
        self._read.clear()
        return self._value(alarm, given)

    def rings(self, alarm: str, given: Mapping[str, float] | None = None) -> bool:
        """Whether the alarm, as it is deployed, says ALARM of what was measured."""
        self._read.clear()
        return self._rings(alarm, given)

    def ringing(self, given: Mapping[str, Mapping[str, float]]) -> list[str]:
        """All alarms that ring; ``given`` stands for metrics of some of them."""
        self._read.clear()
        return [alarm for alarm in self.definitions if self._rings(alarm, given.get(alarm))]

    def _value(self, alarm: str, given: Mapping[str, float] | None) -> float | None:
        about = self.definitions[alarm]
        if "Metrics" not in about:
            return self._statistic(_metric(about, about["Statistic"]))
        values: dict[str, float | None] = {}
        for query in about["Metrics"]:
            if "MetricStat" in query:
                stat = query["MetricStat"]
                values[query["Id"]] = self._statistic(_metric(stat["Metric"], stat["Stat"]))
        known = {name: value for name, value in {**values, **(given or {})}.items() if value is not None}
        (expression,) = (query["Expression"] for query in about["Metrics"] if "Expression" in query)
        try:
            return float(_Arithmetic(known).work_out(expression))
        except KeyError:
            return None

    def _rings(self, alarm: str, given: Mapping[str, float] | None) -> bool:
        about, value = self.definitions[alarm], self._value(alarm, given)
        if value is None:
            return about["TreatMissingData"] == "missing" and bool(about.get("InsufficientDataActions"))
        return bool(_COMPARED[about["ComparisonOperator"]](value, float(about["Threshold"])))

    def _statistic(self, metric: Metric) -> float | None:
        points = self._points(metric)
        return float(_STATISTICS[metric.statistic](points)) if points else None

    # --- who is notified ---

    def publish_metrics(self, alarm: str, given: Mapping[str, float] | None = None) -> None:
        """Give the embedded CloudWatch what CloudWatch has from the logs; it compares, and rings by itself."""
        cloudwatch = self._aws.client("cloudwatch")
        self._read.clear()
        cloudwatch.set_alarm_state(AlarmName=self._physical[alarm], StateValue="OK", StateReason="before the test")
        (deployed,) = cloudwatch.describe_alarms(AlarmNames=[self._physical[alarm]])["MetricAlarms"]
        about = self.definitions[alarm]
        if "Metrics" in about:
            assert (deployed["Namespace"], deployed["MetricName"]) == (EXPRESSIONS, alarm)
            value = self._value(alarm, given)
            points = [] if value is None else [value]
        else:
            points = self._points(_metric(about, about["Statistic"]))
        data: list[Any] = [
            {"MetricName": deployed["MetricName"], "Dimensions": deployed["Dimensions"], "Value": point}
            for point in points
        ]
        if data:
            cloudwatch.put_metric_data(Namespace=deployed["Namespace"], MetricData=data)
        else:
            # The embedded AWS makes nothing of missing data.
            cloudwatch.set_alarm_state(
                AlarmName=self._physical[alarm], StateValue="INSUFFICIENT_DATA", StateReason="no data"
            )

    def notification(self, alarm: str, deadline: float = 10.0) -> dict[str, Any]:
        """The message about this alarm that arrived at the subscriber."""
        sqs, until = self._aws.client("sqs"), time.monotonic() + deadline
        while time.monotonic() < until:
            answer = sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10, WaitTimeSeconds=1)
            for message in answer.get("Messages", []):
                sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"])
                notification: dict[str, Any] = json.loads(json.loads(message["Body"])["Message"])
                # The topic carries failed photos as well.
                if notification.get("AlarmName") == self._physical[alarm] and notification["NewStateValue"] != "OK":
                    return notification
        raise AssertionError(f"nobody was notified of {alarm}")

    def _subscribe(self) -> str:
        sqs, sns = self._aws.client("sqs"), self._aws.client("sns")
        url = sqs.create_queue(QueueName=f"pager-{int(self.since * 1000)}")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        policy = {"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": arn}]}
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy)})
        sns.subscribe(TopicArn=self._system.stack.outputs["NotificationsTopicArn"], Protocol="sqs", Endpoint=arn)
        return url


@cache
def _alarms() -> dict[str, dict[str, Any]]:
    return World(transformed(), {"NotificationEmail": ""}).of_type("AWS::CloudWatch::Alarm")


@cache
def _physical_ids(system: System) -> dict[str, str]:
    pages = system.aws.client("cloudformation").get_paginator("list_stack_resources")
    return {
        found["LogicalResourceId"]: found["PhysicalResourceId"]
        for page in pages.paginate(StackName=system.stack.name)
        for found in page["StackResourceSummaries"]
    }


@cache
def _log_groups(system: System) -> dict[str, str]:
    return {name: log_group(system.aws, name) for name in system.stack.functions.values()}


def _metric(about: Mapping[str, Any], statistic: str) -> Metric:
    dimensions = {dimension["Name"]: dimension["Value"] for dimension in about["Dimensions"]}
    return Metric(about["Namespace"], about["MetricName"], dimensions, statistic)


def _embedded(message: str) -> Iterator[tuple[tuple[str, dict[str, str]], float]]:
    """Names, dimensions and values in the embedded metric format of one log event."""
    for line in message.splitlines():
        with contextlib.suppress(ValueError):
            found = json.loads(line)
            for directive in found["_aws"]["CloudWatchMetrics"] if isinstance(found, dict) and "_aws" in found else []:
                assert directive["Namespace"] == "Cleanplate"
                for names in directive["Dimensions"]:
                    for metric in directive["Metrics"]:
                        values = found[metric["Name"]]
                        for value in values if isinstance(values, list) else [values]:
                            yield (metric["Name"], {name: found[name] for name in names}), float(value)


class _Arithmetic:
    """The part of CloudWatch's metric math that the template uses."""

    def __init__(self, values: Mapping[str, float]) -> None:
        self._values = values

    def work_out(self, expression: str) -> float:
        """One number; raises KeyError where a metric has no data."""
        words = expression.replace(" AND ", " and ").replace(" OR ", " or ")
        return float(self._of(ast.parse(words, mode="eval").body))

    def _of(self, node: ast.AST) -> Any:
        match node:
            case ast.Constant(value=value):
                return value
            case ast.Name(id=name):
                return self._values[name]
            case ast.BoolOp(op=kind, values=parts):
                # Every part: what has no data leaves the whole without.
                truths = [self._of(part) for part in parts]
                return {ast.And: all, ast.Or: any}[type(kind)](truths)
            case ast.Compare(left=left, ops=[kind], comparators=[right]):
                compare = {ast.Gt: float.__gt__, ast.Lt: float.__lt__, ast.GtE: float.__ge__}[type(kind)]
                return compare(float(self._of(left)), float(self._of(right)))
            case ast.BinOp(left=left, op=kind, right=right):
                work = {ast.Add: float.__add__, ast.Mult: float.__mul__, ast.Div: float.__truediv__}[type(kind)]
                return work(float(self._of(left)), float(self._of(right)))
            case ast.Call(func=ast.Name(id="IF"), args=[condition, yes, no]):
                return self._of(yes) if self._of(condition) else self._of(no)
            case ast.Call(func=ast.Name(id="SUM"), args=[ast.Call(func=ast.Name(id="METRICS"))]):
                return sum(self._values.values())
        raise AssertionError(f"{ast.dump(node)}: teach this arithmetic")
