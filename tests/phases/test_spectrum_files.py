"""Spectra as text; the judges are the csv module, RosettaSciIO and HyperSpy, reading back."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from rsciio.msa import file_reader

import refold
from refold.errors import CubeError, DataError, ParameterError, StoreExistsError, VariableError
from tests.phases.segmented import phantom_run

# exspy 0.3 imports from where HyperSpy 2.5 no longer wants it
pytestmark = pytest.mark.filterwarnings("ignore:Importing:Warning")


@pytest.fixture(scope="module")
def run():
    _, run = phantom_run()
    return run.assign(cluster_name=("cluster", np.array(["quartz", "Fe, Ni", "quartz", "cluster 3"], object)))


def table(path):
    with path.open(encoding="utf-8", newline="") as file:
        head, *rows = csv.reader(file)
    return head, np.array(rows, float)


def test_a_table_holds_every_digit(run, tmp_path):
    (path,) = refold.export_spectra(run, tmp_path / "spectra.csv")
    head, values = table(path)
    assert head == ["energy (keV)", "quartz (0)", "Fe, Ni", "quartz (2)", "cluster 3"]
    np.testing.assert_array_equal(values[:, 0], run.energy)
    np.testing.assert_array_equal(values[:, 1:].T.astype(np.float32), run.cluster_mean)


def test_a_table_of_deviations_or_sums_of_some(run, tmp_path):
    head, values = table(*refold.export_spectra(run, tmp_path / "a.csv", clusters=[3, 1], deviations=True))
    assert head[1:] == ["cluster 3", "cluster 3 deviation", "Fe, Ni", "Fe, Ni deviation"]
    np.testing.assert_array_equal(values[:, 2].astype(np.float32), run.cluster_std[3])
    _, sums = table(*refold.export_spectra(run, tmp_path / "b.csv", statistic="sum"))
    np.testing.assert_allclose(sums[:, 1:].T, run.cluster_mean * run.cluster_size, rtol=1e-6)


def test_msa_files_come_back_in_rosettasciio_and_hyperspy(run, tmp_path):
    files = refold.export_spectra(run, tmp_path / "deep" / "spectra", statistic="sum")
    assert [path.name for path in files] == ["0_quartz.msa", "1_Fe_Ni.msa", "2_quartz.msa", "cluster_3.msa"]
    for i, path in enumerate(files):
        (read,) = file_reader(str(path))
        np.testing.assert_allclose(read["data"], run.cluster_mean[i] * run.cluster_size[i], rtol=1e-5)
        (axis,) = read["axes"]
        np.testing.assert_allclose(axis["offset"] + axis["scale"] * np.arange(axis["size"]), run.energy, atol=1e-9)
        assert axis["units"] == "keV"
        assert read["original_metadata"]["SIGNALTYPE"] == "EDS"
        assert read["metadata"]["General"]["title"] == str(run.cluster_name.values[i])
    hs = pytest.importorskip("hyperspy.api")
    signal = hs.load(str(files[1]))
    np.testing.assert_allclose(signal.data, run.cluster_mean[1] * run.cluster_size[1], rtol=1e-5)


def test_titles_are_one_line_that_every_reader_takes(run, tmp_path):
    names = np.array(["iron\n#NPOINTS : 3", "α iron", "é", "d"], object)
    files = refold.export_spectra(run.assign(cluster_name=("cluster", names)), tmp_path)
    read = [file_reader(str(path))[0] for path in files]
    assert [one["metadata"]["General"]["title"] for one in read] == ["iron #NPOINTS :3", "? iron", "é", "d"]
    assert {one["data"].shape for one in read} == {(run.sizes["energy"],)}


def test_small_means_keep_their_digits(run, tmp_path):
    faint = run.assign(cluster_mean=run.cluster_mean * 1e-6)
    files = refold.export_spectra(faint, tmp_path, format="msa")
    (read,) = file_reader(str(files[0]))
    np.testing.assert_allclose(read["data"], faint.cluster_mean[0], rtol=1e-5)


def test_features_at_known_energies_keep_them(run, tmp_path):
    features = run.isel(energy=[3, 5, 40]).rename(energy="feature")
    features = features.assign_coords(energy=("feature", features.feature.values, {"units": "keV"})).drop_vars(
        "feature"
    )
    head, values = table(*refold.export_spectra(features, tmp_path / "a.csv"))
    assert head[0] == "energy (keV)"
    np.testing.assert_array_equal(values[:, 0], run.energy[[3, 5, 40]])
    with pytest.raises(CubeError, match="uneven axis energy"):
        refold.export_spectra(features, tmp_path / "msa")


def test_refusals(run, tmp_path):
    cases = [
        (ParameterError, "format='txt'", {"format": "txt"}),
        (ParameterError, "deviations for means as msa", {"deviations": True}),
        (ParameterError, "no cluster 9", {"clusters": [9]}),
        (ParameterError, "2 clusters of the name 'quartz'", {"clusters": ["quartz"]}),
        (ParameterError, "statistic='max'", {"statistic": "max"}),
    ]
    for kind, match, options in cases:
        with pytest.raises(kind, match=match):
            refold.export_spectra(run, tmp_path / "out", **options)
    patterns = run.assign(cluster_mean=(("cluster", "ky", "kx"), np.ones((4, 5, 6))))
    with pytest.raises(CubeError, match="spectra, which have one dim"):
        refold.export_spectra(patterns, tmp_path / "out")
    with pytest.raises(VariableError, match="cluster_std"):
        refold.export_spectra(run.drop_vars("cluster_std"), tmp_path / "a.csv", deviations=True)
    with pytest.raises(VariableError, match="statistics=True"):
        refold.export_spectra(run.drop_vars("cluster_mean"), tmp_path / "a.csv")
    with pytest.raises(DataError, match="cluster 1"):
        refold.export_spectra(run.assign(cluster_size=("cluster", [1, 0, 1, 1])), tmp_path / "a.csv", clusters=[1])
    assert not list(tmp_path.iterdir())
    refold.export_spectra(run, tmp_path / "a.csv")
    with pytest.raises(StoreExistsError):
        refold.export_spectra(run, tmp_path / "a.csv")
