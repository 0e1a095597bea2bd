"""The package as a whole: what importing it costs, what is pinned, which way imports go."""

from __future__ import annotations

import ast
import importlib.metadata
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import refold
from tests.conftest import ROOT

# What `import refold` may not bring in: each costs a good part of a second, or is an extra that may not be installed.
HEAVY = (
    "torch", "cupy", "cuml", "matplotlib", "panel", "holoviews", "bokeh", "distributed", "hyperspy", "rsciio",
    "umap", "hdbscan", "pynndescent", "numba", "h5py", "skimage", "sparse", "pint",
    "sklearn.decomposition", "sklearn.cluster", "sklearn.neighbors", "scipy.stats", "scipy.cluster",
)  # fmt: skip


def _after_import() -> list[str]:
    code = "import json, sys, refold; print(json.dumps(sorted(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return list(json.loads(ran.stdout))


def test_import_is_light():
    loaded = _after_import()
    assert "refold" in loaded
    assert [name for name in HEAVY if name in loaded] == []


def test_version_is_that_of_the_metadata():
    assert importlib.metadata.version("refold") == refold.__version__


def test_public_names_exist():
    for name in getattr(refold, "__all__", []):
        assert getattr(refold, name) is not None, name


def _imports() -> Iterator[tuple[Path, str, str]]:
    """Every import in src: the file, the module, and the name taken from it, if one is."""
    for file in sorted((ROOT / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                yield from ((file, node.module or "", alias.name) for alias in node.names)
            elif isinstance(node, ast.Import):
                yield from ((file, alias.name, "") for alias in node.names)


def test_only_choose_imports_the_gpu_backend():
    """backends/choose.py is the only file that imports backends/cuml.py."""
    importers = {
        file.name for file, module, name in _imports() if f"{module}.{name}".startswith("refold.backends.cuml")
    }
    assert importers <= {"choose.py"}


def test_rooms_do_not_come_in_by_the_front_door():
    """`from refold import PCA` inside the package would go round the arrows that import-linter keeps."""
    faces = {"accessor.py"}
    taken = [(file.name, name) for file, module, name in _imports() if module == "refold" and name != "__version__"]
    assert not [(file, name) for file, name in taken if file not in faces]


@pytest.mark.parametrize(("name", "least"), [("constraints.txt", 50), ("constraints-torch.txt", 2)])
def test_pins_name_no_address(name, least):
    """The pins come from any mirror: what holds them is the hash."""
    text = (ROOT / name).read_text(encoding="utf-8")
    assert not re.search(r"https?:|file:|--(extra-)?inde[x]|--find-links| @ ", text)
    pins = re.findall(r"^[a-zA-Z0-9][\w.-]*==\S+", text, flags=re.MULTILINE)
    assert len(pins) > least
    assert text.count("--hash=sha256:") >= len(pins)


def test_every_requirement_is_pinned_for_each_python():
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    pinned = {_normal(name) for name in re.findall(r"^([a-zA-Z0-9][\w.-]*)==", text, flags=re.MULTILINE)}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["test"], *extras["docs"], *extras["dev"], *extras["cluster"]]
    names = {_normal(re.match(r"[\w.-]+", requirement).group()) for requirement in wanted} - {"refold"}
    assert names - pinned == set()
    for name in ("numpy", "zarr"):
        assert len(re.findall(rf"^{name}==\S+ ; python_full_version", text, flags=re.MULTILINE)) == 2


def test_rosettasciio_is_asked_for_without_its_extras():
    """Its zspy, all and usid extras cap zarr below 3."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    every = [*project["dependencies"], *(name for extra in project["optional-dependencies"].values() for name in extra)]
    assert not [requirement for requirement in every if requirement.startswith("rosettasciio[")]


@pytest.mark.parametrize("folder", ["src", "tests", "docs", ".ci"])
def test_no_file_names_a_machine(folder: str):
    """No home folder and no registry address in the tree."""
    found = []
    for file in (ROOT / folder).rglob("*"):
        if file.suffix in {".py", ".md", ".toml", ".txt", ".svg", ".yaml", ""} and file.is_file():
            text = file.read_text(encoding="utf-8", errors="ignore")
            found += [f"{file.name}: {hit}" for hit in re.findall(r"/(?:home|root|opt)/\w+|pythonhoste[d]", text)]
    assert [hit for hit in found if "test_project" not in hit] == []


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
