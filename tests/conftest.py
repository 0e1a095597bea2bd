"""Fixtures that every room uses."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dask
import pytest
from _pytest.doctest import DoctestModule
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent

# The first example of a law compiles numba kernels, or starts threads: no deadline. The same examples every time in CI.
settings.register_profile(
    "refold", deadline=None, max_examples=10, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("ci", settings.get_profile("refold"), derandomize=True)
settings.register_profile("thorough", settings.get_profile("refold"), max_examples=300)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "refold"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of recorded scans: $REFOLD_SHARED_DATA, or shared/data beside the checkout; skips without it."""
    folder = Path(os.environ.get("REFOLD_SHARED_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no recorded scans: {folder} does not exist; set REFOLD_SHARED_DATA to the folder that holds them")
    return folder


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., tuple[int, str, str]]:
    """Call `refold …` as a shell would, in a folder of its own; gives status, stdout and stderr."""
    from refold import cli

    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["refold", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return call


@pytest.fixture(scope="session")
def small_scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small phantom on disk, in ragged chunks; see tests/runs.py."""
    from tests.runs import phantom

    return phantom().save(tmp_path_factory.mktemp("scan") / "phantom.zarr")


@pytest.fixture(scope="session")
def small_run(small_scan: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole run of it, rebinned, without UMAP; for reading only."""
    from tests.runs import run

    return run(small_scan, tmp_path_factory.mktemp("run") / "phantom.run.zarr", rebin={"ky": 2, "kx": 2}).store


@pytest.fixture(scope="session")
def cluster_of_two() -> Iterator[Any]:
    """A client of two worker processes, which take seconds to start: one pair for all tests that need them."""
    distributed = pytest.importorskip("distributed")
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True}
    with (
        dask.config.set({"distributed.worker.memory.terminate": False}),
        distributed.LocalCluster(**options, dashboard_address="127.0.0.1:0", protocol="tcp://") as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        yield client


@pytest.fixture
def two_processes(cluster_of_two: Any) -> Iterator[Any]:
    """That client, where Dask computes during the test, and only then."""
    with cluster_of_two.as_current():
        yield cluster_of_two


@pytest.hookimpl(wrapper=True)
def pytest_collect_file() -> Iterator[Any]:
    """Look for doctests in the package only: among the tests there are none, and looking takes seconds."""
    collected = yield
    return [found for found in collected if not isinstance(found, DoctestModule)]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests marked gpu where no GPU answers."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if not marked:
        return
    why = _why_no_gpu()
    if why:
        for item in marked:
            item.add_marker(pytest.mark.skip(reason=why))


def _why_no_gpu() -> str | None:
    try:
        import cupy
    except ImportError:
        return "cupy is not installed: pip install 'refold[gpu]'"
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return f"no GPU: {error}"
    return None if count else "no GPU"
