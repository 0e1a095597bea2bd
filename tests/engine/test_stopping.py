"""Errors, and Control-C, stop a sweep: they come out as they are, and nothing goes on behind the caller's back."""

from __future__ import annotations

import os
import signal
import threading
import time

import numpy as np
import pytest

from refold.cube import as_cube
from refold.engine import Moments, sweep
from refold.engine.progress import Progress
from refold.errors import CubeError, MemoryBudgetError, ParameterError
from refold.planning import Grid
from tests.engine.cases import GRID, Brightest, Broken, scan


def refold_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("refold")]


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("error", [ZeroDivisionError, KeyError, InterruptedError, KeyboardInterrupt, MemoryError])
def test_an_error_in_a_visitor_stops_the_sweep(workers, error):
    """Whichever partition it was in."""
    for at in (0, 3, 5):
        visitor = Broken(at, error)
        stopped = []

        class Stopping(Progress):
            def stop(self, stopped=stopped):
                stopped.append(True)

        with pytest.raises(error, match="broken"):
            sweep(scan(), visitor, grid=GRID, workers=workers, progress=Stopping())
        assert refold_threads() == []
        assert stopped == [True]
        visits = visitor.visits
        time.sleep(0.03)
        assert visitor.visits == visits


def test_an_error_while_reading_comes_out():
    def fail(chunk):
        raise OSError("unreadable")

    cube = scan()
    cube = cube.copy(data=cube.data.map_blocks(fail, dtype="f4", meta=np.empty((0, 0, 0), "f4")))
    with pytest.raises(OSError, match="unreadable"):
        sweep(cube, Moments(), grid=GRID, workers=2)
    assert refold_threads() == []


def test_an_error_in_a_merge_comes_out():
    class Apart(Brightest):
        def merge(self, one, other):
            raise ZeroDivisionError("merged")

    with pytest.raises(ZeroDivisionError, match="merged"):
        sweep(scan(), Apart(), grid=GRID)
    assert refold_threads() == []


def test_the_first_error_stops_the_others_soon():
    """A partition that fails late in the order is not waited for until its turn."""

    class Slow(Broken):
        def visit(self, state, block, where):
            if where.slices[1].start:
                raise ZeroDivisionError("broken")
            self.visits += 1
            time.sleep(0.02)

    visitor = Slow()
    cube = as_cube(np.zeros((400, 2, 3)), signal="energy")
    grid = Grid((tuple(range(401)), (0, 1, 2)), n_partitions=2)
    with pytest.raises(ZeroDivisionError):
        sweep(cube, visitor, grid=grid, workers=2)
    assert visitor.visits < 5


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_control_c_stops_the_sweep():
    class Endless(Brightest):
        def visit(self, state, block, where):
            time.sleep(0.05)

    cube = as_cube(np.zeros((400, 2, 3)), signal="energy")
    began = time.perf_counter()

    def interrupt():
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts background jobs without it
    try:
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            sweep(cube, Endless(), grid=Grid((tuple(range(401)), (0, 2)), n_partitions=8), workers=2)
        thread.join()
    finally:
        signal.signal(signal.SIGINT, before)
    assert time.perf_counter() - began < 5
    assert refold_threads() == []


@pytest.mark.parametrize("bad", [np.zeros((3, 4)), None, "scan.zarr"])
def test_what_is_no_cube_is_refused(bad):
    with pytest.raises(CubeError):
        sweep(bad, Moments())


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"memory": "10 B"}, MemoryBudgetError),
        ({"memory": "lots"}, ParameterError),
        ({"workers": 0}, ParameterError),
    ],
)
def test_impossible_settings_are_refused(options, error):
    with pytest.raises(error) as raised:
        sweep(scan(), Moments(), **options)
    assert raised.value.remedy
