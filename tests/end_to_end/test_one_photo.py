"""One photo from upload to result, in the project's own template with IAM on."""

from __future__ import annotations

import hashlib

from tests.end_to_end.conftest import System


def test_a_photo_comes_back_clean(system: System, photo: bytes) -> None:
    ended = system.clean(photo, "Straße 1+1 [50%] 📷.jpg", remove="subject")

    assert ended.outcome == "cleaned"
    assert ended.result is not None
    assert ended.result != photo
    assert hashlib.sha256(ended.result).hexdigest() == ended.manifest["result"]["sha256"]
    events = system.published("Straße 1+1 [50%] 📷.jpg")
    assert [event["detail-type"] for event in events] == ["Photo Cleaned"]
    assert events[0]["detail"] == ended.manifest
