"""A small run that edits are made of; each test gets a copy of its own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests import runs


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that keeps its features."""
    store = tmp_path_factory.mktemp("edits") / "phantom.run.zarr"
    runs.run(runs.phantom().cube, store, features=True)
    return store


@pytest.fixture
def store(finished: Path, tmp_path: Path) -> Path:
    """The same run, to be written to."""
    return Path(shutil.copytree(finished, tmp_path / "phantom.run.zarr"))
