"""A second look at the template and its roles by tools that nobody here wrote: checkov and parliament.

They lie in an environment of their own. What is not kept of their rules stands here, with the reason.
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from local.dev.world import CHOICES, World
from local.embedded_aws.template import transformed
from local.paths import ROOT

PYTHON = ROOT / ".venv-audit" / "bin" / "python"

#: checkov's rules that are not kept -> why. Each must still find something, or it is to be removed here.
NOT_KEPT: Mapping[str, str] = MappingProxyType(
    {
        "CKV_AWS_18": "access logs of S3 name keys and callers, and need a bucket of their own: for the account to decide",
        "CKV_AWS_21": "the work bucket keeps its files for days and all of them can be made again",
        "CKV_AWS_115": "reserved concurrency is taken from the account's, of which a new one has 10",
        "CKV_AWS_116": "a function's dead-letter queue is for asynchronous calls; SQS's and the rules' own stand where these are",
        "CKV_AWS_117": "nothing here lies in a VPC, and Adobe is reached over the internet",
        "CKV_AWS_119": "a customer's key costs money; KmsKeyArn is for those who want one",
        "CKV_AWS_173": "the environment holds no secret, only names, addresses and numbers",
    }
)
#: What parliament gets wrong: (issue, words of it) -> why. Each must still be said, or it is to be removed here.
WRONG: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("RESOURCE_MISMATCH", "states:DescribeExecution"): (
            "the action is on executions of standard machines too; its list knows those of express ones alone"
        ),
    }
)
#: Its command line loads what it knows of all other languages first.
_CHECKOV = """
import json, sys
from checkov.cloudformation.runner import Runner
from checkov.runner_filter import RunnerFilter
report = Runner().run(None, files=sys.argv[1:], runner_filter=RunnerFilter(framework=["cloudformation"]))
if report.parsing_errors or not report.passed_checks + report.failed_checks:
    sys.exit(f"nothing was checked: {report.parsing_errors}")
print(json.dumps([(each.check_id, each.check_name, each.resource) for each in report.failed_checks]))
"""
#: Its command line leaves a log in /tmp, its library does not.
_PARLIAMENT = """
import json, sys
from parliament import analyze_policy_string
found = [
    (name, each.issue, f"{each.detail} {each.location.get('string') or ''}".strip())
    for name, policy in json.load(sys.stdin).items()
    for each in analyze_policy_string(policy).findings
]
print(json.dumps(found))
"""

_ARNS = {
    "AWS::S3::Bucket": "arn:aws:s3:::{0}",
    "AWS::SQS::Queue": "arn:aws:sqs:us-east-1:123456789012:{0}",
    "AWS::SNS::Topic": "arn:aws:sns:us-east-1:123456789012:{0}",
    "AWS::DynamoDB::Table": "arn:aws:dynamodb:us-east-1:123456789012:table/{0}",
    "AWS::Lambda::Function": "arn:aws:lambda:us-east-1:123456789012:function:{0}",
    "AWS::Logs::LogGroup": "arn:aws:logs:us-east-1:123456789012:log-group:{0}:*",
    "AWS::StepFunctions::StateMachine": "arn:aws:states:us-east-1:123456789012:stateMachine:{0}",
    "AWS::SecretsManager::Secret": "arn:aws:secretsmanager:us-east-1:123456789012:secret:{0}",
}
_REFERRED_TO_BY_ARN = {"AWS::SecretsManager::Secret", "AWS::SNS::Topic", "AWS::StepFunctions::StateMachine"}


def audit_template(template: Mapping[str, Any] | None = None) -> list[str]:
    """Return what checkov reports about the transformed template, without the rules that are not kept."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "template.json"
        path.write_text(json.dumps(transformed() if template is None else template), encoding="utf-8")
        output = _run("-c", _CHECKOV, str(path))
    try:
        failed = [(rule, name, resource) for rule, name, resource in json.loads(output)]
    except (ValueError, TypeError):
        return [f"checkov did not run: {output[-500:]}"]
    unheard = set() if template is not None else set(NOT_KEPT) - {rule for rule, _, _ in failed}
    return [f"{resource}: {rule} {name}" for rule, name, resource in failed if rule not in NOT_KEPT] + [
        f"checkov no longer says {rule}: remove it from NOT_KEPT." for rule in sorted(unheard)
    ]


def audit_roles(template: Mapping[str, Any] | None = None) -> list[str]:
    """Return what parliament reports about the policies of every role, with keys of one's own and without."""
    whole = transformed() if template is None else template
    worlds = [World(whole), World(whole, {name: given for name, (_, given) in CHOICES.items()})]
    policies = {
        f"{role} {policy['PolicyName']} {number}": _with_arns(json.dumps(policy["PolicyDocument"]), world)
        for number, world in enumerate(worlds)
        for role, about in world.of_type("AWS::IAM::Role").items()
        for policy in about.get("Policies", [])
    }
    output = _run("-c", _PARLIAMENT, given=json.dumps(policies))
    try:
        found = {(name.split()[0], issue, detail) for name, issue, detail in json.loads(output)}
    except ValueError:
        return [f"parliament did not run: {output[-500:]}"]
    alarms = {each: [alarm for alarm in WRONG if alarm[0] == each[1] and alarm[1] in each[2]] for each in found}
    unheard = set() if template is not None else set(WRONG) - {alarm for false in alarms.values() for alarm in false}
    return [f"{role}: {issue} {detail}" for (role, issue, detail), false in sorted(alarms.items()) if not false] + [
        f"parliament no longer says {issue} of {words}: remove it from WRONG." for issue, words in sorted(unheard)
    ]


def _with_arns(policy: str, world: World) -> str:
    """Put ARNs of the right form where the template refers to something that does not exist yet."""

    def arn(match: re.Match[str]) -> str:
        name, attribute = match.groups()
        kind = world.resources.get(name, {}).get("Type", "")
        return _ARNS[kind].format(name) if attribute or kind in _REFERRED_TO_BY_ARN else name

    return re.sub(r'(?<=")([A-Z]\w+)(?:(\.Arn)\b|(?="))', arn, policy)


def _run(*words: str, given: str = "") -> str:
    try:
        done = subprocess.run(
            [str(PYTHON), "-W", "ignore", *words], input=given, capture_output=True, text=True, check=False, timeout=300
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return done.stdout.strip() or done.stderr
