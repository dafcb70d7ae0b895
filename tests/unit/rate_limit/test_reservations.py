from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cleanplate.errors import SettingsError
from cleanplate.rate_limit import breakers, forecast, reservations
from cleanplate.rate_limit.limits import RateLimits
from cleanplate.rate_limit.pace import Pace
from cleanplate.rate_limit.polling import observe
from cleanplate.rate_limit.state import FILL_ROUTE, FILL_ROUTES, Kind, RateLimitState, Slot, advance, fresh

NOW = 1_800_000_000.0
MASK = "mask-objects"
MINUTE_ONLY = RateLimits(per_day=None)


def request(
    state: RateLimitState, now: float, kind: Kind = "mask", *, limits: RateLimits = MINUTE_ONLY, **more: Any
) -> tuple[RateLimitState, Slot]:
    route = more.pop("route", MASK if kind == "mask" else FILL_ROUTE)
    return reservations.reserve(state, limits, now, kind, route=route, **more)


def warm(limits: RateLimits = MINUTE_ONLY) -> RateLimitState:
    """A state that was used long ago, so that nothing of its beginning is left."""
    return request(fresh(limits, NOW - 3600), NOW - 3600, limits=limits)[0]


def max_in(times: list[float], seconds: float) -> int:
    times, first, most = sorted(times), 0, 0
    for last, at in enumerate(times):
        while times[first] <= at - seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


limits_of_any_kind = st.builds(
    RateLimits,
    per_minute=st.integers(1, 600),
    per_day=st.one_of(st.none(), st.integers(600, 20_000)),
    polls_count=st.booleans(),
)
requests = st.lists(
    st.tuples(
        st.one_of(st.floats(0, 3), st.floats(0, 0.05), st.floats(0, 200)),  # seconds since the one before
        st.sampled_from(["mask", "mask", "fill", "poll"]),
        st.floats(-2, 2),  # the error of the caller's clock
        st.floats(0, 60),  # how far ahead a poll is wanted
    ),
    min_size=1,
    max_size=120,
)


def granted(limits: RateLimits, asked: list[tuple[float, str, float, float]], *, skewed: bool) -> list[float]:
    state, now, slots = fresh(limits, NOW), NOW, []
    for later, kind, error, ahead in asked:
        now += later
        clock = now + (error if skewed else 0)
        before = state
        state, slot = reservations.reserve(
            state,
            limits,
            clock,
            kind,  # type: ignore[arg-type]
            route=MASK if kind == "mask" else FILL_ROUTE,
            not_before=clock + ahead if kind == "poll" else 0.0,
        )
        assert slot.at >= clock - 1e-3, "nobody is sent into the past"
        if slot.granted and (kind != "poll" or limits.polls_count):
            slots.append(slot.at)
        else:
            assert state == before, "a refusal changes nothing"
    return slots


