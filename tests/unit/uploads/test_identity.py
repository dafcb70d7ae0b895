from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleanplate.errors import InvalidOptionsError
from cleanplate.models import Job, Options, Photo
from cleanplate.uploads.identity import job_id, photo_id, refused_id
from cleanplate.uploads.options import options_from_dict, options_to_dict

PHOTO = Photo(bucket="uploads", key="a/my dog.jpg", version_id="v1", etag="d41d", sequencer="0A", size=12)
UNVERSIONED = replace(PHOTO, version_id="")
MASK = Photo(bucket="uploads", key="a/my dog.mask.png", version_id="m1")


def test_ids_never_change_from_one_release_to_the_next() -> None:
    """Were they to, every redelivered message would pay again after a deployment."""
    assert job_id(PHOTO, Options()) == "1af498cef82b360c87bf3b0eef25d92e4baad6db"
    assert (
        job_id(UNVERSIONED, Options(remove=("dog", "straße"), min_score=0.25, grow=7))
        == "f5cb167ae0e5357ef173bd76321b9438a26431e9"
    )
    assert job_id(PHOTO, Options(mask_route="own-mask"), MASK) == "847d903fde184d3fcfe2198cc660e27b41aa1d51"
    assert photo_id(PHOTO) == "e642d75f33f87a6a3acde53c411c861cd16e0b02"
    assert refused_id(PHOTO) == "ed97edd6a56d1ceab502f31b812401120e431f76"


def test_the_same_upload_with_the_same_options_is_the_same_job() -> None:
    other_way = replace(PHOTO, etag="", sequencer="", size=None)
    assert job_id(PHOTO, Options()) == job_id(other_way, Options())
    assert photo_id(PHOTO) == photo_id(other_way)


def test_being_in_a_hurry_does_not_make_it_another_job() -> None:
    assert job_id(PHOTO, Options(urgent=True)) == job_id(PHOTO, Options())


@pytest.mark.parametrize(
    "other",
    [
        replace(PHOTO, bucket="other"),
        replace(PHOTO, key="a/my dog.JPG"),
        replace(PHOTO, key="a/my%20dog.jpg"),
        replace(PHOTO, version_id="v2"),
        UNVERSIONED,
        replace(UNVERSIONED, etag="d41e"),
        replace(UNVERSIONED, sequencer="0B"),
        Photo(bucket="uploadsa", key="/my dog.jpg", version_id="v1"),
    ],
)
def test_another_upload_is_another_job(other: Photo) -> None:
    assert job_id(other, Options()) != job_id(PHOTO, Options())
    assert photo_id(other) != photo_id(PHOTO)


@pytest.mark.parametrize(
    "options",
    [
        Options(remove=("dog",)),
        Options(remove=("dog", "cat")),
        Options(remove=("dog,cat",)),
        Options(min_score=0.4),
        Options(mask_route="remove-background"),
        Options(invert=True),
        Options(grow=0),
        Options(feather=0),
        Options(output_format="png"),
        Options(mask_format="binary"),
        Options(fill_route="firefly-fill"),
        Options(fill_route="firefly-fill", prompt="sand"),
    ],
)
def test_other_options_are_another_job(options: Options) -> None:
    everything_else = {job_id(PHOTO, Options()), job_id(PHOTO, Options(remove=("cat", "dog")))}
    assert job_id(PHOTO, options) not in everything_else


def test_another_own_mask_is_another_job() -> None:
    options = Options(mask_route="own-mask")
    ids = {job_id(PHOTO, options, mask) for mask in (None, MASK, replace(MASK, version_id="m2"))}
    assert len(ids) == 3


def test_a_job_with_unreadable_options_is_no_other_job() -> None:
    assert refused_id(PHOTO) not in {job_id(PHOTO, Options()), photo_id(PHOTO)}
    assert refused_id(PHOTO) != refused_id(replace(PHOTO, version_id="v2"))


WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)


@given(key=WORDS, version=WORDS, labels=st.lists(WORDS, min_size=1, max_size=4), score=st.floats(0, 1))
def test_an_id_is_legal_everywhere_and_the_record_leads_back_to_it(
    key: str, version: str, labels: list[str], score: float
) -> None:
    photo = Photo(bucket="uploads", key=key, version_id=version)
    record = {"remove": labels, "min_score": score}
    try:
        options = options_from_dict(record)
    except InvalidOptionsError:
        return
    name = job_id(photo, options)
    assert re.fullmatch(r"[0-9a-f]{40}", name)
    assert job_id(photo, options_from_dict(json.loads(json.dumps(options_to_dict(options))))) == name


@pytest.mark.parametrize("run", [1, 2, 17])
def test_an_executions_name_holds_job_run_and_claim(run: int) -> None:
    job = Job("ab12" * 10, PHOTO, Options(), "claimed", run=run, claimed_at=1_800_000_000.25)
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,80}", job.execution_name)
    assert job.execution_name == f"{job.job_id}-{run}-1800000000250"
    assert Job.id_in(job.execution_name) == job.job_id
