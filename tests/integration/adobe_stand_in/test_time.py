"""Limits, job lengths, result links: everything that a clock decides."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import pytest

from local.adobe.limits import Limit, SlidingWindow
from tests.integration.adobe_stand_in.wire import Bucket, Client

pytestmark = pytest.mark.integration


class TestLimits:
    def test_the_request_above_the_limit_is_refused_with_retry_after(
        self, start: Callable[..., Client], photo: str
    ) -> None:
        client = start(limits=True, requests_per_minute=3)
        assert [client.mask(photo).status_code for _ in range(3)] == [202] * 3
        refused = client.mask(photo)
        assert refused.status_code == 429
        assert refused.json()["type"] == "InputValidationError"
        assert 55 <= int(refused.headers["Retry-After"]) <= 60
        assert client.adobe.counters()["too_many_requests"] == 1

    def test_scaled_time_makes_a_minute_short(self, start: Callable[..., Client], photo: str) -> None:
        client = start(limits=True, requests_per_minute=2, time_scale=20.0, fractional_retry_after=True)
        assert [client.mask(photo).status_code for _ in range(3)] == [202, 202, 429]
        wait = float(client.mask(photo).headers["Retry-After"])
        assert 0 < wait <= 3
        time.sleep(wait + 0.02)
        assert client.mask(photo).status_code == 202

    def test_retry_after_is_a_whole_second_at_least(self, start: Callable[..., Client], photo: str) -> None:
        client = start(limits=True, requests_per_minute=1, time_scale=60.0)
        client.mask(photo)
        assert client.mask(photo).headers["Retry-After"] == "1"

    def test_retry_after_can_be_left_out(self, start: Callable[..., Client], photo: str) -> None:
        client = start(limits=True, requests_per_minute=1, retry_after=False)
        client.mask(photo)
        assert "Retry-After" not in client.mask(photo).headers

    @pytest.mark.parametrize(("count_polls", "status"), [(True, 429), (False, 200)])
    def test_status_requests_count_where_the_settings_say_so(
        self, start: Callable[..., Client], photo: str, *, count_polls: bool, status: int
    ) -> None:
        client = start(limits=True, requests_per_minute=2, count_polls=count_polls)
        link = client.mask(photo).json()["statusUrl"]
        assert client.get(link).status_code == 200
        assert client.get(link).status_code == status

    def test_the_day_has_its_own_limit(self, start: Callable[..., Client], photo: str) -> None:
        client = start(limits=True, requests_per_day=1, time_scale=60.0)
        client.mask(photo)
        wait = int(client.mask(photo).headers["Retry-After"])
        assert 1_400 <= wait <= 1_440  # a day of 86 400 s, sixty times as fast

    def test_other_routes_have_limits_of_their_own(self, start: Callable[..., Client], photo: str) -> None:
        client = start(limits=True, requests_per_minute=1)
        client.mask(photo)
        body = {"image": {"source": {"url": photo}}}
        answers = [client.post("/v2/remove-background", body).status_code for _ in range(4)]
        assert answers == [202, 202, 202, 429]

    def test_limits_can_be_forgotten(self, start: Callable[..., Client], photo: str) -> None:
        client = start(limits=True, requests_per_minute=1)
        client.mask(photo)
        client.adobe.control("DELETE", "/stand-in/limits")
        assert client.mask(photo).status_code == 202

    def test_a_window_slides_and_a_refused_request_takes_no_room(self) -> None:
        limit = Limit([SlidingWindow(2, 60.0), SlidingWindow(3, 3_600.0)])
        assert [limit.admit(at) for at in (0.0, 10.0)] == [0.0, 0.0]
        assert limit.admit(20.0) == pytest.approx(40.0)
        assert limit.admit(60.0) == 0.0
        assert limit.admit(61.0) == pytest.approx(3_539.0)  # the hour is full, though the minute has 70 left
        assert limit.admit(3_600.0) == 0.0


class TestJobLengths:
    def test_a_job_goes_through_its_states_by_the_clock(self, start: Callable[..., Client], photo: str) -> None:
        client = start(duration=1.5)
        link = client.mask(photo).json()["statusUrl"]
        seen: list[str] = []
        began = time.monotonic()
        while not seen or seen[-1] != "succeeded":
            word = client.get(link).json()["status"]
            if not seen or seen[-1] != word:
                seen.append(word)
            time.sleep(0.01)
        assert seen == ["not_started", "running", "succeeded"]
        assert time.monotonic() - began > 1.4

    def test_the_other_routes_begin_as_pending(self, start: Callable[..., Client], photo: str) -> None:
        client = start(duration=2.0)
        answer = client.post("/v2/remove-background", {"image": {"source": {"url": photo}}})
        assert client.get(answer.json()["statusUrl"]).json()["status"] == "pending"

    def test_time_scale_shortens_jobs(self, start: Callable[..., Client], photo: str) -> None:
        client = start(duration=30.0, time_scale=300.0)
        began = time.monotonic()
        client.finish(client.mask(photo))
        assert 0.08 < time.monotonic() - began < 30

    def test_drawn_lengths_are_a_few_seconds_and_repeat_with_the_seed(
        self, start: Callable[..., Client], photo: str
    ) -> None:
        lengths = []
        for seed in (1, 1, 2):
            client = start(duration=None, seed=seed)
            for _ in range(9):
                client.mask(photo)
            lengths.append([job["duration_seconds"] for job in client.adobe.jobs()])
        assert lengths[0] == lengths[1] != lengths[2]
        assert 2 < statistics.median(lengths[0]) < 8


class TestResultLinks:
    @pytest.fixture
    def link(self, client: Client, photo: str) -> str:
        return str(client.finish(client.mask(photo))["semanticMasks"][0]["destination"]["url"])

    def test_they_look_presigned_and_carry_a_canary(self, link: str) -> None:
        assert "X-Amz-Expires=3600" in link
        assert "X-Amz-Signature=canary-signature-" in link

    def test_an_authorization_header_is_refused_as_s3_does(self, client: Client, link: str) -> None:
        answer = client.download(link, headers=client.headers)
        assert answer.status_code == 400
        assert "Only one auth mechanism allowed" in answer.text
        assert client.adobe.counters()["downloads_with_authorization"] == 1

    def test_another_signature_or_token_is_refused(self, client: Client, link: str) -> None:
        assert client.download(link + "x").status_code == 403
        assert client.download(link.split("?", maxsplit=1)[0]).status_code == 403
        assert client.download(client.adobe.url + "/results/guess?X-Amz-Signature=1").status_code == 403

    def test_links_of_results_stop_after_their_time(self, start: Callable[..., Client], photo: str) -> None:
        client = start(result_seconds=1)
        link = client.finish(client.mask(photo))["semanticMasks"][0]["destination"]["url"]
        assert client.download(link).status_code == 200
        time.sleep(1.1)
        answer = client.download(link)
        assert answer.status_code == 403
        assert "Request has expired" in answer.text

    def test_asking_again_gives_the_same_links(self, client: Client, photo: str) -> None:
        answer = client.mask(photo)
        assert client.finish(answer) == client.finish(answer)


class TestCounters:
    def test_they_count_posts_jobs_polls_and_downloads_by_photo(
        self, client: Client, bucket: Bucket, photo: str
    ) -> None:
        answer = client.mask(photo)
        client.mask(photo)
        link = client.finish(answer)["semanticMasks"][0]["destination"]["url"]
        client.download(link)
        counted = client.adobe.counters()
        ((name, routes),) = counted["photos"].items()
        assert name.endswith(" dog.png")
        sums = routes["/v1/mask-objects"]
        assert (sums["posts"], sums["jobs"], sums["downloads"]) == (2, 2, 1)
        assert sums["polls"] == counted["requests"]["GET /v1/status/{job_id}"]["200"]
        assert counted["requests"]["POST /v1/mask-objects"] == {"202": 2}
        assert counted["jobs"] == {"/v1/mask-objects": 2}
        assert counted["tokens"] == 1
        assert counted["downloads"] == 1

    def test_the_same_picture_under_two_names_is_seen(self, client: Client, bucket: Bucket, small_photo: bytes) -> None:
        for name in ("one.png", "two.png"):
            client.finish(client.mask(bucket.put(name, small_photo)))
        (routes,) = client.adobe.counters()["contents"].values()
        assert routes == {"/v1/mask-objects": 2}

    def test_the_busiest_minute_is_known(self, start: Callable[..., Client], photo: str) -> None:
        client = start(limits=True, requests_per_minute=10)
        for _ in range(4):
            client.mask(photo)
        assert client.adobe.counters()["busiest_minute"] == 4
