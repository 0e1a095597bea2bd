"""Borrowed buffers: never two borrowers at once, and no more memory than is alive."""

from __future__ import annotations

import gc
import threading

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from refold.engine import buffers
from refold.engine.buffers import Lender, lending

LARGE = 1 << 17


def test_outside_of_a_sweep_nothing_is_borrowed():
    one = buffers.empty((LARGE,), "u1")
    assert one.base is None
    assert one.flags.writeable


def test_a_buffer_comes_back_when_its_last_view_is_gone():
    lender = Lender()
    with lending(lender):
        one = buffers.empty((2, LARGE), "u2")
        part = one[1, 5:]
        address = one.ctypes.data
        del one
        assert lender.nbytes == 0  # a view is left
        other = buffers.empty((2, LARGE), "u2")
        assert other.ctypes.data != address
        del part
        gc.collect()
        assert buffers.empty((2, LARGE - 1), "f2").ctypes.data == address


@given(st.lists(st.tuples(st.integers(LARGE, 20 * LARGE), st.booleans()), max_size=40))
def test_borrowers_never_share_memory(requests: list[tuple[int, bool]]):
    lender = Lender()
    alive: list[np.ndarray] = []
    with lending(lender):
        for number, (size, give_back) in enumerate(requests):
            if give_back and alive:
                alive.pop(0)
            array = buffers.empty((size,), "u1")
            array[:] = number
            alive.append(array)
            for one in alive:
                assert (one == one[0]).all()
            assert len({int(one[0]) for one in alive}) == len(alive)
        largest = max((size for size, _ in requests), default=0)
        assert lender.nbytes <= 2 * len(requests) * largest


def test_the_same_requests_again_take_no_more_memory():
    lender = Lender()
    seen = set()
    with lending(lender):
        for _ in range(5):
            held = [buffers.empty((size,), "u1") for size in (LARGE, 3 * LARGE, LARGE, 9 * LARGE)]
            seen |= {array.ctypes.data for array in held}
            del held
    assert len(seen) == 4
    assert lender.nbytes == 14 * LARGE


def test_a_thread_has_its_own_lender():
    lender = Lender()
    found = []
    with lending(lender):
        thread = threading.Thread(target=lambda: found.append(buffers.empty((LARGE,), "u1").base))
        thread.start()
        thread.join()
    assert found == [None]
