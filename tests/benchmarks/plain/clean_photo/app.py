"""The plain design, in one function: a baseline for measurements, not a part of the system.

What other clients do: poll every 2 s, first after 2 s, until the job has ended; after 429 and 5xx send again after
1, 2 and 4 s, with jitter and without looking at ``Retry-After``; then give up. Lambda starts a failed call again.
"""

from __future__ import annotations

import json
import os
import random
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

import boto3
from botocore.config import Config

_POLL_SECONDS = 2.0
_RETRIES = 3

_s3 = boto3.client("s3", config=Config(signature_version="s3v4", s3={"us_east_1_regional_endpoint": "regional"}))
# The stand-in is on loopback, where no proxy of the environment leads.
_open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
_token: list[str] = []


def lambda_handler(event: dict[str, Any], _context: object) -> None:
    """One upload."""
    for record in event["Records"]:
        bucket = record["s3"]["bucket"]["name"]
        key = urllib.parse.unquote_plus(record["s3"]["object"]["key"])
        photo = _s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=3600)
        found = _run("/v1/mask-objects", {"image": {"source": {"url": photo}}})
        mask = found["semanticMasks"][0]
        filled = _run(
            "/v1/fill-masked-areas",
            {"image": {"source": {"url": photo}}, "masks": [{"source": {"url": mask["destination"]["url"]}}]},
        )
        with _open(filled["image"]["destination"]["url"], timeout=60) as answer:
            _s3.put_object(Bucket=os.environ["RESULTS_BUCKET"], Key=key, Body=answer.read())


def _run(path: str, body: dict[str, Any]) -> dict[str, Any]:
    status = _ask("POST", os.environ["ADOBE_API_URL"] + path, body)["statusUrl"]
    while True:
        time.sleep(_POLL_SECONDS)
        answer = _ask("GET", status)
        if answer["status"] == "failed":
            raise RuntimeError(f"Adobe's job failed: {answer}")
        if answer["status"] == "succeeded":
            return answer


def _ask(method: str, url: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    for retry in range(_RETRIES + 1):
        headers = {
            "Authorization": f"Bearer {_access_token()}",
            "x-api-key": os.environ["ADOBE_CLIENT_ID"],
            "Content-Type": "application/json",
        }
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, content, headers, method=method)
        try:
            with _open(request, timeout=30) as answer:
                told: dict[str, Any] = json.load(answer)
                return told
        except urllib.error.HTTPError as error:
            if retry == _RETRIES or error.code not in {429, 500, 502, 503, 504}:
                raise
        time.sleep(2**retry + random.random() / 10)
    raise AssertionError


def _access_token() -> str:
    if not _token:
        form = {
            "grant_type": "client_credentials",
            "client_id": os.environ["ADOBE_CLIENT_ID"],
            "client_secret": os.environ["ADOBE_CLIENT_SECRET"],
            "scope": "openid,AdobeID,read_organizations",
        }
        url = os.environ["ADOBE_IMS_URL"] + "/ims/token/v3"
        with _open(url, urllib.parse.urlencode(form).encode(), timeout=30) as answer:
            _token.append(json.load(answer)["access_token"])
    return _token[0]
