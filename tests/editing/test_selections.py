"""Selections: geometry that says the same of a pixel whatever is beside it, and comes back from JSON as it was."""

from __future__ import annotations

import json
from functools import reduce
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from refold import Selection
from refold.editing.selections import MAX_PARTS, MAX_POINTS
from refold.errors import ParameterError
from tests.editing.made_edits import FRAME, junk, pixels, selections

_NUMBERS = st.floats(-4, 4) | st.integers(-3, 3).map(float)
_CORNERS = st.lists(st.tuples(_NUMBERS, _NUMBERS), min_size=3, max_size=12)


def even_odd(corners: Any, points: np.ndarray) -> np.ndarray:
    """The rule as it is written in books, every edge asked of every point."""
    x, y = points.astype(np.float64).T
    inside = np.zeros(len(points), bool)
    for (x1, y1), (x2, y2) in zip(corners, [*corners[1:], corners[0]], strict=True):
        if y1 != y2:
            inside ^= ((y1 > y) != (y2 > y)) & (x < (x2 - x1) * (y - y1) / (y2 - y1) + x1)
    return inside


@given(corners=_CORNERS, seed=st.integers(0, 99), decimals=st.integers(0, 6))
@example([(0, 0), (2, 0), (2, 2), (0, 2)], 0, 0)  # points on its corners and edges
@example([(0, 0), (4, 0), (4, 4), (1, 1), (3, 1), (0, 4)], 1, 1)  # crosses itself
def test_a_lasso_is_the_even_odd_rule(corners: Any, seed: int, decimals: int) -> None:
    points = np.random.default_rng(seed).uniform(-5, 5, (500, 2)).round(decimals).astype(np.float32)
    points = np.concatenate([points, np.array(corners, np.float32)])
    low, high = np.min(corners, axis=0), np.max(corners, axis=0)
    within = ((points >= low) & (points <= high)).all(axis=1)  # beyond, rounding alone could say anything
    assert (Selection.lasso(corners).mask(points) == (even_odd(corners, points) & within)).all()


def test_neighbouring_lassos_share_no_pixel_and_leave_none() -> None:
    left = Selection.lasso([(0, 0), (2, 0), (2, 4), (0, 4)], "map")
    right = Selection.lasso([(2, 0), (4, 0), (4, 4), (2, 4)], "map")
    where = np.arange(25)
    masks = [one.mask(None, where, (5, 5)).reshape(5, 5) for one in (left, right)]
    assert not (masks[0] & masks[1]).any()
    assert (masks[0] | masks[1])[:4, :4].all()


def test_a_box_has_its_edges_and_is_compared_in_double_precision() -> None:
    tenth = np.array([[0.1, 0.0]], np.float32)  # a little more than 0.1
    assert not Selection.box(0, 0.1, 0, 1).mask(tenth)[0]
    assert Selection.box(float(np.float32(0.1)), 1, 0, 0).mask(tenth)[0]
    assert Selection.box(1, 0, 1, -1).mask(tenth)[0]  # ends in either order


def test_the_map_is_in_pixels_row_first() -> None:
    where = np.arange(12)
    row = Selection.box(1, 1, -1, 9, "map").mask(None, where, (3, 4)).reshape(3, 4)
    assert row[1].all()
    assert row.sum() == 4
    line = Selection.box(-1, 1, 2, 3, "map").mask(None, where, (12,))  # a line is a map of one row
    assert np.flatnonzero(line).tolist() == [2, 3]
    stack = Selection.box(1, 1, -1, 9, "map", dims=(0, 1)).mask(None, where, (2, 2, 3)).reshape(2, 2, 3)
    assert stack[1].all()
    assert not stack[0].any()


def test_pixels_without_coordinates_are_in_no_lasso() -> None:
    rows = np.array([[np.nan, 0], [np.inf, 0], [0.5, 0.5]], np.float32)
    square = [(0, 0), (1, 0), (1, 1), (0, 1)]
    assert Selection.lasso(square).mask(rows).tolist() == [False, False, True]
    assert Selection.box(-9, 9, -9, 9).mask(rows).tolist() == [False, False, True]


@pytest.mark.parametrize(
    "corners", [[(1, 1)] * 3, [(0, 0), (1, 0), (2, 0)], [(0, 0), (0, 1), (0, 2)], [(0, 0), (5e-324, 5e-324), (0, 1)]]
)
def test_a_lasso_without_area_holds_nothing(corners: Any) -> None:
    points = np.array([[0, 0], [1, 1], [0, 1], [0.5, 0], [3, 3]], np.float32)
    assert not Selection.lasso(corners).mask(points)[1:].any()


