"""What comes along with photos, before them and after them, in the deployed template with IAM on."""

from __future__ import annotations

import io
import json
import uuid

from PIL import Image

from tests.end_to_end.conftest import System, until


def test_a_folders_files_hold_and_what_is_late_is_answered(system: System, photo: bytes) -> None:
    folder = f"trip-{uuid.uuid4().hex[:8]}/"
    mask = io.BytesIO()
    with Image.open(io.BytesIO(photo)) as picture:
        white_box = Image.new("L", picture.size)
    white_box.paste(255, (10, 10, 40, 40))
    white_box.save(mask, "PNG")
    system.drop(b'{"remove": ["subject"], "grow": 7}', f"{folder}_cleanplate.json")
    system.drop(mask.getvalue(), f"{folder}_cleanplate.mask.png")

    ended = system.clean(photo, f"{folder}dog.jpg")
    assert (ended.outcome, ended.manifest["options"]["grow"]) == ("cleaned", 7)
    assert ended.manifest["own_mask"]["key"] == f"{folder}_cleanplate.mask.png"
    assert set(system.adobe.counters()["jobs"]) == {"/v1/fill-masked-areas"}

    # A sidecar that comes late is a redo with it.
    system.drop(json.dumps({"grow": 9}).encode(), f"{folder}dog.jpg.json")
    events = system.published(f"{folder}dog.jpg", 60, count=2)
    assert [event["detail"]["options"]["grow"] for event in events] == [7, 9]

    # A folder's file that comes late is answered, and so is a result that is copied back.
    system.drop(b'{"grow": 1}', f"{folder}_cleanplate.json")
    (event,) = system.published(f"{folder}_cleanplate.json", 60)
    assert (event["detail-type"], event["detail"]["reason"]) == ("Request Refused", "LateFolderFileError")
    s3, stack = system.aws.client("s3"), system.stack
    s3.copy_object(
        Bucket=stack.uploads_bucket, Key=f"{folder}back.jpg",
        CopySource={"Bucket": stack.results_bucket, "Key": f"{folder}dog.jpg"},
    )  # fmt: skip
    (event,) = system.published(f"{folder}back.jpg", 60)
    assert (event["detail-type"], event["detail"]["reason"]) == ("Request Refused", "OwnOutputError")
    until(lambda: system.adobe.counters()["jobs"], lambda jobs: sum(jobs.values()) == 2)
