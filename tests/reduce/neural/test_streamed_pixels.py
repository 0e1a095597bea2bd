"""Laws of the stream: each pixel once an epoch, none that judges, batches of one size, the same from the same seed."""

from __future__ import annotations

import numpy as np
import xarray as xr
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from refold.cube import as_cube
from refold.engine import Sample, settings, sweep
from refold.reduce.neural.coding import Standard
from refold.reduce.neural.pixels import PixelStream, Split, batches

AS_IT_IS = Standard(np.zeros(3), np.ones(3))


def numbered(shape: tuple[int, int] = (14, 10)) -> xr.DataArray:
    """A cube whose first feature is the number of the pixel; every ninth is not finite."""
    rows = np.zeros((*shape, 3), np.float32)
    rows[..., 0] = np.arange(rows[..., 0].size).reshape(shape)
    rows.reshape(-1, 3)[::9, 1] = np.nan
    return as_cube(rows, signal="energy")


@given(st.integers(1, 14), st.integers(1, 10), st.sampled_from(["2kB", "3kB", "1MB"]), st.integers(1, 40))
@examples(max_examples=12)
def test_each_pixel_once_an_epoch(y: int, x: int, memory: str, size: int) -> None:
    cube, split = numbered().chunk({"y": min(y, 3), "x": min(x, 4)}), Split(0.3, seed=4)
    expected = [at for at in range(140) if at % 9 and not split.judges(np.array([at]))[0]]
    with settings(memory=memory, workers=1):
        stream = PixelStream(cube, AS_IT_IS, split, size)
        epochs = [list(stream.epoch(number)) for number in (0, 1, 0)]
    for epoch in epochs:
        seen = np.concatenate(epoch)[:, 0].astype(int).tolist()
        assert len(set(seen)) == len(seen)
        assert set(seen) <= set(expected)
        assert len(expected) - len(seen) < max(1, size / 2)  # a last batch that is too small to say much
        assert {len(batch) for batch in epoch[:-1]} <= {size}
    first, other, again = (np.concatenate(epoch)[:, 0] for epoch in epochs)
    np.testing.assert_array_equal(again, first)
    assert not np.array_equal(other, first)


@given(st.integers(1, 14), st.integers(1, 10))
@examples(max_examples=5)
def test_blocks_do_not_matter_while_all_fits(y: int, x: int) -> None:
    with settings(memory="1MB", workers=1):
        whole, cut = (
            np.concatenate(list(PixelStream(cube, AS_IT_IS, Split(0.1, 0), 8).epoch(3)))
            for cube in (numbered(), numbered().chunk({"y": y, "x": x}))
        )
    np.testing.assert_array_equal(cut, whole)


@given(st.floats(0, 0.9), st.integers(0, 2**31 - 1))
def test_the_split_is_a_function_of_the_pixel(fraction: float, seed: int) -> None:
    split, pixels = Split(fraction, seed), np.arange(4000)
    judges = split.judges(pixels)
    np.testing.assert_array_equal(split.judges(pixels[::-1])[::-1], judges)
    np.testing.assert_array_equal(split.judges(pixels[1000:1500]), judges[1000:1500])
    assert abs(judges.mean() - fraction) < 0.05
    assert not Split(0.0, seed).judges(pixels).any()


def test_a_sample_by_the_same_seed_holds_those_that_judge() -> None:
    split = Split(0.25, seed=3)
    wanted = [at for at in range(140) if at % 9 and split.judges(np.array([at]))[0]]
    (sample,) = sweep(numbered(), Sample(len(wanted), 3, n_features=3))
    assert sample.pixels.tolist() == wanted


def test_a_small_last_batch_is_left_out_unless_it_is_all() -> None:
    rows = np.arange(9, dtype=np.float32)[:, None]
    assert [len(batch) for batch in batches(iter([(rows, np.arange(9))]), 4)] == [4, 4]
    assert [len(batch) for batch in batches(iter([(rows, np.arange(9))]), 20)] == [9]
    assert list(batches(iter([]), 4)) == []
