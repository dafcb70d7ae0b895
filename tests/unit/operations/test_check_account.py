from __future__ import annotations

import pytest
from botocore.stub import Stubber

from cleanplate.aws import clients
from cleanplate.operations.check_account import NEEDED_CONCURRENCY, _alarms, _concurrency, _verdict


@pytest.fixture(autouse=True)
def _in_a_region(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "nothing",
    }.items():
        monkeypatch.setenv(name, value)
    clients._session.cache_clear()
    clients.lambda_.cache_clear()
    clients.sns.cache_clear()


@pytest.mark.parametrize(("free", "ok"), [(10, False), (NEEDED_CONCURRENCY, True), (1000, True)])
def test_a_new_accounts_quota_is_named_with_the_one_to_ask_for(free: int, ok: bool) -> None:
    with Stubber(clients.lambda_()) as lambda_:
        lambda_.add_response("get_account_settings", {"AccountLimit": {"UnreservedConcurrentExecutions": free}})
        (finding,) = _concurrency()
    assert finding.ok == ok
    assert (f"{NEEDED_CONCURRENCY} are enough" in finding.what_to_do) != ok


def test_a_subscription_that_nobody_confirmed_hears_nothing() -> None:
    with Stubber(clients.sns()) as sns:
        sns.add_response("list_subscriptions_by_topic", {"Subscriptions": [{"SubscriptionArn": "PendingConfirmation"}]})
        (finding,) = _alarms("arn:aws:sns:eu-west-1:123456789012:topic")
    assert not finding.ok
    assert finding.found == "0 subscribed, 1 not confirmed"
    assert finding.what_to_do == "Confirm the subscription in the mail from AWS."


@pytest.mark.parametrize(
    ("status", "word"),
    [(401, "refused"), (403, "refused"), (404, "retired"), (410, "retired"), (502, "retired"), (200, "unexpected")],
)
def test_a_route_is_judged_by_what_it_says_to_an_empty_request(status: int, word: str) -> None:
    found, what_to_do = _verdict(status)
    assert word in found
    assert what_to_do
