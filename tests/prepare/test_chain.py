"""The compiled forms of the steps are their NumPy forms, bit for bit, for any strides, types and tiles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refold.prepare import chain as chain_module
from refold.prepare import tiles as tiles_module
from refold.prepare.chain import Chain
from refold.prepare.kernels import lane_sums
from refold.prepare.masking import Fill
from refold.prepare.rebinning import sum_dtype
from refold.prepare.steps import Step
from refold.prepare.tiles import tiles
from refold.prepare.values import Limits, Logarithm, Scale
from refold.prepare.windows import Windows

INTEGERS = ("bool", "uint8", "int16", "uint32", "uint64", "int64")
FLOATS = ("float16", "float32", "float64")


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the compiled form whatever the size, and tiles of a few images, so that small blocks have many."""
    monkeypatch.setattr(chain_module, "_WORTH_COMPILING", 0)
    monkeypatch.setattr(chain_module, "_LONGEST", 1)
    monkeypatch.setattr(tiles_module, "_CACHE", 5000)


def numbers(shape: Sequence[int], dtype: str, invalid: bool = True) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(1)
    kind = np.dtype(dtype)
    if kind.kind == "b":
        return rng.random(shape) < 0.5
    if kind.kind in "iu":
        ends = np.iinfo(kind)
        few = rng.integers(max(ends.min, -9), 60, shape).astype(kind)
        few[rng.random(shape) < 1e-3] = ends.max if kind.itemsize < 4 else 70_000
        return few
    values = rng.normal(3.0, 5.0, shape).astype(kind)
    if invalid:
        for odd in (np.nan, np.inf, -np.inf, -0.0):
            values[rng.random(shape) < 1e-3] = odd
    return values


def window(factors: tuple[int, ...], dtype: np.dtype[Any], how: str = "sum") -> Windows:
    adding = result = sum_dtype(dtype, math.prod(factors))
    if how == "mean" and dtype.kind in "biu":
        result = np.dtype(np.float32 if dtype.itemsize <= 2 else np.float64)
        adding = adding if adding.kind != "f" else result
    return Windows(factors, adding, result, how)


