from __future__ import annotations

import base64
import json
import quopri
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, get_args

import pytest
from boto3.dynamodb.types import TypeSerializer
from hypothesis import given
from hypothesis import strategies as st

from cleanplate.errors import (
    InvalidOptionsError,
    UnsupportedByRouteError,
)
from cleanplate.models import MaskFormat, MaskRoute, Options, OutputFormat
from cleanplate.uploads.options import (
    MAX_SIDECAR_BYTES,
    options_from_dict,
    options_in_folders,
    options_in_metadata,
    options_in_sidecar,
    options_to_dict,
    own_mask_key,
    parse_options,
    resolve_options,
    sidecar_key,
)


def resolve(
    *,
    defaults: Mapping[str, Any] | None = None,
    folders: Mapping[str, Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
    nearest: Mapping[str, Any] | None = None,
    has_own_mask: bool = False,
) -> Options:
    return resolve_options(
        defaults=defaults or {},
        folders=folders or {},
        metadata=metadata or {},
        nearest=nearest or {},
        has_own_mask=has_own_mask,
    )


Refusal = InvalidOptionsError | UnsupportedByRouteError


def resolved(read: Callable[[], Options]) -> Options | Refusal:
    try:
        return read()
    except (InvalidOptionsError, UnsupportedByRouteError) as refused:
        return refused


# --- which one holds --------------------------------------------------------------------------------------------------


def test_without_any_options_the_subject_goes() -> None:
    assert resolve() == Options()


@pytest.mark.parametrize(
    ("sources", "winner"),
    [
        ({"defaults": "a"}, "a"),
        ({"defaults": "a", "folders": "b"}, "b"),
        ({"defaults": "a", "folders": "b", "metadata": "c"}, "c"),
        ({"defaults": "a", "folders": "b", "metadata": "c", "nearest": "d"}, "d"),
        ({"defaults": "a", "nearest": "d"}, "d"),
    ],
)
def test_the_nearest_source_wins(sources: dict[str, str], winner: str) -> None:
    given_options = {source: {"remove": label} for source, label in sources.items()}
    assert resolve(**given_options).remove == (winner,)  # type: ignore[arg-type]


def test_sources_are_laid_over_each_other_option_by_option() -> None:
    options = resolve(defaults={"grow": "7"}, folders={"remove": "dog"}, nearest={"min-score": 0.9})
    assert options == Options(remove=("dog",), min_score=0.9, grow=7)


def test_a_mistake_is_refused_even_where_a_nearer_source_would_win() -> None:
    with pytest.raises(InvalidOptionsError, match="A folder of the key has an unknown option 'removes'"):
        resolve(folders={"removes": "dog"}, nearest={"remove": "cat"})


# --- mistakes quote what is accepted ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "quoted"),
    [
        ("mask_route", "mask-object", "accepted are mask-objects, remove-background, create-mask, own-mask"),
        ("output_format", "gif", "accepted are same, jpeg, png, webp"),
        ("mask_format", "hard", "accepted are soft, binary"),
        ("invert", "yes", "accepted are true, false"),
        ("urgent", 1, "accepted are true, false"),
        ("min_score", "half", "a number from 0 to 1"),
        ("min_score", 1.01, "a number from 0 to 1"),
        ("min_score", -0.01, "a number from 0 to 1"),
        ("min_score", True, "a number from 0 to 1"),
        ("min_score", float("nan"), "a number from 0 to 1"),
        ("min_score", "inf", "a number from 0 to 1"),
        ("min_score", 10**400, "a number from 0 to 1"),
        ("min_score", None, "a number from 0 to 1"),
        ("min_score", [], "a number from 0 to 1"),
        ("grow", -1, "whole pixels from 0 to 1000"),
        ("grow", 1001, "whole pixels from 0 to 1000"),
        ("grow", 2.5, "whole pixels from 0 to 1000"),
        ("feather", True, "whole pixels from 0 to 1000"),
        ("feather", "", "whole pixels from 0 to 1000"),
        ("feather", 10**400, "whole pixels from 0 to 1000"),
        ("remove", "", "empty"),
        ("remove", " , ", "empty"),
        ("remove", [], "empty"),
        ("remove", 5, "words such as"),
        ("remove", ["dog", 5], "words such as"),
        ("remove", {"dog": True}, "words such as"),
        ("remove", None, "words such as"),
        ("remove", [f"label {n}" for n in range(51)], "up to 50 labels"),
        ("remove", "x" * 101, "100 letters"),
        ("remove", "subject,dog", "alone"),
        ("remove", "dog,Everything", "alone"),
        ("remove", ["half \ud83d"], "half a character"),
    ],
)
def test_a_value_that_is_not_accepted_is_refused_by_name(name: str, value: Any, quoted: str) -> None:
    with pytest.raises(InvalidOptionsError) as refused:
        parse_options({name: value}, source="The sidecar")
    assert name in str(refused.value)
    assert quoted in str(refused.value)


