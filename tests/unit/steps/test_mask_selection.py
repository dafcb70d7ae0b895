from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleanplate.models import Box, Mask, Options
from cleanplate.steps.mask_selection import choose_masks

DOG = Mask("dog", 0.97, Box(0, 0, 50, 40))
CAT = Mask("cat", 0.9, Box(0, 0, 10, 10))
SHY_CAT = Mask("cat", 0.4, Box(0, 0, 90, 90))
SIGN = Mask("Traffic Sign", 0.8, Box(0, 0, 5, 5))
SKY = Mask("sky", 0.99, Box(0, 0, 100, 50), background=True)
ALL = (DOG, CAT, SHY_CAT, SIGN, SKY)


def chosen(*remove: str, masks: tuple[Mask, ...] = ALL, min_score: float = 0.5) -> tuple[Mask, ...]:
    return choose_masks(masks, Options(remove=remove, min_score=min_score)).masks


def test_labels_are_matched_whole_and_whatever_their_case() -> None:
    assert chosen("dog") == (DOG,)
    assert chosen("traffic sign") == (SIGN,)
    assert chosen("do") == chosen("traffic") == ()


def test_several_labels_keep_adobes_order() -> None:
    assert chosen("cat", "dog") == (DOG, CAT)


def test_a_star_stands_for_anything() -> None:
    assert chosen("traffic*") == chosen("*sign") == chosen("t*s*n") == (SIGN,)
    assert chosen("*") == (DOG, CAT, SIGN)


def test_what_is_not_certain_enough_is_left_alone() -> None:
    assert chosen("cat") == (CAT,)
    assert chosen("cat", min_score=0.4) == (CAT, SHY_CAT)
    assert chosen("dog", min_score=0.98) == ()


def test_the_subject_is_the_most_prominent_object_with_enough_score() -> None:
    assert chosen("subject") == (DOG,)
    assert chosen("subject", min_score=0.3) == (SHY_CAT,)
    assert chosen("subject", masks=(SKY,)) == ()


def test_the_subject_without_a_box_is_the_first_of_them() -> None:
    masks = (Mask("a"), Mask("b"))
    assert chosen("subject", masks=masks) == masks[:1]


def test_everything_is_every_certain_object() -> None:
    assert chosen("everything") == (DOG, CAT, SIGN)


def test_the_background_goes_only_when_it_is_called_by_its_name() -> None:
    assert chosen("sky") == (SKY,)
    assert chosen("sk*") == ()


def test_every_label_is_listed_once_whatever_its_score() -> None:
    assert choose_masks(ALL, Options(remove=("zebra",))).labels_seen == ("dog", "cat", "Traffic Sign", "sky")


def test_a_label_of_many_stars_takes_no_time() -> None:
    """As a regular expression this one takes longer than the universe is old."""
    assert chosen("*" * 99 + "!", masks=(Mask("a" * 60),)) == ()
    assert chosen("*a" * 49 + "*b", masks=(Mask("a" * 100),)) == ()


WORDS = st.text("ab*.?[", max_size=7)


@given(pattern=WORDS.filter(bool), label=st.text("ab.?[", max_size=9))
def test_wildcards_mean_what_a_regular_expression_would(pattern: str, label: str) -> None:
    expected = re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), label) is not None
    assert bool(chosen(pattern, masks=(Mask(label),))) is expected


@pytest.mark.parametrize("remove", [("subject",), ("everything",), ("dog",)])
def test_no_masks_is_no_choice(remove: tuple[str, ...]) -> None:
    assert chosen(*remove, masks=()) == ()