class TestMinuteLimit:
    @given(limits_of_any_kind, requests)
    def test_any_two_slots_are_a_spacing_apart(self, limits: RateLimits, asked: list[Any]) -> None:
        slots = sorted(granted(limits, asked, skewed=False))
        assert all(later - earlier >= limits.spacing - 1e-4 for earlier, later in pairwise(slots))

    @given(limits_of_any_kind, requests)
    def test_no_sliding_minute_holds_more_than_the_limit(self, limits: RateLimits, asked: list[Any]) -> None:
        # At the very least the one request at the window's edge belongs to both minutes.
        assert max_in(granted(limits, asked, skewed=False), 59.99) <= math.ceil(limits.our_minute)

    @given(limits_of_any_kind, requests)
    def test_clocks_that_differ_give_no_slot_twice(self, limits: RateLimits, asked: list[Any]) -> None:
        slots = sorted(granted(limits, asked, skewed=True))
        assert all(later - earlier >= limits.spacing - 1e-4 for earlier, later in pairwise(slots))

    def test_a_first_request_goes_at_once(self) -> None:
        assert request(fresh(MINUTE_ONLY, NOW), NOW)[1] == Slot(NOW)

    def test_a_new_state_leaves_every_second_slot_to_older_grants(self) -> None:
        state, slots = fresh(MINUTE_ONLY, NOW), []
        for _ in range(4):
            state, slot = request(state, NOW, "fill")
            slots.append(slot.at - NOW)
        assert slots == pytest.approx([n * 2 * MINUTE_ONLY.spacing for n in range(4)])

    def test_a_lone_request_after_a_pause_goes_at_once(self) -> None:
        assert request(warm(), NOW)[1].at == NOW

    def test_the_slack_lets_sixty_requests_leave_in_62_seconds(self) -> None:
        state, slots = warm(), []
        for n in range(600):
            state, slot = request(state, NOW + n / 10)
            if slot.granted:
                slots.append(slot.at)
        assert max_in(slots, 61.99) == 60

    def test_a_share_is_left_to_others(self) -> None:
        assert RateLimits(share_left=0.5).spacing == pytest.approx(2 * RateLimits().spacing)

    def test_other_limits_begin_behind_what_was_given(self) -> None:
        state = warm()
        for _ in range(5):
            state, last = request(state, NOW, "fill")
        slower = RateLimits(per_minute=10, per_day=None)
        state, slot = request(state, NOW, "fill", limits=slower)
        assert slot.at - last.at >= slower.spacing * (1 - 1e-6)

    def test_nobody_reserves_so_far_ahead_that_the_state_grows(self) -> None:
        limits = RateLimits(per_minute=6000, per_day=None, polls_count=True)
        _, slot = request(warm(limits), NOW, "poll", limits=limits, not_before=NOW + 3600)
        assert not slot.granted
        assert slot.at >= NOW + 3600


