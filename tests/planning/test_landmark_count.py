"""How many landmarks: all pixels of a small scan, and ever more of larger ones, up to a limit."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from refold.planning.landmarks import landmarks_of


@given(st.integers(0, 10**9), st.integers(0, 10**6))
def test_never_fewer_for_a_larger_scan_and_never_more_than_there_are(n, more):
    assert landmarks_of(n) <= landmarks_of(n + more) <= 20_000
    assert min(n, 5000) <= landmarks_of(n) <= n
