"""What Numba compiles is counted."""

from __future__ import annotations

import numba

from refold.backends.compiling import compile_seconds


def test_compiling_is_counted_and_calling_is_not():
    @numba.njit
    def one_more(number):
        return number + 1

    with compile_seconds() as first:
        one_more(1)
    with compile_seconds() as second:
        one_more(1)
    assert first[0] > 0
    assert second == []