class TestDayLimit:
    LIMITS = RateLimits(per_minute=60, per_day=100)
    DAY = 86_400.0

    @settings(max_examples=settings().max_examples // 4)
    @given(st.lists(st.floats(0, DAY / 5), min_size=50, max_size=400), st.integers(0, 1))
    def test_no_sliding_day_holds_more_than_the_limit(self, pauses: list[float], only_masks: int) -> None:
        state, now, slots = fresh(self.LIMITS, NOW), NOW, []
        for n, pause in enumerate(pauses):
            now += pause if n % 7 == 0 else pause / 200
            for kind in ("mask",) if only_masks else ("mask", "fill", "fill"):
                state, slot = request(state, now, kind, limits=self.LIMITS)  # type: ignore[arg-type]
                if slot.granted:
                    slots.append(slot.at)
        assert max_in(slots, self.DAY) <= 100

    def test_it_can_be_used_up_at_full_speed(self) -> None:
        state, count = fresh(self.LIMITS, NOW), 0
        for n in range(400):
            state, slot = request(state, NOW + n / 2, "fill", limits=self.LIMITS)
            count += slot.granted
        assert count == 100
        assert slot.reason == "day"
        # Half hours are counted whole until they are over.
        assert NOW + self.DAY <= slot.at <= NOW + 200 + self.DAY + 2 * 1800 + self.LIMITS.near

    def test_new_masks_leave_room_for_the_fills_in_work(self) -> None:
        state, masks, fills = fresh(self.LIMITS, NOW), 0, 0
        for n in range(600):
            # Ten seconds after its slot the ledger knows of a photo.
            begun = masks - len(advance(state, self.LIMITS, NOW + n / 2).unbegun)
            state, slot = request(state, NOW + n / 2, limits=self.LIMITS, in_work=begun)
            masks += slot.granted
        for n in range(600):
            state, slot = request(state, NOW + 300 + n / 2, "fill", limits=self.LIMITS)
            fills += slot.granted
        assert (masks, fills) == (50, 50)


class TestPriority:
    def test_fills_go_before_new_masks(self) -> None:
        state = warm()
        for _ in range(50):
            state, _ = request(state, NOW)
        fills = []
        for _ in range(10):
            state, slot = request(state, NOW, "fill")
            fills.append(slot.at)
            state, mask = request(state, NOW)
            assert not mask.granted
        assert fills[0] <= NOW + MINUTE_ONLY.near + 2 * MINUTE_ONLY.spacing
        assert fills[-1] - fills[0] == pytest.approx(9 * MINUTE_ONLY.spacing)

    def test_nothing_is_kept_idle_for_photos_in_work(self) -> None:
        state, masks = warm(), 0
        for n in range(600 * 5):
            state, slot = request(state, NOW + n / 5)
            masks += slot.granted
        assert masks >= 0.99 * 600 / MINUTE_ONLY.spacing

    def test_a_new_photo_may_be_given_no_slot_further_off_than_it_waits(self) -> None:
        state, _ = request(warm(), NOW)
        refused = request(state, NOW, within=0.5)[1]
        assert (refused.granted, refused.reason) == (False, "queue")
        assert request(state, NOW, within=1.5)[1].granted

    def test_a_poll_is_reserved_for_its_time_and_the_time_before_is_used(self) -> None:
        limits = RateLimits(per_day=None, polls_count=True)
        state, poll = request(warm(limits), NOW, "poll", limits=limits, not_before=NOW + 6)
        assert NOW + 6 <= poll.at <= NOW + 6 + limits.spacing
        state, fill = request(state, NOW, "fill", limits=limits)
        assert fill.at < NOW + limits.spacing

    def test_polls_that_do_not_count_take_no_slot(self) -> None:
        state = warm()
        after, slot = request(state, NOW, "poll", not_before=NOW + 6)
        assert after is state
        assert slot == Slot(NOW + 6)


class TestSlots:
    def test_a_slot_is_kept_until_its_time(self) -> None:
        state, _ = request(warm(), NOW)
        state, slot = request(state, NOW)
        assert slot.at > NOW
        assert request(state, NOW + 0.1, instead_of=slot.at) == (state, slot)

    def test_a_slot_that_was_missed_is_given_back_for_another(self) -> None:
        limits = RateLimits(daily_budget=100)
        state, slot = request(warm(limits), NOW, limits=limits)
        counts, spent = sum(state.day_counts.values()), state.spent
        state, another = request(state, NOW + 60, limits=limits, instead_of=slot.at)
        assert another.at >= NOW + 60
        assert (sum(state.day_counts.values()), state.spent) == (counts, spent)


class TestRoutes:
    LIMITS = RateLimits(per_day=None, routes={"remove-background": 1.5, "slow-fill": 15.0})

    def test_a_route_with_a_limit_of_its_own_keeps_it(self) -> None:
        state, slots = warm(self.LIMITS), []
        for n in range(100):
            state, slot = request(state, NOW + n / 5, limits=self.LIMITS, route="remove-background")
            slots += [slot.at] * slot.granted
        assert max_in(slots, 2.99) == 2
        assert len(slots) >= 0.95 * 20 / (2 * self.LIMITS.spacing)

    def test_what_it_leaves_is_for_the_other_routes(self) -> None:
        state, first = request(warm(self.LIMITS), NOW, "fill", limits=self.LIMITS, route="slow-fill")
        state, second = request(state, NOW, "fill", limits=self.LIMITS, route="slow-fill")
        assert second.at - first.at >= 15
        assert request(state, NOW, limits=self.LIMITS)[1].at < NOW + 2

    def test_a_refusal_names_what_a_new_photo_waits_for(self) -> None:
        limits = RateLimits(per_day=None, routes={MASK: 60.0})
        state, _ = request(warm(limits), NOW, limits=limits)
        assert request(state, NOW, limits=limits)[1].reason == "route"


class TestRoomForFills:
    LIMITS = RateLimits(per_day=500, daily_budget=None, max_fills=1)
    BUDGET = RateLimits(per_day=None, daily_budget=500, max_fills=1)

    @pytest.mark.parametrize("limits", [LIMITS, BUDGET])
    @pytest.mark.parametrize("takes", [10, 300, 890])
    def test_no_mask_is_bought_without_room_for_its_fill(self, limits: RateLimits, takes: float) -> None:
        """However long Adobe takes: the ledger counts photos in work, and here their slots until it does."""
        state, due, refused, masks = warm(limits), list[float](), 0, 0
        now = NOW
        while now < NOW + 2 * 3600:
            ready = [at for at in due if at <= now]
            if ready:
                state, slot = request(state, now, "fill", limits=limits)
                refused += not slot.granted
                due.remove(ready[0])
            else:
                # The ledger knows of those whose mask went out ten seconds ago.
                known = sum(at - takes <= now - 8 for at in due)
                state, slot = request(state, now, limits=limits, in_work=known)
                if slot.granted:
                    due.append(slot.at + takes)
                    masks += 1
            now += 1.04
        assert refused == 0
        assert masks >= 240

    def test_a_photo_with_a_slot_counts_before_the_ledger_knows_of_it(self) -> None:
        limits = RateLimits(per_day=None, daily_budget=100)
        state, first = request(warm(limits), NOW + 3600, limits=limits)
        state = replace(state, spent=98)
        assert first.granted
        assert request(state, NOW + 3601, limits=limits)[1].reason == "budget"
        assert request(state, NOW + 3660, limits=limits)[1].granted

    def test_an_idle_pause_does_not_forget_it(self) -> None:
        limits = RateLimits(per_minute=60, per_day=None, daily_budget=3)
        state, _ = request(warm(limits), NOW, limits=limits)
        assert len(advance(state, limits, NOW + 5).unbegun) == 1
        assert not advance(state, limits, NOW + 20).unbegun


class TestGate:
    def test_a_429_stops_everybody_until_the_time_that_adobe_names(self) -> None:
        state = breakers.close(warm(), MINUTE_ONLY, NOW, NOW + 40, "429")
        assert request(state, NOW, "fill")[1].at >= NOW + 40
        mask = request(state, NOW)[1]
        assert (mask.granted, mask.reason) == (False, "gate")
        assert mask.at >= NOW + 40 - 5
        assert request(state, NOW + 40)[1].granted

    def test_a_short_time_that_adobe_names_again_and_again_grows(self) -> None:
        """An account that answers every POST with Retry-After: 1 is not asked every second."""
        state, now, times = warm(), NOW, []
        for _ in range(8):
            state = breakers.close(state, MINUTE_ONLY, now, now + 1, "429")
            times.append(state.gate_until - now)
            now = state.gate_until + 0.5
        assert times == [1, 1, 2, 4, 8, 16, 32, 64]

    def test_status_requests_wait_for_the_gate_too(self) -> None:
        state = breakers.close(warm(), MINUTE_ONLY, NOW, NOW + 40, "429")
        assert request(state, NOW, "poll")[1].at == NOW + 40

    @given(st.floats(0.1, 5), st.floats(0, 120), st.floats(-1, 130))
    def test_slots_from_before_are_void_while_it_is_closed(self, ahead: float, closed: float, later: float) -> None:
        state, _ = request(warm(), NOW)
        slots = []
        for _ in range(5):
            state, slot = request(state, NOW)
            slots += [slot.at] * slot.granted
        state = breakers.close(state, MINUTE_ONLY, NOW + ahead, NOW + ahead + closed, "429")
        for at in slots:
            for asked_at in (NOW + later, at):
                if NOW + ahead <= asked_at < NOW + ahead + closed or at < NOW + ahead + closed:
                    another = request(state, asked_at, "fill", instead_of=at)[1]
                    assert not another.granted or another.at >= NOW + ahead + closed

    def test_without_a_time_it_closes_for_longer_each_time(self) -> None:
        state, now, times = warm(), NOW, []
        for _ in range(12):
            state = breakers.close(state, MINUTE_ONLY, now, None, "429")
            times.append(state.gate_until - now)
            now = state.gate_until + 1
        assert times[:4] == [5, 10, 20, 40]
        assert times[-1] == 900

    def test_answers_under_way_are_the_same_closure(self) -> None:
        state = breakers.close(warm(), MINUTE_ONLY, NOW, None, "429")
        again = breakers.close(state, MINUTE_ONLY, NOW + 1, None, "429")
        assert again.gate_closed == state.gate_closed == 1

    def test_a_shorter_time_does_not_open_it_earlier(self) -> None:
        state = breakers.close(warm(), MINUTE_ONLY, NOW, NOW + 60, "429")
        assert breakers.close(state, MINUTE_ONLY, NOW + 1, NOW + 5, "429").gate_until == NOW + 60

    @pytest.mark.parametrize("until", [math.inf, math.nan, NOW + 1e9, -1e9])
    def test_an_absurd_time_is_bounded(self, until: float) -> None:
        state = breakers.close(warm(), MINUTE_ONLY, NOW, until, "429")
        assert state.gate_until <= NOW + 86400

    def test_a_success_forgets_the_closures_but_not_one_sent_before(self) -> None:
        state = breakers.close(warm(), MINUTE_ONLY, NOW, NOW + 40, "429")
        assert breakers.succeeded(state, NOW + 1, MASK).gate_closed == 1
        assert breakers.succeeded(state, NOW + 41, MASK).gate_closed == 0


class TestBreaker:
    def broken(self, route: str = MASK) -> RateLimitState:
        state = warm()
        for _ in range(5):
            state = breakers.unavailable(state, NOW, route)
        return state

    def test_a_streak_opens_it_and_a_success_between_does_not(self) -> None:
        state = warm()
        for _ in range(4):
            state = breakers.unavailable(state, NOW, MASK)
        assert request(state, NOW)[1].granted
        state = breakers.succeeded(state, NOW, MASK)
        assert request(breakers.unavailable(state, NOW, MASK), NOW)[1].granted

    def test_an_open_one_keeps_masks_of_its_route_back(self) -> None:
        mask = request(self.broken(), NOW)[1]
        assert (mask.granted, mask.reason) == (False, "breaker")
        assert request(self.broken(), NOW, route="remove-background")[1].granted
        assert request(self.broken(), NOW, "fill")[1].granted

    def test_half_open_one_probe_goes(self) -> None:
        state, probe = request(self.broken(), NOW + 31)
        assert probe.granted
        assert not request(state, NOW + 32)[1].granted
        assert request(state, NOW + 31.5, instead_of=probe.at)[1] == probe, "the probe itself may go"
        assert request(state, NOW + 100)[1].granted, "a probe that never answers does not block for ever"

    def test_answers_under_way_when_it_opened_open_it_no_further(self) -> None:
        state = self.broken()
        for _ in range(10):
            state = breakers.unavailable(state, NOW + 1, MASK)
        assert state.breakers[MASK].until == NOW + 30

    def test_a_probe_that_fails_opens_it_for_longer_up_to_a_cap(self) -> None:
        state, now, times = self.broken(), NOW, []
        for _ in range(10):
            now = state.breakers[MASK].until + 1
            state = breakers.unavailable(state, now, MASK)
            times.append(state.breakers[MASK].until - now)
        assert times[:3] == [60, 120, 240]
        assert times[-1] == 900

    def test_a_probe_that_succeeds_closes_it(self) -> None:
        state = breakers.succeeded(self.broken(), NOW + 31, MASK)
        assert request(state, NOW + 32)[1].granted

    @pytest.mark.parametrize("fill", sorted(FILL_ROUTES))
    def test_no_mask_is_paid_for_that_cannot_be_filled(self, fill: str) -> None:
        state = self.broken(fill)
        assert not request(state, NOW)[1].granted
        state, first = request(state, NOW + 31)
        assert first.granted
        assert not request(state, NOW + 32)[1].granted, "one photo at a time goes to see"


class TestBudget:
    LIMITS = RateLimits(per_day=None, daily_budget=10)
    MIDNIGHT = math.ceil(NOW / 86400) * 86400.0

    def spend(self, budget: int) -> tuple[RateLimitState, int, int, Slot]:
        limits = replace(self.LIMITS, daily_budget=budget)
        state, masks, fills = fresh(limits, NOW), 0, 0
        for n in range(300):
            state, mask = request(state, NOW + n, limits=limits)
            masks += mask.granted
            if n % 3 == 2 and fills < masks:
                state, slot = request(state, NOW + n, "fill", limits=limits)
                fills += slot.granted
        return state, masks, fills, mask

    @pytest.mark.parametrize("budget", [2, 3, 10, 11])
    def test_every_mask_that_is_paid_for_can_be_filled(self, budget: int) -> None:
        _, masks, fills, _ = self.spend(budget)
        assert masks == fills == budget // 2

    def test_what_is_held_is_held_until_the_next_day(self) -> None:
        state, _, _, mask = self.spend(10)
        assert (mask.granted, mask.reason) == (False, "budget")
        assert reservations.opening(state, self.LIMITS, NOW + 300) == (self.MIDNIGHT, "budget")
        evening = request(state, self.MIDNIGHT - 60, limits=self.LIMITS)[1]
        assert self.MIDNIGHT - self.LIMITS.near <= evening.at <= self.MIDNIGHT + 60
        assert state.spent == 10, "and the reports can see why"
        assert request(state, self.MIDNIGHT + 1, limits=self.LIMITS)[1].granted

    def test_a_clock_behind_midnight_does_not_bring_yesterday_back(self) -> None:
        state, _, _, _ = self.spend(10)
        state, _ = request(state, self.MIDNIGHT + 1, limits=self.LIMITS)
        state, _ = request(state, self.MIDNIGHT - 1, limits=self.LIMITS)
        assert state.spent == 2


class TestLimits:
    @pytest.mark.parametrize(
        ("values", "words"),
        [
            ({"per_minute": 0}, "limit per minute is 0"),
            ({"per_minute": -3}, "limit per minute is -3"),
            ({"per_minute": math.inf}, "not a number"),
            ({"per_minute": math.nan}, "not a number"),
            ({"per_minute": True}, "not a number"),
            ({"per_minute": "60"}, "not a number"),
            ({"per_minute": 1e6}, "from 1 to 6000"),
            ({"per_day": 0}, "limit per day is 0"),
            ({"per_day": 1}, "from 2"),
            ({"per_day": 3, "polls_count": True, "per_minute": 2}, "from 4"),
            ({"per_day": 59}, "smaller than the limit per minute"),
            ({"share_left": -0.1}, "share left to others"),
            ({"share_left": 1}, "share left to others"),
            ({"per_minute": 4, "share_left": 0.8}, "less than one"),
            ({"per_minute": 2, "per_day": 2, "share_left": 0.5}, "one photo takes 2"),
            ({"daily_budget": 1}, "daily budget is 1"),
            ({"daily_budget": 0}, "daily budget is 0"),
        ],
    )
    def test_what_cannot_be_meant_is_refused_with_words(self, values: dict[str, Any], words: str) -> None:
        with pytest.raises(SettingsError, match=words):
            RateLimits(**values)

    def test_a_day_that_a_minute_can_never_fill_is_fine(self) -> None:
        assert RateLimits(per_minute=4, per_day=9000).our_day == 9000


class TestForecast:
    def test_a_thousand_photos_end_at_the_pace_of_the_minute_limit(self) -> None:
        photos = 1000
        assert forecast.forecast(warm(), MINUTE_ONLY, NOW, photos) == pytest.approx(NOW + photos * 2 * 62 / 60)

    def test_more_photos_than_a_day_takes_end_on_a_later_day(self) -> None:
        # 4500 photos a day at full speed, then closed until that comes free: the last thousand go on the third day.
        at = forecast.forecast(fresh(RateLimits(), NOW), RateLimits(), NOW, 10_000)
        assert NOW + 2 * 86400 < at < NOW + 2.2 * 86400

    def test_more_photos_than_the_budget_pays_for_end_after_midnight(self) -> None:
        limits = RateLimits(daily_budget=1000)
        at = forecast.forecast(fresh(limits, NOW), limits, NOW, 1200)
        midnight = math.ceil(NOW / 86400) * 86400
        assert midnight + 86400 < at < midnight + 86400 + 2 * 3600

    def test_it_observes_how_many_requests_photos_take(self) -> None:
        state = warm()
        for n in range(3000):
            state, _ = request(state, NOW + n)
        assert state.per_photo == pytest.approx(1, rel=0.05)

    def test_it_looks_no_further_ahead_than_it_is_asked_to(self) -> None:
        assert forecast.forecast(warm(), RateLimits(), NOW, 10**9, within=86400) == NOW + 86400


class TestItem:
    @staticmethod
    @cache
    def used() -> RateLimitState:
        limits = RateLimits(polls_count=True, daily_budget=9000)
        state = fresh(limits, NOW - 90_000)
        for n in range(9000):
            kind: Kind = ("mask", "poll", "fill", "poll")[n % 4]
            now = NOW - 90_000 + 10 * n
            state, _ = request(state, now, kind, limits=limits, not_before=now + 6 if kind == "poll" else 0.0)
        state = breakers.close(state, limits, NOW, NOW + 60, "429")
        state = breakers.unavailable(state, NOW, MASK)
        durations = observe(observe({}, 0, 6), 4, 6)
        return replace(state, durations={MASK: durations, FILL_ROUTE: durations})

    def test_it_comes_back_as_it_was(self) -> None:
        state = self.used()
        back = RateLimitState.from_item(state.to_item())
        assert RateLimitState.from_item(back.to_item()) == back
        assert (back.taken, back.base, back.day_counts, back.gate_until) == (
            state.taken,
            state.base,
            state.day_counts,
            state.gate_until,
        )

    def test_it_is_below_the_kilobyte_that_one_write_unit_pays_for(self) -> None:
        def size(value: object) -> int:
            if isinstance(value, dict):
                return 3 + sum(len(str(name)) + 1 + size(part) for name, part in value.items())
            if isinstance(value, list | tuple):
                return 3 + sum(1 + size(part) for part in value)
            # Two digits take a byte, and the number one more.
            return len(value) if isinstance(value, str) else 1 + math.ceil(len(repr(value)) / 2)

        assert size(self.used().to_item()) < 1024 - 30

    def test_what_an_older_release_did_not_write_is_at_its_default(self) -> None:
        assert RateLimitState.from_item({"version": 7}) == RateLimitState(version=7)
        item = self.used().to_item()
        assert RateLimitState.from_item(item).pace.requests > 0
        del item["pace"]
        assert RateLimitState.from_item(item).pace == Pace()

    def test_what_an_older_release_has_written_otherwise_is_left_alone(self) -> None:
        item = {"version": 7, "masks": {"1800000000": 2}, "usual": {MASK: {"jobs": 3, "6": 1.0}}}
        state, slot = request(RateLimitState.from_item(item), NOW, "mask")
        assert slot.granted
        assert (len(state.unbegun), state.durations) == (1, {})

    @pytest.mark.parametrize(
        "item",
        [
            {},
            {"version": 1, "taken": 5},
            {"version": 1, "route_next": 3},
            {"version": 1, "pace": 1},
            {"version": "x"},
        ],
    )
    def test_something_else_is_not_taken_for_one(self, item: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match="not a rate limiter's item"):
            RateLimitState.from_item(item)

    def test_a_lost_one_does_not_begin_with_a_burst(self) -> None:
        """Slots given before the loss are still used; with those given after it, the minute stays nearly kept."""
        state, slots = warm(), []
        for n in range(1200):
            if n == 600:
                state = fresh(MINUTE_ONLY, NOW + 60)
            state, slot = request(state, NOW + n / 10)
            slots += [slot.at] * slot.granted
        assert max_in(slots, 60) <= 60 + 4


class TestSlot:
    @pytest.mark.parametrize(("ahead", "seconds"), [(-1, 0), (0, 0), (0.4, 0), (0.6, 1), (1.4, 1), (7.5, 8)])
    def test_a_wait_is_whole_seconds_to_the_nearest(self, ahead: float, seconds: int) -> None:
        assert Slot(NOW + ahead).wait_seconds(NOW) == seconds

    def test_asking_again_takes_at_least_a_second(self) -> None:
        assert Slot(NOW - 5, granted=False).wait_seconds(NOW) == 1

    @pytest.mark.parametrize(("late", "good"), [(0, True), (3, True), (3.1, False)])
    def test_a_slot_holds_for_a_moment(self, late: float, good: bool) -> None:
        state, slot = request(warm(), NOW)
        assert (request(state, slot.at + late, instead_of=slot.at)[1].at == slot.at) is good
