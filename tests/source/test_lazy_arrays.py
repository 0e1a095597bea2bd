from __future__ import annotations

import math
import pickle
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refold.errors import ParameterError
from refold.source.lazy import lazy_array, native, regular_chunks, tile, wanted_chunks

SHAPES = st.lists(st.integers(1, 9), min_size=1, max_size=4).map(tuple)


@dataclass
class Recorder:
    """A region reader that notes what it was asked for."""

    values: np.ndarray
    asked: Counter = field(default_factory=Counter)

    def read(self, region):
        self.asked[tuple((part.start, part.stop) for part in region)] += 1
        return self.values[region]


@given(SHAPES, st.data())
def test_a_lazy_array_reads_each_block_once_and_is_the_array(shape, data):
    chunks = tuple(data.draw(st.integers(1, size)) for size in shape)
    recorder = Recorder(np.arange(math.prod(shape), dtype=">i4").reshape(shape))
    lazy = lazy_array(recorder, shape, ">i4", chunks, "token")
    assert lazy.chunks == regular_chunks(shape, chunks)
    assert not recorder.asked
    np.testing.assert_array_equal(lazy.compute(scheduler="synchronous"), recorder.values)
    assert len(recorder.asked) == lazy.npartitions
    assert set(recorder.asked.values()) == {1}
    assert lazy.dtype == native(">i4") == lazy.compute(scheduler="synchronous").dtype


def test_two_slices_of_one_block_read_it_once():
    recorder = Recorder(np.arange(40.0).reshape(8, 5))
    lazy = lazy_array(recorder, (8, 5), "f8", (8, 5), "token")
    total = (lazy[:4].sum() + lazy[4:].sum()).compute(scheduler="synchronous")
    assert total == recorder.values.sum()
    assert sum(recorder.asked.values()) == 1


def test_the_graph_stays_small_however_many_blocks():
    few, many = (lazy_array(Recorder(np.zeros(1)), (n, 512), "f4", (1, 512), "token") for n in (10, 100_000))
    assert len(pickle.dumps(many.dask)) < len(pickle.dumps(few.dask)) + 1_000_000
    assert len(many.dask.layers) == 1


@given(SHAPES, st.data())
def test_tiles_hold_whole_signals_and_whole_stored_chunks(shape, data):
    signal = data.draw(st.sets(st.integers(0, len(shape) - 1)))
    stored = tuple(data.draw(st.integers(1, size)) for size in shape)
    target = data.draw(st.integers(1, 5000))
    block = tile(shape, 2, sorted(signal), stored, target)
    for at, (side, size, step) in enumerate(zip(block, shape, stored, strict=True)):
        assert 1 <= side <= size
        assert side == size or (at not in signal and side % step == 0)
    smallest = math.prod(
        size if at in signal else min(step, size) for at, (size, step) in enumerate(zip(shape, stored, strict=True))
    )
    assert 2 * math.prod(block) <= max(target, 2 * smallest)


def test_wished_chunks_never_cut_stored_ones():
    assert wanted_chunks({"y": 4}, ("y", "x"), (2, 3), (2, 3)) == (4, 3)
    with pytest.raises(ParameterError, match="multiple of the 2"):
        wanted_chunks({"y": 3}, ("y", "x"), (2, 3), (2, 3))
    with pytest.raises(ParameterError, match="'q'"):
        wanted_chunks({"q": 3}, ("y", "x"), (2, 3), (2, 3))
