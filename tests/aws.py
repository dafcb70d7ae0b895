"""AWS in a test's own process: moto, ministack's table, and boto3's clients of both, made once.

Both emulators do for every call what would do once in a process, and one run of the tests makes a hundred thousand calls.
What is put right here changes what a call costs, and that calls are atomic; nothing that they answer.
"""

from __future__ import annotations

import itertools
import os
import pickle
import threading
from functools import cache, lru_cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import boto3
import botocore.endpoint
import moto.core.models
from botocore import UNSIGNED
from botocore.awsrequest import AWSResponse, HeadersDict
from botocore.config import Config
from botocore.parsers import create_parser
from botocore.utils import parse_timestamp
from ministack.services import dynamodb as ministack_dynamodb
from moto import backend_index
from moto.backends import get_backend
from moto.core.base_backend import BaseBackend
from moto.core.botocore_stubber import BotocoreStubber

from cleanplate.aws import clients

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

REGION: Final = "eu-west-1"
ACCOUNT: Final = "123456789012"


# --- what emulators do again for each call ----------------------------------------------------------------------------

# Only boto3 is to meet moto: for requests it would set up 1,300 patterns for every stage, and try them on every call.
moto.core.models.RESPONSES_METHODS.clear()
# moto tries the patterns of 200 services in order of the alphabet; these are the ones that are called.
_CALLED = ("s3", "dynamodb", "sqs", "events", "stepfunctions", "secretsmanager")
backend_index.backend_url_patterns.sort(key=lambda pattern: pattern[0] not in _CALLED)

_make_urls = vars(BaseBackend)["urls"].fget
_urls: dict[tuple[type, str | None], Any] = {}


def _urls_made_once(backend: BaseBackend) -> Any:
    # For each call moto makes a service's table of URLs, and for S3's it loads a module again.
    which = (type(backend), os.environ.get("MOTO_S3_CUSTOM_ENDPOINTS"))
    if which not in _urls:
        _urls[which] = _make_urls(backend)
    return _urls[which]


BaseBackend.urls = property(_urls_made_once)  # type: ignore[assignment]

_process_request, _calls = BotocoreStubber.process_request, threading.RLock()


def _process_alone(stubber: BotocoreStubber, request: Any) -> Any:
    # A call of AWS's is atomic; moto's is not when threads call at once.
    with _calls:
        return _process_request(stubber, request)


BotocoreStubber.process_request = _process_alone  # type: ignore[assignment,method-assign]

# botocore asks the system for a random id of each request, which nothing here reads.
botocore.endpoint.uuid = SimpleNamespace(uuid4=itertools.count().__next__)  # type: ignore[attr-defined]

# ministack copies the item several times in each write; so it takes a fifth of the time.
ministack_dynamodb.copy = SimpleNamespace(deepcopy=lambda value: pickle.loads(pickle.dumps(value, -1)))


# --- clients ----------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def session() -> boto3.Session:
    """Return the one session of all tests: each new one reads the services' descriptions again."""
    made = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name=REGION)
    made._session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=cache(parse_timestamp))
    return made


def client_as_new(service: str, endpoint_url: str | None = None) -> Any:
    """Return the one client of a service, without what earlier tests hung on it: to make one takes 10 ms and more."""
    client, attributes, registered = _client(service, endpoint_url)
    vars(client).clear()
    vars(client).update(attributes)
    vars(client._endpoint).pop("make_request", None)
    while registered:
        client.meta.events._emitter.unregister(*registered.pop())
    return client


@cache
def _client(service: str, endpoint_url: str | None) -> tuple[Any, dict[str, Any], list[tuple[str, Any]]]:
    """A client, its attributes as they are at first, and what is registered later."""
    lean = Config(signature_version=UNSIGNED, user_agent="tests")
    config = clients.s3_config(endpoint=bool(endpoint_url)) if service == "s3" else lean
    client = session().client(service, endpoint_url=endpoint_url, config=config)  # type: ignore[call-overload]
    # botocore would put it together twice for each call.
    client._user_agent_creator.to_string = lambda: "tests"
    client.meta.events.register("choose-signer.s3", _sign_only_links)
    client.meta.events.register("request-created.s3", _name_a_key)
    registered: list[tuple[str, Any]] = []
    emitter = client.meta.events._emitter
    register = emitter._register_section

    def note(event: str, handler: Any, *rest: Any, **named: Any) -> None:
        registered.append((event, handler))
        register(event, handler, *rest, **named)

    emitter._register_section = note
    return client, dict(vars(client)), registered


def _sign_only_links(signature_version: str, **_: Any) -> Any:
    # moto wants to see that a request is signed, and looks at no signature.
    return None if signature_version.endswith("-query") else UNSIGNED


def _name_a_key(request: Any, **_: Any) -> None:
    request.headers["Authorization"] = f"AWS4-HMAC-SHA256 Credential=test/20270115/{REGION}/s3/aws4_request"


def moto_backend(service: str) -> Any:
    """Return what moto keeps of a service, to set something up without a call."""
    return get_backend(service)[ACCOUNT]["aws" if service == "s3" else REGION]


def ministack_dynamodb_client() -> DynamoDBClient:
    """Return a client of ministack's DynamoDB, in this process and empty.

    ministack gets what boto3 has checked and serialised, and boto3 parses what it answers; what lies between, a request
    over HTTP, is left out.
    """
    ministack_dynamodb.reset()
    client: Any = client_as_new("dynamodb", "http://ministack.invalid")
    parser, lock = create_parser("json"), threading.Lock()

    def answer(model: Any, params: dict[str, Any], context: Any, **_: Any) -> tuple[AWSResponse, dict[str, Any]]:
        headers = {name.lower(): value for name, value in params["headers"].items()}
        with lock:
            status, answered, body = _run(ministack_dynamodb.handle_request("POST", "/", headers, params["body"], {}))
        content = body if isinstance(body, bytes) else body.encode()
        response = {"status_code": status, "headers": HeadersDict(answered), "body": content, "context": context}
        parsed = parser.parse(response, model.output_shape)
        if status >= 300:
            client._endpoint._add_modeled_error_fields(response, parsed, model, parser)
        return AWSResponse(params["url"], status, answered, None), parsed

    client.meta.events.register_last("before-call.dynamodb", answer)
    return client  # type: ignore[no-any-return]


def _run(handling: Any) -> Any:
    """Return what a coroutine returns that waits for nothing."""
    try:
        handling.send(None)
    except StopIteration as ended:
        return ended.value
    raise AssertionError("ministack waits for something")


def create_plain_table(client: DynamoDBClient) -> None:
    """Create a table ``Jobs`` without the template's indexes."""
    client.create_table(
        TableName="Jobs",
        KeySchema=[{"AttributeName": "job_id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "job_id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
