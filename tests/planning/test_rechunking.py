"""Ways from stored chunks to chunks of whole signals: within the memory, and each stored chunk in one block."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refold.errors import MemoryBudgetError, ParameterError
from refold.planning import parse_bytes
from refold.planning.rechunking import Stored, plan_rechunking

MB = 10**6
PATTERNS = (256, 256, 128, 128)  # of two bytes: 32 kB a pixel
SPECTRA = (256, 256, 2048)

# shape, stored chunks, navigation dims, memory, workers, wanted -> chunks, read, gathered, between, workers, shared
CASES = {
    "chunks of whole signals stay": (
        (PATTERNS, (32, 32, 128, 128), 2, 1000 * MB, 2, None),
        ((32, 32, 128, 128), (32, 32, 128, 128), (32, 32, 128, 128), None, 2, False),
    ),
    "a signal in four is put together": (
        (PATTERNS, (32, 32, 64, 64), 2, 1000 * MB, 2, None),
        ((32, 32, 128, 128), (32, 32, 128, 128), (32, 32, 128, 128), None, 2, False),
    ),
    "nothing stored in chunks": (
        (PATTERNS, (1, 1, 1, 1), 2, 1000 * MB, 2, None),
        ((28, 27, 128, 128), (28, 27, 128, 128), (28, 27, 128, 128), None, 2, False),
    ),
    "a small memory makes small chunks": (
        (PATTERNS, (1, 1, 1, 1), 2, 50 * MB, 2, None),
        ((8, 7, 128, 128), (8, 7, 128, 128), (8, 7, 128, 128), None, 2, False),
    ),
    "rows are cut": (
        (PATTERNS, (1, 256, 128, 128), 2, 500 * MB, 2, None),
        ((16, 26, 128, 128), (16, 256, 128, 128), (16, 256, 128, 128), None, 2, False),
    ),
    "all positions, some channels": (
        (SPECTRA, (256, 256, 8), 2, 200 * MB, 1, None),
        ((64, 64, 2048), (256, 256, 496), (64, 192, 2048), (64, 192, 496), 1, False),
    ),
    "all positions, some channels, and memory for all": (
        (SPECTRA, (256, 256, 8), 2, 1000 * MB, 1, None),
        ((86, 86, 2048), SPECTRA, SPECTRA, None, 1, False),
    ),
    "one huge chunk": (
        (SPECTRA, SPECTRA, 2, 700 * MB, 4, None),
        ((64, 64, 2048), SPECTRA, SPECTRA, None, 1, False),
    ),
    "edges that do not meet, stored chunks the larger": (
        (PATTERNS, (32, 32, 128, 128), 2, 500 * MB, 2, (20, 20)),
        ((20, 20, 128, 128), (32, 32, 128, 128), (32, 32, 128, 128), None, 2, True),
    ),
    "edges that do not meet, new chunks the larger": (
        (PATTERNS, (5, 5, 128, 128), 2, 100 * MB, 1, (16, 16)),
        ((16, 16, 128, 128), (5, 5, 128, 128), (16, 16, 128, 128), (5, 5, 128, 128), 1, False),
    ),
    "one side wanted": (
        (PATTERNS, (32, 32, 128, 128), 2, 1000 * MB, 2, (None, 8)),
        ((96, 8, 128, 128), (96, 32, 128, 128), (96, 32, 128, 128), None, 2, False),
    ),
    "more wanted than there is": (
        ((4, 6, 10), (1, 1, 10), 2, 100 * MB, 2, (32, 32)),
        ((4, 6, 10), (4, 6, 10), (4, 6, 10), None, 2, False),
    ),
    "a line": (((10, 3), (4, 3), 1, MB, 2, None), ((10, 3), (10, 3), (10, 3), None, 2, False)),
    "a pixel larger than wished": (
        ((3, 3, 4096, 4096), (1, 1, 4096, 4096), 2, 500 * MB, 1, None),
        ((1, 1, 4096, 4096), (1, 1, 4096, 4096), (1, 1, 4096, 4096), None, 1, False),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_table(case):
    (shape, chunks, n_navigation, memory, workers, wanted), expected = CASES[case]
    way = plan_rechunking(Stored(shape, chunks, n_navigation, 2), memory, workers, wanted)
    assert (way.chunks, way.read, way.gathered, way.between, way.workers, way.shared) == expected
    assert way.passes == (1 if way.between is None else 2)


@pytest.mark.parametrize(
    ("stored", "memory", "words"),
    [
        (Stored(SPECTRA, SPECTRA, 2, 2), 200 * MB, "268 MB"),
        (Stored(PATTERNS, (1, 1, 1, 1), 2, 2), MB // 20, "32.8 kB"),
        (Stored((2048, 2048, 256, 512), (2048, 2048, 1, 1), 2, 2), 1000 * MB, "1.1 TB"),  # 50 million pieces
    ],
)
def test_too_little_memory_says_how_much_is_enough(stored, memory, words):
    with pytest.raises(MemoryBudgetError, match=words) as raised:
        plan_rechunking(stored, memory, 4)
    enough = parse_bytes(raised.value.remedy.split("--memory ")[1])
    assert enough > memory
    assert plan_rechunking(stored, enough, 4).workers == 1


@pytest.mark.parametrize(("wanted", "words"), [((0, 2), "one or more"), ((64, 64), "2.15 GB")])
def test_impossible_chunks_are_refused(wanted, words):
    with pytest.raises(ParameterError, match=words):
        plan_rechunking(Stored((64, 64, 1024, 1024), (1, 1, 1024, 1024), 2, 8), 10**12, 2, wanted)


@st.composite
def layouts(draw):
    n_navigation, n_signal = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    shape = draw(st.tuples(*[st.integers(1, 40)] * n_navigation, *[st.integers(1, 60)] * n_signal))
    chunks = tuple(draw(st.integers(1, size)) for size in shape)
    stored = Stored(shape, chunks, n_navigation, draw(st.sampled_from([1, 2, 4, 8])))
    wanted = draw(st.none() | st.tuples(*[st.none() | st.integers(1, 40)] * n_navigation))
    return stored, wanted, draw(st.integers(1, 4)), draw(st.sampled_from([10**4, 10**5, 10**6, 10**9]))


@given(layouts())
def test_every_way_is_one(layout):
    stored, wanted, workers, memory = layout
    try:
        way = plan_rechunking(stored, memory, workers, wanted)
    except MemoryBudgetError:
        return
    n_navigation = stored.n_navigation
    assert way.chunks[n_navigation:] == way.gathered[n_navigation:] == stored.signal
    for side, size, asked in zip(way.chunks, stored.shape, wanted or (), strict=False):
        assert side == min(asked, size) if asked else 1 <= side <= size
    # Stored chunks lie in one block that is read; new chunks in one block that is put together, unless they are shared.
    inside = [(stored.chunks, way.read)]
    inside += [] if way.shared and way.between is None else [(way.chunks, way.gathered)]
    inside += [] if way.shared or way.between is None else [(way.between, way.read)]
    for small, large in inside:
        for part, whole, size in zip(small, large, stored.shape, strict=True):
            assert whole == size or whole % part == 0
    # Each worker holds a block, what it takes to read it, and a chunk on its way out.
    least = max(stored.nbytes(way.read) + stored.nbytes(way.between or way.chunks), stored.nbytes(way.gathered))
    assert 1 <= way.workers <= workers
    assert way.workers * least <= memory
    if way.between is None:
        assert way.read == way.gathered
    else:
        assert way.between == tuple(map(min, way.read, way.gathered))
        assert math.prod(way.between) <= math.prod(way.read)
