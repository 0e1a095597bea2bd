"""The benchmarks: they run, they write their pages, and the store that stands for a terabyte serves what it says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import refold
from benchmarks import tables
from benchmarks.__main__ import GROUPS
from benchmarks.measure import Runs, alternate
from benchmarks.scans import Setup
from benchmarks.tiled import TiledStore
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scan of 8 x 12 small patterns, in chunks of 4 x 4."""
    made = refold.synthetic.four_d_stem((8, 12), (16, 24), seed=3)
    return made.save(tmp_path_factory.mktemp("phantom") / "small.zarr", (4, 4))


@pytest.mark.slow
def test_the_command_prints_a_table_of_ratios(tmp_path):
    """In a process of its own, as people run it; two contenders are enough."""
    code = """
import sys
from benchmarks import __main__, reading, scans
reading.CONTENDERS = {key: reading.CONTENDERS[key] for key in ("decode", "refold")}
whole = scans.diffraction
scans.diffraction = lambda folder, side: whole(folder, 16, 32, 8)
sys.argv[1:] = ["--quick", "--only", "reading", "--rounds", "1", "--folder", sys.argv[1]]
__main__.main()
"""
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    rows = [line for line in done.stdout.splitlines() if line.startswith("|")]
    assert rows[0].startswith("| contender | bare decode = 1 |")
    assert rows[2].split("|")[2].strip() == "1.00"
    assert float(rows[3].split("|")[2]) > 0


def test_contenders_take_turns_and_failures_are_rows(tmp_path):
    rounds = alternate("tests.test_benchmarks", CONTENDERS, {"factor": 2}, rounds=2, warm={"factor": 1})
    assert [sample["double"] for sample in rounds["works"].samples] == [4, 4]
    assert "no such thing" in rounds["fails"].missing
    assert rounds["absent"].missing == "no-such-package-at-all not installed"
    assert rounds["later"].missing == "not there yet"
    text = str(tables.compare("Title", rounds, base="works", columns=[("double", tables.fact("double"))]))
    assert "| absent | no-such-package-at-all not installed |" in text
    assert len({row.count("|") for row in text.splitlines() if row.startswith("|")}) == 1


def test_ratios_are_taken_within_rounds():
    slow, base = Runs("slow", [{"seconds": s} for s in (2, 40, 6)]), Runs("base", [{"seconds": s} for s in (1, 20, 2)])
    assert slow.ratio(base) == 2
    assert slow.median() == 6
    assert Runs("none").ratio(base) is None


def test_a_page_says_where_and_how(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "PAGES", tmp_path)
    table = tables.Table("Times", ["contender", "seconds"], [["refold", "1.00"]], "A note.")
    page = tables.write_page("group", "What it is.\n\nMore.\n", [table], "`python -m benchmarks`").read_text()
    assert page.startswith("# What it is\n\nMore.\n\n## Times\n\n| contender | seconds |\n|---|---:|\n")
    assert "A note." in page
    assert "cores" in page
    assert str(Path.home()) not in page


def test_every_group_says_what_it_is_and_names_its_contenders(tmp_path):
    from importlib import import_module

    for name in GROUPS:
        module: Any = import_module(f"benchmarks.{name}")
        assert module.__doc__
        assert callable(module.run)
        titles = [contender.title for contender in getattr(module, "CONTENDERS", {}).values()]
        assert len(titles) == len(set(titles))
    assert Setup(tmp_path).counts == {"rounds": 5, "slow_rounds": 5}


# --- the store that stands for a terabyte -----------------------------------------------------------------------------


def test_the_tiled_store_serves_the_phantom_over_and_over(phantom):
    store = TiledStore(phantom, (20, 28))
    small = refold.open(phantom).values
    cube = refold.open(store)
    assert cube.dims == ("y", "x", "ky", "kx")
    assert cube.shape == (20, 28, 16, 24)
    np.testing.assert_array_equal(cube.values, store.tiled(small))
    np.testing.assert_array_equal(zarr.open_array(store, mode="r")[13:19, 9:], cube.values[13:19, 9:])
    np.testing.assert_array_equal(store.truth[8:16, 12:24], store.truth[:8, :12])


def test_the_tiled_store_cannot_be_written(phantom):
    store = TiledStore(phantom, (8, 12))
    assert store.read_only
    with pytest.raises(ValueError, match="read-only"):
        zarr.open_array(store, mode="r+")[:] = 0


def test_a_run_on_the_tiled_store_finds_its_truth_and_goes_on_where_it_stopped(phantom, tmp_path):
    store = TiledStore(phantom, (40, 48))
    place, options = tmp_path / "scan.run.zarr", {"n_components": 4, "embed": "none", "report": False}
    found = refold.run(refold.open(store), store=place, **options)
    assert found.labels.shape == store.truth.shape
    again = refold.plan(refold.open(TiledStore(phantom, (40, 48))), store=place, n_components=4, embed="none")
    assert all(stage.reused for stage in again.stages.values())


# --- contenders of these tests ----------------------------------------------------------------------------------------


def _works(case: dict[str, int]) -> Any:
    return lambda: 2 * case["factor"]


def _fails(case: dict[str, int]) -> Any:
    def work() -> None:
        raise RuntimeError("no such thing")

    return work


def _later(case: dict[str, int]) -> Any:
    from benchmarks.measure import NotThereYetError

    raise NotThereYetError("not there yet")


def _contenders() -> dict[str, Any]:
    from benchmarks.measure import Contender

    return {
        "works": Contender("works", _works, facts=lambda case, result: {"double": result}),
        "fails": Contender("fails", _fails, fresh=True),
        "absent": Contender("absent", _works, ("no-such-package-at-all",)),
        "later": Contender("later", _later),
    }


CONTENDERS = _contenders()