def test_an_unknown_name_is_refused_with_its_source_and_all_known_names() -> None:
    with pytest.raises(InvalidOptionsError) as refused:
        parse_options({"colour": "red"}, source="The sidecar")
    assert str(refused.value) == (
        "The sidecar has an unknown option 'colour'; accepted are remove, min_score, mask_route, invert, grow, feather, "
        "output_format, mask_format, urgent, fill_route, prompt, review."
    )


@pytest.mark.parametrize(
    ("given_options", "parsed"),
    [
        ({"remove": " Dog , PERSON,dog, "}, {"remove": ("dog", "person")}),
        ({"remove": ["Straße"]}, {"remove": ("strasse",)}),
        ({"Min-Score": " 0.25 "}, {"min_score": 0.25}),
        ({" MASK_ROUTE ": "Remove-Background"}, {"mask_route": "remove-background"}),
        ({"invert": True, "urgent": "FALSE"}, {"invert": True, "urgent": False}),
        ({"grow": "auto", "feather": "0"}, {"grow": None, "feather": 0}),
        ({"grow": 1000}, {"grow": 1000}),
    ],
)
def test_names_and_values_are_read_as_people_write_them(given_options: dict[str, Any], parsed: dict[str, Any]) -> None:
    assert parse_options(given_options, source="The sidecar") == parsed


# --- what only the whole can show ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", ["remove-background", "create-mask"])
def test_a_route_with_one_mask_knows_no_labels(route: str) -> None:
    with pytest.raises(UnsupportedByRouteError, match=f"{route}.*dog, cat"):
        resolve(nearest={"mask_route": route, "remove": "dog,cat"})
    for remove in ("subject", "everything"):
        assert resolve(nearest={"mask_route": route, "remove": remove}).mask_route == route


def test_an_own_mask_wins_over_every_route_and_label() -> None:
    options = resolve(nearest={"mask_route": "create-mask", "remove": "dog"}, has_own_mask=True)
    assert options == Options(remove=("dog",), mask_route="own-mask")


def test_an_own_mask_that_is_not_there_is_a_mistake() -> None:
    with pytest.raises(InvalidOptionsError, match=r"photo\.mask\.png"):
        resolve(nearest={"mask_route": "own-mask"})


@pytest.mark.parametrize(
    ("key", "mask"),
    [
        ("dog.jpg", "dog.mask.png"),
        ("a/b.c/dog.v2.jpg", "a/b.c/dog.v2.mask.png"),
        ("a.b/dog", "a.b/dog.mask.png"),
        (".jpg", ".jpg.mask.png"),
        ("a/Zoë's dog (1).heic", "a/Zoë's dog (1).mask.png"),
    ],
)
def test_the_own_mask_lies_beside_the_photo(key: str, mask: str) -> None:
    assert own_mask_key(key) == mask
    assert sidecar_key(key) == f"{key}.json"