@given(indices=st.lists(st.integers(0, 60), max_size=30))
def test_pixels_are_those_named(indices: list[int]) -> None:
    one = Selection.pixels(indices)
    assert set(np.flatnonzero(one.mask(None, np.arange(61))).tolist()) == set(indices)
    mask = np.isin(np.arange(61), indices)
    assert Selection.pixels(mask) == one


@given(one=selections(), other=selections())
def test_selections_are_sets(one: Selection, other: Selection) -> None:
    at = pixels()
    said = [each.mask(at.embedding, at.where, FRAME.shape) for each in (one, other, one | other, one & other, ~one)]
    assert (said[2] == (said[0] | said[1])).all()
    assert (said[3] == (said[0] & said[1])).all()
    assert (said[4] == ~said[0]).all()
    assert ~~one == one


@given(one=selections())
def test_a_selection_comes_back_from_json(one: Selection) -> None:
    assert Selection.from_dict(json.loads(json.dumps(one.to_dict()))) == one


@given(one=selections(), order=st.permutations(range(42)))
def test_a_pixel_is_selected_whatever_is_beside_it(one: Selection, order: list[int]) -> None:
    at = pixels()
    whole = one.mask(at.embedding, at.where, FRAME.shape)
    for part in (np.array(order[:5]), np.array(order[5:])):
        assert (one.mask(at.embedding[part], at.where[part], FRAME.shape) == whole[part]).all()


@given(data=junk())
@example({"lasso": [[0, 0], [1, 0], [0, 10**400]], "space": "map", "dims": [0, 1]})
@example({"lasso": [[0, 0], [1, 0], [0, "1"]], "space": "map", "dims": [0, 1]})
@example({"lasso": [[0, 0], [1, 0], [0, True]], "space": "map", "dims": [0, 1]})
@example({"lasso": [[0, 0], [1, 0], [0, 1]], "space": ["map"], "dims": [0, 1]})
@example({"lasso": [[0, 0], [1, 0], [0, 1]], "space": "map", "dims": [0, 1.0]})
@example({"box": [0, 1, 2], "space": "map", "dims": [0, 1]})
@example({"pixels": [[0, 2], [1, 3]]})
@example({"pixels": [[-1, 2]]})
@example({"pixels": [[0, 2**64]]})
@example({"any": []})
@example({"not": {"all": [{"pixels": []}, {"pixels": 3}]}})
def test_what_is_no_selection_is_refused(data: Any) -> None:
    with pytest.raises(ParameterError):
        Selection.from_dict(data)


def test_sizes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ParameterError, match="corners"):
        Selection.lasso([(0, 0)] * (MAX_POINTS + 1))
    with pytest.raises(ParameterError, match="up and down 600 times"):
        Selection.lasso([(place, place % 2) for place in range(1200)])
    monkeypatch.setattr("refold.editing.geometry.MAX_RUNS", 100)
    with pytest.raises(ParameterError, match="runs"):
        Selection.pixels(np.arange(101) * 2)
    box = Selection.box(0, 1, 0, 1)
    with pytest.raises(ParameterError, match="at most 1000"):
        Selection.from_dict({"any": [box.to_dict()] * (MAX_PARTS + 1)})
    with pytest.raises(ParameterError, match="nested"):
        reduce(lambda inner, _: ~(inner | box) & box, range(40), box)


@pytest.mark.parametrize(
    ("draw", "said"),
    [
        (lambda: Selection.lasso([(0, 0), (1, 1)]), "2 corners"),
        (lambda: Selection.lasso([(0, 0), (1, 1), (2, float("nan"))]), "nan"),
        (lambda: Selection.lasso([(0, 0), (1, 1), (2,)]), "two numbers"),  # type: ignore[list-item]
        (lambda: Selection.box(0, 1, 0, "1"), "a number"),  # type: ignore[arg-type]
        (lambda: Selection.box(0, 1, 0, 1, "scores"), "one of embedding, map"),  # type: ignore[arg-type]
        (lambda: Selection.box(0, 1, 0, 1, dims=(0, 99)), "numbers up to"),
        (lambda: Selection.pixels([0.5]), "whole numbers"),
        (lambda: Selection.box(0, 1, 0, 1) | [1], "a selection"),
        (lambda: Selection.box(0, 1, 0, 1).mask(None), "latent coordinates"),
        (lambda: Selection.box(0, 1, 0, 1, "map").mask(None, np.arange(3)), "pass shape"),
        (lambda: Selection.pixels([1]).mask(None), "pass where"),
        (lambda: Selection.box(0, 1, 0, 1, dims=(0, 5)).check(2, (3, 3)), r"latent dims \(0, 5\)"),
        (lambda: Selection.pixels([9]).check(2, (3, 3)), "pixel 9"),
    ],
)
def test_what_cannot_be_selected_is_said(draw: Any, said: str) -> None:
    with pytest.raises(ParameterError, match=said):
        draw()
