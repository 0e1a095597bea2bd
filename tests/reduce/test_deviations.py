"""The histogram of scores is that of the scores that are written in the same sweep."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import refold
from refold.reduce.deviations import SCORE_EDGES
from tests.runs import phantom, run


def test_a_run_counts_its_scores(tmp_path: Path):
    store = run(phantom().cube, tmp_path / "a.run.zarr").store
    found = refold.open_run(store)
    scores = found.scores.values.reshape(-1, found.sizes["component"])
    counts = found.score_histogram.values
    assert counts.shape == (scores.shape[1], len(SCORE_EDGES) - 1)
    for component, column in zip(counts, scores.T, strict=True):
        told = np.histogram(column / column.std(dtype=np.float64), SCORE_EDGES)[0]
        # A score at the edge of a bin may be counted in the next one: the two deviations differ in their last digits.
        assert np.abs(np.cumsum(component) - np.cumsum(told)).max() <= 3
