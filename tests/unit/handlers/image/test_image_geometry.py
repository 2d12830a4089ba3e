"""The arithmetic of the five fits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.handlers.image.geometry import place, plan, shrink_on_load

SIDES = st.integers(1, 5000)


@pytest.mark.parametrize(
    ("fit", "resize", "result"),
    [
        ("inside", (100, 50), (100, 50)),
        ("outside", (200, 100), (200, 100)),
        ("contain", (100, 50), (100, 100)),
        ("cover", (200, 100), (100, 100)),
        ("fill", (100, 100), (100, 100)),
    ],
)
def test_each_fit_of_a_wide_picture_in_a_square(fit: str, resize: tuple[int, int], result: tuple[int, int]) -> None:
    made = plan((400, 200), (100, 100), fit, enlarge=False)
    assert (made.resize, made.result) == (resize, result)


@pytest.mark.parametrize(
    ("fit", "result"),
    [("inside", (40, 20)), ("outside", (40, 20)), ("contain", (100, 100)), ("cover", (20, 20)), ("fill", (40, 20))],
)
def test_a_small_picture_is_not_enlarged(fit: str, result: tuple[int, int]) -> None:
    made = plan((40, 20), (100, 100), fit, enlarge=False)
    assert made.result == result
    assert made.resize[0] <= 40
    assert made.resize[1] <= 20


@pytest.mark.parametrize(
    ("fit", "result"),
    [
        ("inside", (100, 50)),
        ("outside", (200, 100)),
        ("contain", (100, 100)),
        ("cover", (100, 100)),
        ("fill", (100, 100)),
    ],
)
def test_a_small_picture_is_enlarged_when_asked(fit: str, result: tuple[int, int]) -> None:
    assert plan((40, 20), (100, 100), fit, enlarge=True).result == result


def test_one_side_alone_keeps_the_shape() -> None:
    assert plan((400, 200), (100, None), "inside", enlarge=False).result == (100, 50)
    assert plan((400, 200), (None, 50), "inside", enlarge=False).result == (100, 50)
    assert plan((400, 200), (None, None), "inside", enlarge=False).result == (400, 200)


@given(SIDES, SIDES, SIDES, SIDES, st.sampled_from(["inside", "outside", "contain", "cover", "fill"]), st.booleans())
def test_every_plan_can_be_carried_out(w: int, h: int, box_w: int, box_h: int, fit: str, enlarge: bool) -> None:
    made = plan((w, h), (box_w, box_h), fit, enlarge=enlarge)
    assert min(made.resize) >= 1
    if made.cut:
        assert made.cut[0] <= made.resize[0]
        assert made.cut[1] <= made.resize[1]
    if made.canvas:
        assert made.canvas[0] >= made.resize[0]
        assert made.canvas[1] >= made.resize[1]
    if not enlarge:
        assert made.resize[0] <= w
        assert made.resize[1] <= h


@pytest.mark.parametrize(("ratios", "factor"), [([9.0], 8), ([8.0, 4.1], 4), ([2.5, 20], 2), ([1.9], 1), ([], 1)])
def test_the_largest_variant_decides_the_shrink(ratios: list[float], factor: int) -> None:
    assert shrink_on_load(ratios) == factor


def test_gravity_places_a_part() -> None:
    assert place((100, 100), (20, 10), "southeast", 5) == (75, 85)
    assert place((100, 100), (20, 10), "north") == (40, 0)
