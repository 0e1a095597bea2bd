"""Every notebook of the documentation runs from its first cell to its last, and says what is so.

Cells are run here, one after the other in one namespace, and not by nbclient: a kernel would take seconds to start,
import everything again, and keep warnings to itself.
"""

from __future__ import annotations

import ast
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import ROOT

NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


@pytest.fixture
def aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for what a notebook writes; figures are drawn for nobody."""
    import matplotlib.pyplot as plt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    backend = plt.get_backend()
    plt.switch_backend("agg")
    yield tmp_path
    plt.close("all")
    plt.switch_backend(backend)


def cells(notebook: Path) -> list[str]:
    """The code of a notebook, cell by cell."""
    document = json.loads(notebook.read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in document["cells"] if cell["cell_type"] == "code"]


def execute(notebook: Path) -> dict[str, Any]:
    """Run a notebook, draw the figures that its cells end with, and give what it leaves behind."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for number, source in enumerate(cells(notebook), 1):
        tree = ast.parse(source)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        name = f"{notebook.name}, cell {number}"
        exec(compile(tree, name, "exec"), namespace)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), name, "eval"), namespace)  # noqa: S307 - our own notebook
            shown = getattr(value, "savefig", None)
            shown(os.devnull, format="png") if shown else repr(value)
    return namespace


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_hold_no_outputs(notebook: Path):
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        assert not cell.get("outputs"), "clear the outputs"
        assert cell.get("execution_count") is None, "clear the outputs"


@pytest.mark.parametrize(
    "notebook",
    [path for path in NOTEBOOKS if path.stem not in {"spectral-python", "sem-eds"}],
    ids=lambda path: path.stem,
)
def test_notebooks_run(notebook: Path, aside: Path):
    execute(notebook)


def test_hyperspy_runs_on_a_recorded_particle(aside: Path, shared_data: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("EDS_FILE", str(shared_data / "eds" / "core_shell.hspy"))
    left = execute(ROOT / "docs" / "notebooks" / "hyperspy.ipynb")
    assert left["eds"].sizes == {"y": 64, "x": 64, "energy": 992}
    assert left["of_parts"] is None


def test_phases_of_the_map_are_those_of_the_phantom(aside: Path):
    left = execute(ROOT / "docs" / "notebooks" / "sem-eds.ipynb")
    assert left["agreement"] > 0.85
    assert {cluster.name for cluster in left["edits"].clusters} == {"Mn_Ka", "Al_Ka", "Pt_La", "Ti_Ka", "Cr_Ka"}
    assert len(left["masks"]) == len(left["spectra"]) == 5


def _spectral_python(aside: Path) -> dict[str, Any]:
    left = execute(ROOT / "docs" / "notebooks" / "spectral-python.ipynb")
    assert {file.name for file in aside.rglob("*.tif")} == {"classes.tif", "scores.tif", "picture.tif"}
    assert left["again"].inertia_ <= left["first"].inertia_
    assert left["pca"].explained_variance_ratio_.sum() >= 0.999
    return left


def test_spectral_python_finds_the_surfaces_of_the_phantom(aside: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("rasterio")
    monkeypatch.delenv("NEON_FILE", raising=False)
    left = _spectral_python(aside)
    assert left["agreement"] > 0.9
    bad = ((1340, 1445), (1790, 1955))
    kept = [at for at in left["scene"].wavelength.values if not any(low <= at <= high for low, high in bad)]
    np.testing.assert_array_equal(left["clean"].wavelength, kept)


def test_spectral_python_runs_on_a_recorded_tile(aside: Path, shared_data: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("rasterio")
    monkeypatch.setenv("NEON_FILE", str(shared_data / "hyperspectral" / "neon" / "sjer_reflectance_30x30.h5"))
    left = _spectral_python(aside)
    assert left["clean"].sizes == {"y": 30, "x": 30, "wavelength": 426}
    assert left["agreement"] is None
