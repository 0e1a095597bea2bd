"""The elbow of a scree plot is where HyperSpy finds it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refold.errors import ParameterError
from refold.reduce import elbow_position


@given(st.lists(st.floats(0, 1), min_size=2, max_size=60), st.booleans(), st.integers(1, 30))
def test_equals_hyperspy(values: list[float], log: bool, most: int) -> None:
    hyperspy = pytest.importorskip("hyperspy.api", reason="hyperspy is not installed: pip install 'refold[hyperspy]'")
    curve = np.sort(values)[::-1]
    judge = hyperspy.signals.Signal1D(np.zeros(3)).estimate_elbow_position(curve, log=log, max_points=most)
    assert elbow_position(curve, log=log, max_points=most) == judge


def test_signal_above_a_floor_of_noise() -> None:
    ratio = np.concatenate([[0.5, 0.3, 0.1, 0.05], np.full(40, 1e-4) * 0.99 ** np.arange(40)])
    assert elbow_position(ratio) == 4
    assert elbow_position(ratio * 1e6) == 4  # variances do as well as shares
    assert elbow_position([1.0]) == 0
    with pytest.raises(ParameterError):
        elbow_position([])
