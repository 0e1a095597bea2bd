"""A run that looks for rare phases among the outliers of the residual."""

from __future__ import annotations

import json

import numpy as np

import refold
from tests.reduce.test_outlying import scene
from tests.runs import contents, run

OPTIONS = {"n_components": 2, "landmarks": 400, "min_cluster_size": 8, "cluster": {"min_samples": 3}}


def test_a_phase_that_no_component_carries_gets_a_cluster_of_its_own(tmp_path):
    cube, truth = scene(rare=15, shift=12)
    outcome = run(cube, tmp_path / "run.zarr", **OPTIONS, reduce={"outliers": 128})
    result = refold.open_run(outcome.store)
    notes = {name: record["notes"] for name, record in json.loads(result.attrs["stages"]).items()}
    assert notes["reduce"]["promoted"] == 1
    assert result.scores.sizes["component"] == result.components.sizes["component"] == 3
    assert set(np.flatnonzero(truth)) <= {int(pixel) for pixel in result.landmark_pixel.values}
    own = np.bincount(result.labels.values[truth] + 1).argmax() - 1
    found = result.labels.values == own
    assert (found & truth).sum() >= 13
    assert found.sum() <= 17


def test_without_looking_it_is_lost_and_a_changed_option_redoes_the_components_only(tmp_path):
    cube, truth = scene(rare=15, shift=12)
    plain = run(cube, tmp_path / "run.zarr", **OPTIONS, features=True)
    labels = refold.open_run(plain.store).labels.values
    own = np.bincount(labels[truth] + 1).argmax() - 1
    assert ((labels == own) & ~truth).sum() > 100
    looked = run(cube, tmp_path / "run.zarr", **OPTIONS, features=True, reduce={"outliers": 128})
    assert [name for name, facts in looked.stages.items() if facts["reused"]] == ["features"]
    fresh = run(cube, tmp_path / "fresh.zarr", **OPTIONS, features=True, reduce={"outliers": 128})
    assert contents(looked.store) == contents(fresh.store)
