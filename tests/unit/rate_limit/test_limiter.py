from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from cleanplate.rate_limit.limiter import RateLimiter
from cleanplate.rate_limit.limits import RateLimits
from cleanplate.rate_limit.state import FILL_ROUTE, RateLimitState, Slot
from tests.aws import client_as_new, create_plain_table, ministack_dynamodb_client

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

NOW = 1_800_000_000.0
MASK = "mask-objects"
LIMITS = RateLimits(per_day=None)
KEY = {"job_id": {"S": "limiter#adobe"}}


class Clock:
    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Counting:
    """The client, counting calls, able to be late, and with the date that DynamoDB would send."""

    def __init__(self, client: DynamoDBClient, date: Callable[[], float]) -> None:
        self._client = client
        self._date = date
        self.exceptions = client.exceptions
        self.calls: list[str] = []
        self.before_write: Callable[[], object] = lambda: None

    def get_item(self, **arguments: Any) -> Any:
        return self._do("get_item", arguments)

    def put_item(self, **arguments: Any) -> Any:
        self.before_write()
        return self._do("put_item", arguments)

    def update_item(self, **arguments: Any) -> Any:
        self.before_write()
        return self._do("update_item", arguments)

    def _do(self, name: str, arguments: dict[str, Any]) -> Any:
        self.calls.append(name)
        date = formatdate(self._date(), usegmt=True)
        try:
            answer = getattr(self._client, name)(**arguments)
        except ClientError as error:
            error.response["ResponseMetadata"]["HTTPHeaders"]["date"] = date
            raise
        answer["ResponseMetadata"]["HTTPHeaders"]["date"] = date
        return answer


#: The rest are given ministack's table, whose calls take less time.
ON_MOTO = {
    "test_a_first_reservation_writes_the_item_and_goes_at_once",
    "test_two_callers_never_get_the_same_slot",
    "test_a_refused_write_continues_with_the_item_it_returned",
    "test_a_write_that_botocore_repeats_recognises_itself",
    "test_a_lost_item_is_written_again_from_memory",
}


@pytest.fixture
def client(request: pytest.FixtureRequest) -> Iterator[DynamoDBClient]:
    with mock_aws():
        client: DynamoDBClient = (
            client_as_new("dynamodb") if request.node.name in ON_MOTO else ministack_dynamodb_client()
        )
        create_plain_table(client)
        yield client


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make(client: DynamoDBClient, clock: Clock) -> Callable[..., tuple[RateLimiter, Counting]]:
    def build(own_clock: Clock = clock, limits: RateLimits = LIMITS) -> tuple[RateLimiter, Counting]:
        counting = Counting(client, clock)
        limiter = RateLimiter(
            counting,  # type: ignore[arg-type]
            "Jobs",
            limits,
            clock=own_clock,
            random=lambda: 0.5,
            sleep=lambda _: None,
        )
        return limiter, counting

    return build


Make = Callable[..., tuple[RateLimiter, Counting]]


def test_a_first_reservation_writes_the_item_and_goes_at_once(make: Make, client: DynamoDBClient) -> None:
    limiter, calls = make()
    slot = limiter.reserve("mask", route=MASK)
    assert slot == Slot(NOW)
    assert slot.wait_seconds(limiter.now()) == 0
    assert calls.calls == ["get_item", "put_item"]
    assert client.get_item(TableName="Jobs", Key=KEY)["Item"]["version"]


def test_a_slot_costs_a_read_and_a_write_and_soon_after_a_write(make: Make, clock: Clock) -> None:
    limiter, calls = make()
    limiter.reserve("mask", route=MASK)
    calls.calls.clear()
    clock.now += 30
    limiter.reserve("fill", route=FILL_ROUTE)
    assert calls.calls == ["get_item", "update_item"]
    calls.calls.clear()
    limiter.reserve("fill", route=FILL_ROUTE)
    assert calls.calls == ["update_item"]


def test_two_callers_never_get_the_same_slot(make: Make) -> None:
    (one, _), (other, _) = make(), make()
    slots = [limiter.reserve("fill", route=FILL_ROUTE).at for _ in range(10) for limiter in (one, other)]
    assert len(set(slots)) == 20


def test_a_refused_write_continues_with_the_item_it_returned(make: Make) -> None:
    (one, calls), (other, _) = make(), make()
    one.reserve("fill", route=FILL_ROUTE)
    other.reserve("fill", route=FILL_ROUTE)
    calls.calls.clear()
    one.reserve("fill", route=FILL_ROUTE)
    assert calls.calls == ["update_item", "update_item"]


