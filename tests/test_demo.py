"""The demo: a phantom, the whole pipeline by the code of `run`, and the index against the truth."""

from __future__ import annotations

import pytest
import xarray as xr
from sklearn.metrics import adjusted_rand_score

import refold
from refold.demo import demo
from refold.errors import StoreExistsError


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """The demo's own size takes half a minute."""
    monkeypatch.setattr("refold.demo._SHAPE", (32, 32))
    monkeypatch.setattr("refold.demo._DETECTOR", (32, 32))
    monkeypatch.setattr("refold.demo._OPTIONS", {"rebin": {"ky": 2, "kx": 2}, "embed": "none"})


def test_the_index_is_that_of_the_labels(tmp_path):
    done = demo(tmp_path / "there", seed=1)
    truth = xr.open_zarr(tmp_path / "there" / "phantom-1.zarr")["labels"]
    labels = refold.open_run(done["store"])["labels"]
    assert done["ari"] == adjusted_rand_score(truth.values.ravel(), labels.values.ravel())
    assert done["ari"] > 0.9
    assert (tmp_path / "there" / "phantom-1.run.html").is_file()
    again = demo(tmp_path / "there", seed=1)
    assert again["ari"] == done["ari"]
    assert all(stage["reused"] for stage in again["stages"].values())


def test_a_file_in_the_way(tmp_path):
    (tmp_path / "there").write_text("")
    with pytest.raises(StoreExistsError, match="a folder"):
        demo(tmp_path / "there")