def agree(steps: Sequence[Step], block: np.ndarray[Any, Any], *masks: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Take a block through the compiled chain and, step by step, through NumPy; compare."""
    found = Chain(tuple(steps), block.dtype)(block, *masks)
    wanted, left = block, list(masks)
    for step in steps:
        own = [left.pop(0)] if step.over is not None else []
        wanted = step(wanted, *own)
    assert found.dtype == wanted.dtype == steps[-1].dtype
    np.testing.assert_array_equal(found, wanted)  # NaN wherever NaN is; their signs and payloads may differ
    sign = np.isnan(wanted) | (np.signbit(found) == np.signbit(wanted)) if wanted.dtype.kind == "f" else np.True_
    assert sign.all()
    return found


def views(block: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
    """As a file has it, cropped, turned round, and with its dims in another order in memory."""
    return [
        block,
        block[1:, :, 2:-2, 4:],
        block[:, ::-1, :, ::-1],
        np.asfortranarray(block),
        block.transpose(1, 0, 3, 2),
    ]


@pytest.mark.parametrize("dtype", [*INTEGERS, *FLOATS, ">u2", ">f4"])
@pytest.mark.parametrize("how", ["sum", "mean"])
def test_windows_of_any_type(dtype: str, how: str) -> None:
    block = numbers((4, 4, 12, 20), dtype)
    agree([window((1, 1, 2, 2), block.dtype, how)], block)
    agree([window((2, 2, 1, 1), block.dtype, how)], block)
    agree([window((2, 2, 4, 2), block.dtype, how)], block[:, :, 4:, 2:])


@pytest.mark.parametrize(
    "factors",
    [(1, 1, 2, 2), (1, 1, 3, 5), (1, 1, 1, 4), (2, 3, 1, 2), (2, 1, 1, 1), (1, 3, 1, 1), (4, 3, 2, 1), (2, 3, 4, 3)],
)
@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_windows_of_any_width_and_strides(factors: tuple[int, ...], dtype: str) -> None:
    block = numbers((8, 6, 60, 60), dtype)
    for view in views(block):
        whole = view[tuple(slice(0, n // f * f) for n, f in zip(view.shape, factors, strict=True))]
        agree([window(factors, block.dtype)], whole)


@pytest.mark.parametrize("shape", [(24,), (6, 600), (4, 6, 2400), (2, 4, 6, 12, 12)])
def test_windows_of_any_number_of_dims(shape: tuple[int, ...]) -> None:
    for dtype in ("uint8", "float64"):
        block = numbers(shape, dtype)
        agree([window((1,) * (len(shape) - 1) + (3,), block.dtype)], block)
        agree([window((2,) * len(shape), block.dtype)], block)
        if len(shape) > 1:
            agree([window((2,) * (len(shape) - 1) + (1,), block.dtype)], block)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint32", "int64", "uint64", *FLOATS])
def test_values_of_any_type(dtype: str) -> None:
    block = numbers((3, 4, 10, 12), dtype)
    kind = np.dtype(np.float64 if block.dtype.itemsize == 8 else np.float32)
    for view in views(block):
        agree([Limits(view.dtype.type(0), view.dtype.type(7))], view)
        agree([Logarithm(kind)], view)
        for how in ("total", "max", "unit"):
            agree([Scale(how, 2, kind)], view)


@given(st.integers(0, 2**32 - 1), st.booleans())
def test_logarithms_of_counts_are_numpys_wherever_they_stand(seed: int, wide: bool) -> None:
    rng = np.random.default_rng(seed)
    block = rng.integers(0, 70_000 if wide else 65_536, (2, 3, int(rng.integers(1, 40)))).astype("uint32")
    assert agree([Logarithm(np.dtype("f4"))], block).tobytes() == np.log1p(block.astype("f4")).tobytes()


@pytest.mark.parametrize("dtype", ["bool", "uint16", "float32"])
def test_masks_over_signal_and_pixels(dtype: str) -> None:
    block = numbers((4, 6, 10, 12), dtype)
    rng = np.random.default_rng(3)
    for over in [
        (False, False, True, True),
        (False, False, False, True),
        (True, True, False, False),
        (True,) + 3 * (False,),
    ]:
        masked = rng.random([n if there else 1 for n, there in zip(block.shape, over, strict=True)]) < 0.4
        for view in (block, block[:, ::-1]):
            agree([Fill(block.dtype.type(1), block.dtype, 2, over)], view, masked)
            agree([Fill(np.float64(np.nan), np.dtype("f8"), 2, over)], view, masked)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "float32", "float64", "float16", ">i2"])
def test_steps_one_after_the_other(dtype: str) -> None:
    block = numbers((8, 8, 24, 20), dtype, invalid=False)
    rng = np.random.default_rng(4)
    first = window((1, 2, 2, 2), block.dtype)
    over = (False, False, True, True)
    channels, pixels = rng.random((1, 1, 12, 10)) < 0.3, rng.random((8, 4, 1, 1)) < 0.3
    kind = np.dtype(np.float64 if first.dtype.itemsize == 8 else np.float32)
    steps = [
        first,
        Limits(first.dtype.type(1), first.dtype.type(60)),
        Fill(first.dtype.type(0), first.dtype, 2, over),
        Logarithm(kind),
        Fill(kind.type(np.nan), kind, 2, (True, True, False, False)),
        Scale("total", 2, kind),
        window((2, 2, 1, 1), kind),
    ]
    for view in views(block)[:2]:
        whole = view[: len(view) // 2 * 2] if view is block else block[:, :, ::-1]
        agree(steps, whole, channels, pixels)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=5), st.data())
def test_tiles_cover_a_block_in_its_order(windows: list[int], data: st.DataObject) -> None:
    whole = data.draw(st.integers(1, len(windows)))
    seen = np.arange(math.prod(windows)).reshape(windows)
    parts = [seen[place] for place in tiles(windows, whole, data.draw(st.floats(1, 9e3)))]
    assert all(part.flags.c_contiguous for part in parts)
    assert all(part.shape[len(windows) - whole :] == seen.shape[len(windows) - whole :] for part in parts)
    np.testing.assert_array_equal(np.concatenate([part.ravel() for part in parts]), seen.ravel())


@given(st.integers(1, 200), st.integers(1, 4))
def test_lanes_add_up(features: int, pixels: int) -> None:
    rows = np.random.default_rng(features).normal(size=(pixels, features))
    one_by_one = []
    for row in rows:
        lane = [0.0] * 64
        for position, value in enumerate(row):
            lane[position % 64] += float(value)
        one_by_one.append(sum(lane))
    assert lane_sums(rows).tolist() == one_by_one
    np.testing.assert_allclose(lane_sums(rows), rows.sum(axis=1))
