"""`refold export`: maps, masks, spectra and signals of a run, from the command line."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image

import refold
from tests.runs import one_object, run


@pytest.fixture(scope="module")
def spectral(tmp_path_factory):
    """A run of a small EDS phantom on disk."""
    folder = tmp_path_factory.mktemp("eds")
    scan = refold.synthetic.eds((14, 12), 64, phases=2, counts=2000, seed=2, chunks=(7, 6)).save(folder / "eds.zarr")
    return run(scan, folder / "eds.run.zarr", signal="eds", n_components=3).store


def test_several_kinds_at_once(command, spectral, tmp_path):
    labels = refold.open_run(spectral).labels.values
    status, out, _ = command(
        "export", spectral, "--masks", "masks", "--labels", "map.png", "--spectra", "s.csv", "--json"
    )
    said = one_object(out)
    assert status == 0
    assert said["files"][0] == "map.png"
    assert sorted(said["files"]) == sorted(
        ["map.png", "s.csv", *(f"masks/cluster_{i}.tif" for i in range(labels.max() + 1))]
    )
    assert all((tmp_path / name).is_file() for name in [*said["files"], "map.json"])
    np.testing.assert_array_equal(np.asarray(Image.open("map.png")), np.where(labels < 0, 255, labels))
    np.testing.assert_array_equal(tifffile.imread("masks/cluster_1.tif") > 0, labels == 1)
    status, out, err = command("export", spectral, "--masks", "masks")
    assert (status, out) == (2, "")
    assert "StoreExistsError" in err
    assert "overwrite" in err
    assert command("export", spectral, "--masks", "masks", "--overwrite")[0] == 0


def test_formats_sizes_and_sums(command, spectral, tmp_path):
    tifffile.imwrite(tmp_path / "bse.tif", np.zeros((28, 36), np.uint8))
    assert command("export", spectral, "--labels", "a.npy", "--masks", "m", "--like", "bse.tif")[0] == 0
    labels = refold.open_run(spectral).labels.values
    np.testing.assert_array_equal(np.load("a.npy"), labels.repeat(2, axis=0).repeat(3, axis=1))
    assert command("export", spectral, "--spectra", "msa", "--as", "msa", "--sums")[0] == 0
    assert (tmp_path / "msa" / "cluster_0.msa").is_file()
    status, out, _ = command("export", spectral, "-o", "one.tif", "--json")
    assert status == 0
    assert one_object(out)["file"] == "one.tif"


@pytest.mark.filterwarnings("ignore:Importing:Warning")
def test_the_whole_as_a_signal_of_hyperspy(command, spectral):
    hs = pytest.importorskip("hyperspy.api")
    status, out, _ = command("export", spectral, "-o", "run.hspy")
    assert status == 0
    assert "run.hspy" in out
    signal = hs.load("run.hspy", lazy=True)
    opened = refold.open_run(spectral)
    assert signal.data.shape == (14, 12, 64)
    np.testing.assert_allclose(signal.learning_results.factors.T, opened.components, atol=1e-6)
    assert command("export", spectral, "-o", "run.hspy")[0] == 2


def test_a_signal_in_zarr_is_refused_in_three_lines(command, spectral, tmp_path):
    status, _, err = command("export", spectral, "-o", "map.zspy")
    assert status == 2
    assert "ends in .hspy" in err
    assert not list(tmp_path.glob("*map*"))


def test_as_edited(command, spectral):
    edits = refold.edits(spectral, name="anna")
    edits.merge([0, 1], name="matrix")
    edits.save()
    assert command("export", spectral, "--edits", "anna", "--masks", "masks", "--labels", "map.tif")[0] == 0
    labels = refold.open_run(spectral).labels.values
    np.testing.assert_array_equal(tifffile.imread("masks/0_matrix.tif") > 0, (labels == 0) | (labels == 1))
    np.testing.assert_array_equal(tifffile.imread("map.tif") == 0, (labels == 0) | (labels == 1))
    status, _, err = command("export", spectral, "--edits", "bert", "--masks", "other")
    assert status == 2
    assert "bert" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "nothing to write"),
        (["--masks", "m", "--as", "png"], "--as png"),
        (["--labels", "a.png", "--spectra", "s", "--as", "csv"], "--as csv"),
        (["--spectra", "s", "--like", "a.tif"], "--like a.tif"),
        (["--labels", "a.jpg"], "a.jpg"),
        (["--labels", "a.png", "--clustering", "gmm"], "gmm"),
    ],
)
def test_what_makes_no_sense_is_said_in_three_lines(command, spectral, tmp_path, arguments, said):
    status, out, err = command("export", spectral, *arguments)
    assert (status, out) == (2, "")
    assert said in err
    assert len(err.splitlines()) == 4
    assert not list(tmp_path.iterdir())
