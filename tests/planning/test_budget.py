"""Sizes are read and written, and shared out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refold.errors import ParameterError
from refold.planning import Budget, format_bytes, parse_bytes


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("2GB", 2 * 10**9),
        ("2gb", 2 * 10**9),
        ("512 MiB", 2**29),
        ("512M", 512 * 10**6),
        (" 1.5 kB ", 1500),
        ("1e9", 10**9),
        ("1TiB", 2**40),
        ("7 B", 7),
        (10, 10),
    ],
)
def test_sizes_are_read(text, size):
    assert parse_bytes(text) == size


@pytest.mark.parametrize(
    "text", ["", "GB", "0", "-1GB", "2 XB", "1.2.3GB", "inf", "nan", "1e999", "2GB free", "0.1 B", None]
)
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ParameterError, match="2GB"):
        parse_bytes(text)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (999_499, "999 kB"),
        (999_999, "1 MB"),
        (1_234_567, "1.23 MB"),
        (123_456_789, "123 MB"),
        (4e9, "4 GB"),
        (3e18, "3000 PB"),
    ],
)
def test_sizes_are_written_for_people(size, text):
    assert format_bytes(size) == text


@given(st.integers(1, 10**18))
def test_what_is_written_can_be_read(size: int):
    assert parse_bytes(format_bytes(size)) == pytest.approx(size, rel=0.005)


@given(st.integers(1, 10**12), st.integers(1, 64), st.integers(0, 10**12))
def test_shares_stay_within_the_budget(memory: int, workers: int, state: int):
    budget = Budget(memory, workers)
    assert workers * budget.block_bytes(state) <= max(0, memory - state)
    partitions = budget.max_partitions(state)
    assert 1 <= partitions <= 64
    assert partitions == 1 or partitions * state <= memory / 2
    assert partitions == Budget(memory, workers + 5).max_partitions(state)