@pytest.mark.parametrize("operation", ["put_item", "update_item"])
def test_a_write_that_botocore_repeats_recognises_itself(
    make: Make, client: DynamoDBClient, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    """GIVEN a write whose answer was lost WHEN it is sent again THEN it is not another caller's, and one slot is taken."""
    (limiter, calls), (other, _) = make(), make()
    if operation == "update_item":
        other.reserve("fill", route=FILL_ROUTE)
    write = getattr(client, operation)

    def twice(**arguments: Any) -> Any:
        write(**arguments)
        return write(**arguments)

    monkeypatch.setattr(client, operation, twice)
    limiter.reserve("fill", route=FILL_ROUTE)
    assert calls.calls == ["get_item", operation]
    assert sum(other.state().day_counts.values()) == 1 + (operation == "update_item")


def test_a_caller_that_is_always_passed_by_is_sent_away_for_a_moment(make: Make) -> None:
    (one, calls), (other, _) = make(), make()
    one.reserve("fill", route=FILL_ROUTE)
    calls.before_write = lambda: other.record_unavailable("another")
    slot = one.reserve("fill", route=FILL_ROUTE)
    assert (slot.granted, slot.reason) == (False, "contended")
    assert 1 <= slot.wait_seconds(one.now()) <= 4


def test_threads_never_get_the_same_slot(client: DynamoDBClient) -> None:
    start = threading.Barrier(8)

    def work(_: int) -> list[float]:
        limiter = RateLimiter(client, "Jobs", LIMITS)
        start.wait()
        slots = [limiter.reserve("fill", route=FILL_ROUTE) for _ in range(10)]
        return [slot.at for slot in slots if slot.granted]

    with ThreadPoolExecutor(8) as threads:
        slots = sorted(at for part in threads.map(work, range(8)) for at in part)
    assert len(slots) >= 25, "the crowd makes progress"
    assert all(later - earlier > LIMITS.spacing - 1e-3 for earlier, later in pairwise(slots))


def test_photos_in_work_are_looked_up_for_new_ones_alone(client: DynamoDBClient, clock: Clock) -> None:
    asked: list[int] = []

    def count() -> int:
        asked.append(1)
        return 40

    limiter = RateLimiter(client, "Jobs", RateLimits(daily_budget=100), count_in_work=count, clock=clock)
    assert limiter.reserve("fill", route=FILL_ROUTE).granted
    assert asked == []
    assert limiter.reserve("mask", route=MASK).granted
    assert len(asked) == 1


def test_a_slot_is_kept_and_a_void_one_replaced(make: Make, clock: Clock) -> None:
    limiter, _ = make()
    limiter.reserve("mask", route=MASK)
    slot = limiter.reserve("mask", route=MASK)
    assert slot.wait_seconds(limiter.now()) > 0
    assert limiter.reserve("mask", route=MASK, instead_of=slot.at) == slot
    clock.now = slot.at
    assert limiter.reserve("mask", route=MASK, instead_of=slot.at).wait_seconds(limiter.now()) == 0
    clock.now += 60
    assert limiter.reserve("mask", route=MASK, instead_of=slot.at).at == clock.now


def test_a_429_of_one_caller_stops_all(make: Make, clock: Clock) -> None:
    (one, _), (other, _) = make(), make()
    slot = one.reserve("fill", route=FILL_ROUTE)
    assert other.close_gate(30, "429") == NOW + 30
    clock.now += 1.5
    assert one.reserve("fill", route=FILL_ROUTE, instead_of=slot.at).at >= NOW + 30
    assert one.reserve("fill", route=FILL_ROUTE).at >= NOW + 30
    assert one.reserve("mask", route=MASK).reason == "gate"


@pytest.mark.parametrize("retry_after", [-5.0, 0.0, float("nan"), float("inf"), 1e12])
def test_an_absurd_retry_after_is_bounded(make: Make, retry_after: float) -> None:
    limiter, _ = make()
    assert NOW + 5 <= limiter.close_gate(retry_after, "429") <= NOW + 86400


def test_a_success_costs_nothing_unless_there_is_something_to_reset(make: Make, clock: Clock) -> None:
    limiter, calls = make()
    limiter.reserve("fill", route=FILL_ROUTE)
    calls.calls.clear()
    clock.now += 20
    limiter.record_success(FILL_ROUTE)
    assert calls.calls == []
    limiter.record_unavailable(FILL_ROUTE)
    limiter.record_success(FILL_ROUTE)
    assert FILL_ROUTE not in limiter.state().breakers


def test_a_retired_route_is_left_alone(make: Make) -> None:
    limiter, _ = make()
    for _ in range(5):
        limiter.record_unavailable("create-mask")
    assert limiter.reserve("mask", route="create-mask").reason == "breaker"
    assert limiter.reserve("mask", route=MASK).granted


def test_polls_that_do_not_count_cost_no_call(make: Make) -> None:
    limiter, calls = make()
    assert limiter.reserve("poll", route=MASK, not_before=NOW + 6) == Slot(NOW + 6)
    assert calls.calls == []


def test_it_observes_how_long_jobs_take(make: Make) -> None:
    limiter, _ = make()
    assert limiter.expected(MASK) == 6
    for _ in range(30):
        limiter.observe(MASK, 22.0, pending_at=20.0)
    other, _ = make()
    assert other.expected(MASK) == 24
    assert other.expected(FILL_ROUTE) == 6


def test_learning_gives_way_to_others(make: Make) -> None:
    (one, calls), (other, _) = make(), make()
    one.reserve("fill", route=FILL_ROUTE)
    calls.calls.clear()
    calls.before_write = lambda: other.record_unavailable("another")
    one.observe(MASK, 22.0)
    assert len(calls.calls) == 2


class TestLostItem:
    def test_a_lost_item_is_written_again_from_memory(self, make: Make, client: DynamoDBClient, clock: Clock) -> None:
        limiter, _ = make()
        slots = [limiter.reserve("fill", route=FILL_ROUTE).at for _ in range(5)]
        client.delete_item(TableName="Jobs", Key=KEY)
        clock.now += 2
        assert limiter.reserve("fill", route=FILL_ROUTE).at > slots[-1]

    def test_right_after_a_call_too(self, make: Make, client: DynamoDBClient) -> None:
        limiter, _ = make()
        slots = [limiter.reserve("fill", route=FILL_ROUTE).at for _ in range(5)]
        client.delete_item(TableName="Jobs", Key=KEY)
        assert limiter.reserve("fill", route=FILL_ROUTE).at > slots[-1]

    def test_a_memory_of_before_never_passes_for_the_new_one(
        self, make: Make, client: DynamoDBClient, clock: Clock
    ) -> None:
        """Versions begin above all that were: an old one must not be met again by counting."""
        (old, _), (new, _) = make(), make()
        old.reserve("fill", route=FILL_ROUTE)
        for _ in range(4):
            old.record_unavailable("another")
        client.delete_item(TableName="Jobs", Key=KEY)
        clock.now += 0.5
        slots = [new.reserve("fill", route=FILL_ROUTE).at for _ in range(5)]
        slots += [old.reserve("fill", route=FILL_ROUTE).at for _ in range(5)]
        slots.sort()
        assert all(later - earlier > LIMITS.spacing - 1e-3 for earlier, later in pairwise(slots))

    def test_an_item_of_another_kind_is_named(self, make: Make, client: DynamoDBClient) -> None:
        client.put_item(TableName="Jobs", Item={**KEY, "version": {"N": "1"}, "taken": {"N": "7"}})
        limiter, _ = make()
        with pytest.raises(ValueError, match="not a rate limiter's item"):
            limiter.reserve("mask", route=MASK)


class TestClocks:
    @pytest.mark.parametrize("error", [-3600.0, -2.0, 2.0, 3600.0])
    def test_a_wrong_clock_is_set_right_by_dynamodbs(self, make: Make, clock: Clock, error: float) -> None:
        wrong = Clock(NOW + error)
        limiter, _ = make(wrong)
        for _ in range(20):
            limiter.state()
            wrong.now += 0.13
            clock.now += 0.13
        assert abs(limiter.now() - clock.now) < 0.2

    def test_one_call_brings_it_within_a_second(self, make: Make, clock: Clock) -> None:
        limiter, _ = make(Clock(NOW + 2))
        limiter.state()
        assert abs(limiter.now() - clock.now) <= 1.0

    def test_a_right_clock_is_left_alone(self, make: Make, clock: Clock) -> None:
        limiter, _ = make()
        for _ in range(20):
            clock.now += 0.37
            limiter.state()
        assert limiter.now() == clock.now

    def test_a_clock_that_was_set_meanwhile_is_followed(self, make: Make, clock: Clock) -> None:
        wrong = Clock(NOW + 100)
        limiter, _ = make(wrong)
        limiter.state()
        wrong.now = clock.now
        limiter.state()
        limiter.state()
        assert abs(limiter.now() - clock.now) <= 1.0

    def test_callers_whose_clocks_differ_share_the_minute(self, make: Make, clock: Clock) -> None:
        """In true time: what leaves at the slot's time by the caller's own clock."""
        limiters = [make(Clock(NOW + error))[0] for error in (-2.0, -1.0, 0.0, 1.0, 2.0)]
        clocks = [limiter._clock for limiter in limiters]
        sent = []
        for n in range(400):
            clock.now = NOW + n / 5
            for own, error in zip(clocks, (-2.0, -1.0, 0.0, 1.0, 2.0), strict=True):
                own.now = clock.now + error  # type: ignore[attr-defined]
            limiter = limiters[n % 5]
            slot = limiter.reserve("mask", route=MASK)
            if slot.granted:
                sent.append(clock.now + slot.at - limiter.now())
        sent.sort()
        most = max(sum(at - 60 < other <= at for other in sent) for at in sent)
        assert 55 <= most <= 60


def test_the_item_does_not_grow_with_the_days(make: Make, clock: Clock) -> None:
    limiter, _ = make(limits=RateLimits(polls_count=True))
    for n in range(60):
        clock.now += 1800
        limiter.reserve("fill", route=FILL_ROUTE)
        limiter.observe(MASK, 5.0 + n % 7, pending_at=4.0)
    state = limiter.state()
    assert len(state.day_counts) <= 51
    assert RateLimitState.from_item(state.to_item()).day_counts == state.day_counts