# --- folders ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ("dog.jpg", {}),
        ("remove=dog.jpg", {}),
        ("remove=dog/a.jpg", {"remove": "dog"}),
        ("remove=dog, person/Min-Score=0.3/a.jpg", {"remove": "dog, person", "min_score": "0.3"}),
        ("remove=dog/holiday/remove=cat/a.jpg", {"remove": "cat"}),
        ("2024/a=b c/a.jpg", {"a": "b c"}),
        ("1=2/=x/a b=c/a.jpg", {}),
        ("remove=/a.jpg", {"remove": ""}),
        ("remove=a=b/a.jpg", {"remove": "a=b"}),
    ],
)
def test_folders_of_name_and_value_are_options_and_all_others_are_not(key: str, found: dict[str, str]) -> None:
    assert options_in_folders(key) == found


# --- metadata -----------------------------------------------------------------------------------------------------------


def test_other_peoples_metadata_is_left_alone() -> None:
    assert options_in_metadata({"photographer": "Zoë", "camera": "X100", "cleanplate-job": "1" * 40, "mode": "x"}) == {}


def test_options_in_metadata_are_found_however_they_are_written() -> None:
    assert options_in_metadata({"Remove": "dog", "min-score": "0.3"}) == {"remove": "dog", "min_score": "0.3"}


@pytest.mark.parametrize("name", ["remov", "removes", "min-scor", "mask-rout", "output-fromat", "feathr", "urgnt"])
def test_a_near_miss_in_metadata_is_taken_for_the_typo_that_it_is(name: str) -> None:
    with pytest.raises(InvalidOptionsError, match=f"unknown option '{name}'; accepted are remove, "):
        options_in_metadata({name: "dog"})


@pytest.mark.parametrize(
    "encoded",
    [
        f"=?UTF-8?B?{base64.b64encode('café,Straße'.encode()).decode()}?=",
        f"=?UTF-8?Q?{quopri.encodestring('café,Straße'.encode(), header=True).decode()}?=",
        "=?ISO-8859-1?Q?caf=E9,Stra=DFe?=",
        "café,Straße",
    ],
)
def test_metadata_that_is_not_ascii_is_decoded_as_s3_encodes_it(encoded: str) -> None:
    assert options_in_metadata({"remove": encoded}) == {"remove": "café,Straße"}


@pytest.mark.parametrize("value", ["=?no-such-charset?B?YQ==?=", "=?UTF-8?B?a?=", "=?UTF-16?B?YQ==?="])
def test_metadata_that_cannot_be_decoded_is_refused_by_name(value: str) -> None:
    with pytest.raises(InvalidOptionsError, match=r"metadata remove .* cannot be decoded"):
        options_in_metadata({"remove": value})


# --- sidecars -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_a_sidecar_may_come_from_any_editor(encoding: str) -> None:
    assert options_in_sidecar('{"remove": ["Zoë"]}'.encode(encoding)) == {"remove": ["Zoë"]}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00",
        b"remove: dog",
        b"{'remove': 'dog'}",
        b'["dog"]',
        b'"dog"',
        b"null",
        b"5",
        b"\xff\xfe\x00",
        b'{"remove": "dog"',
        b"[" * 9000,
        b'{"a":' * 3000,
        b'{"grow": ' + b"9" * 5000 + b"}",
        b" " * (MAX_SIDECAR_BYTES + 1),
    ],
    ids=range(14),
)
def test_a_hostile_sidecar_is_refused_by_name(content: bytes) -> None:
    with pytest.raises(InvalidOptionsError):
        options_in_sidecar(content)


@pytest.mark.parametrize("size", [0, MAX_SIDECAR_BYTES])
def test_a_manifest_that_came_back_with_its_photo_is_no_sidecar(size: int) -> None:
    manifest = json.dumps({"schema": "cleanplate/1", "outcome": "failed", "message": "x" * size}, indent=2)
    # What is read of a large one breaks off.
    assert options_in_sidecar(manifest.encode()[: MAX_SIDECAR_BYTES + 1]) == {}


def test_a_sidecar_that_only_speaks_of_a_schema_is_read() -> None:
    assert options_in_sidecar(b'{"remove": "cat", "schema": "cleanplate/1"}')["remove"] == "cat"


