"""Outcomes at a webhook: the template's own connection, destination and rule, as EventBridge carries them out."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from local.dev.world import World
from local.embedded_aws.template import transformed
from tests.end_to_end.conftest import System, until

SECRET = "a secret of the shop"
Posted = list[tuple[dict[str, str], dict[str, Any]]]


@pytest.fixture
def hook() -> Iterator[tuple[str, Posted]]:
    """A receiver on loopback: its URL, and what was posted there."""
    posted: Posted = []

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            posted.append(({name.lower(): value for name, value in self.headers.items()}, json.loads(body)))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/hook", posted
        server.shutdown()


@pytest.fixture
def _posts_outcomes(system: System, hook: tuple[str, Posted]) -> Iterator[None]:
    # The embedded CloudFormation knows neither connections nor destinations: what the template says is done by hand.
    world = World(
        transformed(),
        {
            "WebhookUrl": hook[0],
            "WebhookSecret": SECRET,
            "ExistingUploadsBucket": system.stack.uploads_bucket,
        },
    )
    events: Any = system.aws.client("events")
    (connection,) = world.of_type("AWS::Events::Connection").values()
    (destination,) = world.of_type("AWS::Events::ApiDestination").values()
    rule = world.of_type("AWS::Events::Rule")["WebhookRule"]
    about = {name: value for name, value in connection.items() if name != "Name"}
    arn = events.create_connection(Name="hook", **about)["ConnectionArn"]
    made = events.create_api_destination(Name="hook", **{**destination, "ConnectionArn": arn})
    events.put_rule(Name="hook", EventPattern=json.dumps(rule["EventPattern"]))
    events.put_targets(Rule="hook", Targets=[{"Id": "hook", "Arn": made["ApiDestinationArn"]}])
    with contextlib.ExitStack() as undone:
        undone.callback(events.delete_connection, Name="hook")
        undone.callback(events.delete_api_destination, Name="hook")
        undone.callback(events.delete_rule, Name="hook")
        undone.callback(events.remove_targets, Rule="hook", Ids=["hook"])
        yield


@pytest.mark.usefixtures("_posts_outcomes")
def test_a_webhook_gets_each_outcome_with_the_secret(system: System, hook: tuple[str, Posted], photo: bytes) -> None:
    posted = hook[1]
    ended = system.clean(photo, prefix="hook/")
    system.aws.client("events").put_events(
        Entries=[
            {"Source": "cleanplate", "DetailType": "Photo Cleaned", "Detail": "{}", "Resources": ["arn:aws:s3:::other"]}
        ]
    )
    found = until(lambda: {event["detail-type"]: event for _, event in posted}, lambda kinds: len(kinds) >= 2)
    assert found.keys() == {"Photo Cleaned", "Folder Done"}
    assert found["Photo Cleaned"]["detail"] == ended.manifest
    assert {headers["x-cleanplate-secret"] for headers, _ in posted} == {SECRET}
