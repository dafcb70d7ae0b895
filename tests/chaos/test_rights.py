"""Every right of every function is tried by taking it away, or it is said where it is proved instead."""

from __future__ import annotations

from functools import cache

from local.dev.world import World
from local.embedded_aws.template import transformed
from tests.chaos.rights import SPECIAL, UNTRIED, USUAL, Trial, is_untried

EVERYTHING = {
    "KmsKeyArn": "arn:aws:kms:us-east-1:123456789012:key/the-stacks",
    "BucketKeyArns": "arn:aws:kms:us-east-1:123456789012:key/theirs",
    "OtherBucket": "their-archive",
}


@cache
def _trials() -> frozenset[Trial]:
    """What there is to try in the template, with every part of it in use."""
    roles = World(transformed(), EVERYTHING).of_type("AWS::IAM::Role")
    return frozenset(
        Trial(name.removesuffix("Role"), rule["Sid"], action)
        for name, role in roles.items()
        if name.endswith("FunctionRole")
        for policy in role.get("Policies", [])
        for rule in policy["PolicyDocument"]["Statement"]
        for action in ([rule["Action"]] if isinstance(rule["Action"], str) else rule["Action"])
    )


def test_every_right_is_tried_or_its_proof_is_named() -> None:
    functions = {trial.function for trial in _trials()}
    assert functions
    assert functions == USUAL.keys()


def test_what_is_special_or_untried_is_a_right_that_there_is() -> None:
    assert SPECIAL.keys() <= _trials()
    for trial in UNTRIED:
        there = {one for one in _trials() if (one.sid, one.action) == (trial.sid, trial.action)}
        # Not every way to use a key both reads and writes.
        assert there or trial.action.startswith("kms:"), trial.name


def test_what_is_not_tried_is_little_and_says_why() -> None:
    untried = {trial for trial in _trials() if is_untried(trial)}
    actions = {trial.action for trial in untried if trial.sid not in {"SeeQuota", "Trace", "WriteLogs", "TakeMessages"}}
    assert actions == {"kms:Decrypt", "kms:GenerateDataKey", "s3:ListBucket"}
    assert all(is_untried(trial).rpartition(": ")[2].endswith(".py") for trial in untried)
    assert not untried & SPECIAL.keys()


def test_a_function_has_no_two_statements_of_one_name() -> None:
    """Or taking an action from one would take it from the other as well."""
    roles = World(transformed(), EVERYTHING).of_type("AWS::IAM::Role")
    for name, role in roles.items():
        sids = [rule["Sid"] for policy in role.get("Policies", []) for rule in policy["PolicyDocument"]["Statement"]]
        assert len(sids) == len(set(sids)), name