def test_the_example_that_a_refusal_shows_is_itself_a_good_sidecar() -> None:
    with pytest.raises(InvalidOptionsError) as refused:
        options_in_sidecar(b"nonsense")
    words = str(refused.value)
    assert options_in_sidecar(words[words.index("{") : words.rindex("}") + 1].encode()) == {"remove": ["dog"]}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
NAMES = st.sampled_from([*options_to_dict(Options()), "Remove", "min-score", "x"])


@given(st.dictionaries(NAMES, JSON, max_size=4) | JSON)
def test_whatever_json_a_sidecar_holds_it_is_options_or_refused_by_name(found: object) -> None:
    options = resolved(lambda: resolve(nearest=options_in_sidecar(json.dumps(found).encode())))
    if isinstance(options, Options):
        assert options_from_dict(options_to_dict(options)) == options
    else:
        assert str(options).encode()


@given(st.dictionaries(st.text(max_size=12) | NAMES, st.text(max_size=40), max_size=3))
def test_any_metadata_is_options_or_a_named_refusal(metadata: dict[str, str]) -> None:
    options = resolved(lambda: resolve(metadata=options_in_metadata(metadata)))
    assert isinstance(options, Options) or str(options)


# --- keeping ------------------------------------------------------------------------------------------------------------

LABELS = st.lists(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30), min_size=1, max_size=5
).filter(lambda labels: all(label.strip() for label in labels))
VALID = st.fixed_dictionaries(
    {},
    optional={
        "remove": LABELS | st.sampled_from(["subject", "everything"]),
        "min_score": st.floats(0, 1),
        "mask_route": st.just("mask-objects"),
        "invert": st.booleans(),
        "grow": st.integers(0, 1000) | st.just("auto"),
        "feather": st.integers(0, 1000) | st.just("auto"),
        "output_format": st.sampled_from(get_args(OutputFormat)),
        "mask_format": st.sampled_from(get_args(MaskFormat)),
        "urgent": st.booleans(),
    },
)


@given(VALID)
def test_options_survive_their_record(nearest: dict[str, Any]) -> None:
    options = resolved(lambda: resolve(nearest=nearest))
    if not isinstance(options, Options):
        assert "alone" in str(options) or "letters" in str(options)
        return
    record = options_to_dict(options)
    assert options_from_dict(json.loads(json.dumps(record))) == options
    # Read again from where people put it, they are the same.
    assert resolve(nearest={name: value for name, value in record.items() if value is not None}) == options


@pytest.mark.parametrize("score", ["-0.0", "1e-200", "5e-324", "0.1234567890123456789"])
def test_a_score_is_one_that_the_record_can_hold_and_give_back(score: str) -> None:
    """GIVEN a score that DynamoDB has no number for THEN it is one that it has, before the job id is made from it."""
    kept = resolve(nearest={"min_score": score}).min_score
    assert TypeSerializer().serialize(Decimal(str(kept)))
    assert str(kept) in {"0.0", "0.123457"}


def test_every_route_and_format_can_be_said() -> None:
    for name, accepted in (("mask_route", MaskRoute), ("output_format", OutputFormat), ("mask_format", MaskFormat)):
        for word in get_args(accepted):
            assert parse_options({name: word}, source="x") == {name: word}


@pytest.mark.parametrize("prompt", [7, None, ["sand"], "half \ud83d", "x" * 1025, "a\u202eb", "a\x00b"])
def test_a_prompt_that_no_record_or_page_can_hold_is_refused(prompt: Any) -> None:
    with pytest.raises(InvalidOptionsError):
        resolve(nearest={"fill_route": "firefly-fill", "prompt": prompt})


def test_a_prompt_goes_with_firefly_alone() -> None:
    given_options = {"fill-route": "Firefly-Fill", "prompt": "  wet   sand\n"}
    assert resolve(nearest=given_options).prompt == "wet sand"
    assert (
        resolve(defaults={"fill_route": "firefly-fill"}, folders={"prompt": "sand"}, has_own_mask=True).prompt == "sand"
    )
    with pytest.raises(UnsupportedByRouteError):
        resolve(nearest={"prompt": "sand"})
