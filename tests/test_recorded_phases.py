"""From recorded X-ray maps to named phases: those that an image of the same area, or the particle's shape, confirms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy.ndimage import binary_dilation

import refold

pytest.importorskip("xraydb")


def segmented(path: Path, place: Path, **options: Any) -> tuple[xr.Dataset, xr.DataArray]:
    """A run on element maps, and the net counts of each line in each of its clusters."""
    run = refold.run(refold.open(path), store=place / "map.run.zarr", report=False, reduce="none", **options)
    lines = options["elements"]
    lines = list(refold.xray_lines(refold.open(path)).line.values) if lines == "listed" else lines
    return run, refold.line_intensities(run, lines).intensity


def named(run: xr.Dataset, names: dict[int, str]) -> xr.Dataset:
    """The run with its clusters named, as somebody would who reads it again."""
    edits = refold.edits(run)
    for cluster, name in names.items():
        edits.rename(cluster, name)
    edits.save()
    return refold.edits(run.encoding["source"]).apply()


def test_silica_lies_where_the_haadf_image_is_bright(shared_data: Path, tmp_path: Path):
    """One k-means of oxygen and silicon; Otsu's threshold of an image that it never saw."""
    filters = pytest.importorskip("skimage.filters")
    lines = ["O_Ka", "Si_Ka"]
    options: dict[str, Any] = {"elements": lines, "then": ["neighbour_average"], "embed": "none"}
    run, counts = segmented(
        shared_data / "eds/sio2_eds.hspy", tmp_path, cluster="kmeans", n_clusters=2, log=True, **options
    )
    silica = int(counts.sel(line="Si_Ka").argmax("cluster"))
    phases = named(run, {silica: "silica", 1 - silica: "support"})
    found = (phases.labels == list(phases.cluster_name.values).index("silica")).values
    image = refold.open(shared_data / "eds/sio2_eds.hspy", images="sio2_haadf.hspy")
    (haadf,) = (cube.values.reshape(found.shape) for cube in image.values() if "energy" not in cube.dims)
    bright = haadf > filters.threshold_otsu(haadf)
    assert (found & bright).sum() / (found | bright).sum() > 0.8
    assert (found == bright).mean() > 0.92


def test_cores_and_shells_come_apart(shared_data: Path, tmp_path: Path):
    """Iron and platinum in the middle of each particle, iron alone around it, and neither beside it."""
    run, counts = segmented(
        shared_data / "eds/core_shell.hspy",
        tmp_path,
        elements="listed",
        then=["neighbour_average"],
        embed="none",
        cluster="gaussian_mixture",
        n_clusters=3,
    )
    core, empty = int(counts.sel(line="Pt_La").argmax("cluster")), int(counts.sel(line="Fe_Ka").argmin("cluster"))
    shell = 3 - core - empty
    assert len({core, shell, empty}) == 3
    assert counts.sel(line="Pt_La", cluster=core) > 5
    assert abs(counts.sel(line="Pt_La", cluster=shell)) < 0.5
    assert counts.sel(line="Fe_Ka", cluster=shell) > 5
    labels = named(run, {core: "FePt", shell: "iron oxide", empty: "support"}).labels.values
    rim = binary_dilation(labels == core) & (labels != core)
    assert (labels[rim] == shell).mean() > 0.9


def test_two_sides_of_a_joint(shared_data: Path, tmp_path: Path):
    """Aluminium on one side, silver on the other, and what lies between them in layers."""
    run, counts = segmented(
        shared_data / "eds/bcf_v2_50x50px.bcf", tmp_path, elements="listed", then=["neighbour_average"]
    )
    silver, aluminium = (int(counts.sel(line=line).argmax("cluster")) for line in ("Ag_La", "Al_Ka"))
    phases = named(run, {silver: "silver-rich", aluminium: "aluminium"})
    assert set(phases.cluster_name.values[[silver, aluminium]]) == {"silver-rich", "aluminium"}
    columns = np.arange(50)[None, :] + np.zeros((50, 1))
    assert columns[run.labels == silver].mean() > columns[run.labels == aluminium].mean() + 15
    steps = counts.sel(line="Ag_La").values[np.argsort(counts.sel(line="Al_Ka").values)]
    assert (np.diff(steps) < 0).all()  # the more aluminium, the less silver: layers, not mixtures of others


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:nothing is taken off below")  # fifteen lines, some with no room beside them
def test_phases_of_a_dust_particle(shared_data: Path, tmp_path: Path):
    """Thirteen counts a pixel: silicate with calcium, a sulphide, and platinum of the preparation."""
    run, counts = segmented(
        shared_data / "eds/dust_particle_256x256.bcf",
        tmp_path,
        elements="listed",
        rebin={"y": 2, "x": 2},
        then=["neighbour_average", "normalise", "zscore"],
    )
    most = {line: int(counts.sel(line=line).argmax("cluster")) for line in ("Ca_Ka", "S_Ka", "Pt_La")}
    assert len(set(most.values())) == 3
    assert counts.sel(line="Si_Ka", cluster=most["Ca_Ka"]) > 3 * counts.sel(line="Si_Ka", cluster=most["S_Ka"])
    assert set(named(run, {cluster: line for line, cluster in most.items()}).cluster_name.values) >= set(most)
