"""Reports, the end of a folder, and photos that were there already, in the project's own template with IAM on."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.end_to_end.conftest import OTHER_BUCKET, System, output, until


def request(system: System, **asked: Any) -> dict[str, Any]:
    """What report_progress answers."""
    found: dict[str, Any] = system.invoke("ReportProgressFunction", asked)
    return found


def backfill(system: System, **asked: Any) -> dict[str, Any]:
    """The ended execution of one backfill."""
    return system.execute("BackfillStateMachineArn", asked)


def done(system: System, photos: int, **asked: Any) -> dict[str, Any]:
    """The report when so many photos are known and none is open."""
    return until(
        lambda: request(system, **asked),
        lambda report: report.get("photos") == photos and not report["waiting"] and not report["in_work"],
    )


@contextmanager
def s3_says_nothing(system: System) -> Iterator[None]:
    """Within, uploads make no notification, as before the stack was deployed."""
    s3, bucket = system.aws.client("s3"), system.stack.uploads_bucket
    answer = s3.get_bucket_notification_configuration(Bucket=bucket)
    kept: Any = {name: value for name, value in answer.items() if name != "ResponseMetadata"}
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={})
    try:
        yield
    finally:
        s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=kept)


@pytest.fixture
def folder() -> str:
    return f"{uuid.uuid4().hex[:8]} é+/"


def test_a_folder_is_reported_on_and_says_when_it_is_done(system: System, photo: bytes, folder: str) -> None:
    for _ in range(3):
        system.drop(photo, prefix=folder)
    system.drop(b"no photograph", prefix=folder)

    report = done(system, 4, folder=folder)

    assert (report["cleaned"], report["failed"], report["failed_for"]) == (3, 1, {"NotAPhotoError": 1})
    assert report["done_at"] is None
    assert request(system)["photos"] >= 4
    events = system.folders_done(folder)
    # Each end of the folder says so once; the last of them is the end of all four.
    assert [event["photos"] for event in events].count(4) == 1
    (last,) = [event for event in events if event["photos"] == 4]
    assert (last["cleaned"], last["failed"], last["failed_for"]) == (3, 1, {"NotAPhotoError": 1})
    assert len({event["begun_at"] for event in events}) == len(events)


def test_a_folder_not_seen_yet_is_answered_with_zeros(system: System) -> None:
    report = request(system, folder="nobody knows/")
    assert (report["photos"], report["failed"]) == (0, 0)
    assert "nobody knows/ has been seen" in report["answer"]


def test_a_misspelt_question_about_progress_is_refused(system: System) -> None:
    refused = request(system, foldr="holiday/")
    assert refused["errorType"] == "UnknownFolderError"
    assert "Did you mean 'folder'?" in refused["errorMessage"]


def test_a_backfill_asks_before_it_spends_and_pays_for_no_photo_twice(
    system: System, photo: bytes, folder: str
) -> None:
    system.clean(photo, prefix=folder)
    with s3_says_nothing(system):
        for _ in range(2):
            system.drop(photo, prefix=folder)
        system.drop(b"{}", f"{folder}dog.jpg.json")
    system.adobe.clear_counters()

    estimate = output(backfill(system, prefix=folder))

    assert (estimate["photos"], estimate["to_clean"], estimate["confirm"]) == (3, 2, 2)
    assert estimate["already"] == {"cleaned": 1}
    assert estimate["paid_requests"]["usual"] == 4
    assert request(system, folder=folder)["photos"] == 1
    wrong = backfill(system, prefix=folder, confirm=99)
    assert (wrong["status"], wrong["error"]) == ("FAILED", "WrongConfirmationError")
    assert system.adobe.counters()["jobs"] == {}

    assert output(backfill(system, prefix=folder, confirm=2))["sent"] == 2

    assert done(system, 3, folder=folder)["cleaned"] == 3
    paid = system.adobe.counters()["jobs"]
    again = output(backfill(system, prefix=folder, confirm=2))
    assert (again["to_clean"], again["already"]) == (0, {"cleaned": 3})
    assert sum(paid.values()) == sum(system.adobe.counters()["jobs"].values()) == 4


def test_another_bucket_is_cleaned_below_its_own_name(system: System, photo: bytes, folder: str) -> None:
    s3 = system.aws.client("s3")
    s3.create_bucket(Bucket=OTHER_BUCKET)
    s3.put_object(Bucket=OTHER_BUCKET, Key=f"{folder}old.jpg", Body=photo)

    estimate = output(backfill(system, bucket=OTHER_BUCKET, prefix=folder))
    assert output(backfill(system, bucket=OTHER_BUCKET, prefix=folder, confirm=estimate["confirm"]))["sent"] == 1

    assert done(system, 1, bucket=OTHER_BUCKET, folder=folder)["cleaned"] == 1
    results = s3.list_objects_v2(Bucket=system.stack.results_bucket, Prefix=f"{OTHER_BUCKET}/{folder}")["Contents"]
    names = {found["Key"].rpartition("/")[2] for found in results}
    assert names == {"old.jpg", "old.jpg.json"}
    # A bucket without versions: the same photo is known again by its ETag.
    assert output(backfill(system, bucket=OTHER_BUCKET, prefix=folder))["already"] == {"cleaned": 1}


def test_a_prefix_with_nothing_in_it_says_so(system: System) -> None:
    answer = output(backfill(system, prefix="nothing is here/", confirm=5))
    assert answer["photos"] == 0
    assert "There is no photo below" in answer["answer"]


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"bucket": "forbidden-bucket"}, "BucketRefusedError"),
        ({"confirm": True}, "InvalidBackfillError"),
        ({"prefix": 5}, "InvalidBackfillError"),
    ],
)
def test_what_cannot_be_done_is_a_named_error(system: System, asked: dict[str, Any], error: str) -> None:
    system.aws.client("s3").create_bucket(Bucket="forbidden-bucket")
    execution = backfill(system, **asked)
    assert (execution["status"], execution["error"]) == ("FAILED", error)
