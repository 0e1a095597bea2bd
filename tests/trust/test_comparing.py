"""Two runs side by side."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr
from sklearn.metrics import adjusted_rand_score

import refold
from refold.errors import CubeError, StoreError
from refold.trust import compare
from tests.guards import no_compute
from tests.runs import run

REBIN = {"rebin": {"ky": 2, "kx": 2}}


@pytest.fixture(scope="module")
def other_run(small_scan, tmp_path_factory):
    """Another run of the small scan: with fewer clusters, found on half of its rows."""
    place = tmp_path_factory.mktemp("other") / "other.run.zarr"
    options = {**REBIN, "min_cluster_size": 40, "n_components": 3, "crop": {"y": (0, 100)}}
    return run(small_scan, place, **options).store


def test_two_runs(small_run, other_run):
    found = compare(small_run, refold.open_run(other_run))
    one, other = (refold.open_run(place).labels.values for place in (small_run, other_run))
    assert found.ari == adjusted_rand_score(one.ravel(), other.ravel())
    matched = found.matched.values
    np.testing.assert_array_equal(found.differs, matched != one)
    assert found.share == pytest.approx((matched != one).mean())
    np.testing.assert_array_equal(matched, found.counterparts[other])
    np.testing.assert_array_equal(found.table.sum(axis=0)[:-1], np.bincount(other[other >= 0]))
    assert found.recipe == {
        "prepare.crop.y": (None, [0.0, 100.0]),
        "reduce.n_components": (5, 3),
        "cluster.min_cluster_size": (12, 40),
    }
    assert found.matched.attrs == found.labels.attrs
    with no_compute():
        assert found.differs.chunks is not None


def test_a_run_and_itself(small_run):
    found = compare(small_run, small_run)
    assert found.ari == 1
    assert found.share == 0
    assert (found.jaccard == 1).all()
    assert str(found).endswith("recipes are the same")


def test_in_words_and_in_json(small_run, other_run):
    found = compare(small_run, other_run)
    text = str(found)
    for part in (str(small_run), str(other_run), f"ARI {found.ari:.3f}", "reduce.n_components", "5  →  3"):
        assert part in text
    facts = json.loads(json.dumps(found.as_dict()))
    assert facts["ari"] == found.ari
    assert sum(entry["pixels"] for entry in facts["matched"]) + facts["noise"][0] == facts["pixels"]


def labelled(values, residual=None, **coords):
    """The least that can be compared."""
    values = np.asarray(values, np.int32)
    roles = {
        dim: (dim, coords.get(dim, np.arange(size)), {"role": "navigation"})
        for dim, size in zip("yx", values.shape, strict=True)
    }
    data = {"labels": (("y", "x"), values)}
    if residual is not None:
        data["residual"] = (("y", "x"), np.asarray(residual, np.float32))
    return xr.Dataset(data, coords=roles)


def test_clusters_without_a_counterpart_noise_and_invalid_pixels():
    one = labelled([[0, 0, 1, 1, -1, -1]], [[1, 1, 1, 1, 1, np.nan]])
    other = labelled([[1, 1, 2, 0, -1, 0]])
    found = compare(one, other)
    assert found.counterparts.tolist() in ([2, 0, 1, -1], [1, 0, 2, -1])
    assert found.table.sum() == 5
    assert found.share == pytest.approx(0.2)
    assert "only in b: " in str(found)
    assert compare(other, one).jaccard.tolist().count(0.0) == 1


def test_other_grids_are_refused():
    one = labelled(np.zeros((3, 4)))
    with pytest.raises(CubeError, match="one grid"):
        compare(one, labelled(np.zeros((4, 3))))
    with pytest.raises(CubeError, match="other positions along 'x': 0 to 3 and 10 to 13"):
        compare(one, labelled(np.zeros((3, 4)), x=np.arange(10, 14)))
    with pytest.raises(StoreError, match="without labels"):
        compare(one, one.drop_vars("labels"))


@pytest.mark.parametrize("shape", [(8, 9), (1, 30), (30, 1)])
def test_a_figure(shape):
    rng = np.random.default_rng(0)
    one, other = labelled(rng.integers(-1, 3, shape)), labelled(rng.integers(-1, 5, shape))
    figure = compare(one, other).figure(theme="dark")
    assert len(figure.axes) == 3
    assert figure.axes[0].get_title(loc="left") == "a"
