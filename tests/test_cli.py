"""The command line: one JSON object and nothing else, errors in three lines and status 2, never a traceback."""

from __future__ import annotations

import errno
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import refold
from refold.engine.encoding import ChunkWriter
from refold.recipe import Recipe
from tests.runs import OPTIONS, one_object, phantom

FAST = ["--embed", "none", "--components", "5", "--min-cluster-size", "12"]
RUN_KEYS = {
    "forecast": dict,
    "store": str,
    "report": str,
    "stages": dict,
    "chunks_read": int,
    "bytes_read": int,
    "peak_memory": int,
    "seconds": float,
    "clusters": int,
    "noise": float,
}


@pytest.fixture
def no_page(monkeypatch):
    """Leave out the page of a run, which takes longer than a small run itself, where nothing is asked of it."""
    monkeypatch.setattr("refold.pipeline.write_report", lambda run, path: path)


# --- what is printed --------------------------------------------------------------------------------------------------


def test_run_then_again_then_report_as_json(command, small_scan, tmp_path):
    arguments = ["run", small_scan, "--rebin", "ky=2,kx=2", "-o", "a.run.zarr", *FAST, "--json"]
    status, out, err = command(*arguments)
    done = one_object(out)
    assert (status, err) == (0, "")
    assert set(done) == {*RUN_KEYS, "ari"}
    assert all(isinstance(done[name], kind) for name, kind in RUN_KEYS.items())
    assert done["ari"] is None
    assert list(done["stages"]) == ["features", "reduce", "embed", "cluster", "labels", "statistics"]
    assert all(set(stage) == {"seconds", "reused"} and not stage["reused"] for stage in done["stages"].values())
    assert (tmp_path / done["report"]).read_text(encoding="utf-8").startswith("<!")
    labels = refold.open_run(done["store"]).labels
    assert done["clusters"] == int(labels.max()) + 1
    assert done["noise"] == float((labels < 0).mean())

    again = one_object(command(*arguments)[1])
    assert all(stage["reused"] for stage in again["stages"].values())
    assert again["chunks_read"] == again["bytes_read"] == 0

    Path(done["report"]).unlink()
    status, out, _ = command("report", "a.run.zarr", "--json")
    assert status == 0
    assert one_object(out) == {"store": "a.run.zarr", "report": "a.run.html"}
    assert (tmp_path / "a.run.html").stat().st_size > 10_000


def test_plan_as_json_has_the_names_of_run(command, small_scan, tmp_path):
    status, out, err = command("plan", small_scan, "--rebin", "ky=2,kx=2", *FAST[:4], "--json")
    planned = one_object(out)
    assert (status, err) == (0, "")
    assert {*RUN_KEYS, "ari", "tasks", "sweeps"} <= set(planned)
    assert planned["sweeps"] == 5
    assert planned["chunks_read"] == 20
    assert {"seconds", "reused"} <= set(planned["stages"]["reduce"])
    assert not list(tmp_path.iterdir())


def test_info_lists_signals(command, small_scan):
    status, out, _ = command("info", small_scan, "--json")
    signals = one_object(out)
    assert status == 0
    assert {"name", "dims", "shape", "dtype", "chunks", "units", "bytes"} <= set(signals[0])
    (scan,) = [signal for signal in signals if signal["name"] == "diffraction"]
    assert (scan["dims"], scan["shape"]) == (["y", "x", "ky", "kx"], [22, 25, 12, 12])


def test_demo_prints_the_index_against_the_truth(command, monkeypatch, tmp_path):
    monkeypatch.setattr("refold.demo._SHAPE", (32, 32))
    monkeypatch.setattr("refold.demo._DETECTOR", (32, 32))
    monkeypatch.setattr("refold.demo._OPTIONS", {"rebin": {"ky": 2, "kx": 2}, "embed": "none"})
    status, out, _ = command("demo", "-o", "there", "--json")
    done = one_object(out)
    assert status == 0
    assert set(done) == {*RUN_KEYS, "ari"}
    assert done["ari"] > 0.9
    assert (tmp_path / done["store"]).is_dir()
    status, out, _ = command("demo", "-o", "there")
    assert status == 0
    assert f"{done['ari']:.4f}" in out
    assert done["report"] in out
    assert "reused" in out


@pytest.mark.usefixtures("no_page")
def test_people_get_tables(command, small_scan):
    status, out, _ = command("plan", small_scan, *FAST[:4])
    assert status == 0
    assert not any(line.split()[1] == "features" for line in out.splitlines() if len(line.split()) > 1)
    assert "peak memory" in out
    status, out, _ = command("info", small_scan)
    assert status == 0
    assert "diffraction" in out
    status, out, _ = command("run", small_scan, *FAST)
    assert status == 0
    assert "clusters" in out
    assert "phantom.run.zarr" in out


# --- convert ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def tall_scan(tmp_path):
    """All positions, and one channel, in each chunk, of which no block of whole signals is made in 2 MB."""
    data = np.random.default_rng(0).poisson(4.0, (64, 64, 96)).astype("uint16")
    path = tmp_path / "a tall scan.zarr"
    zarr.create_array(path, data=data, chunks=(64, 64, 1), dimension_names=("y", "x", "energy"))
    return path


def test_the_plan_proposes_to_convert_and_that_mends_it(command, tall_scan):
    options = ["--memory", "2MB", "--components", 3, "--landmarks", 50, "--embed", "none"]
    status, out, err = command("plan", tall_scan.name, *options)
    assert (status, err) == (0, "")
    assert "A sweep decodes each chunk of the scan" in out
    planned = one_object(command("plan", tall_scan.name, *options, "--json")[1])
    (note,) = planned["notes"]
    program, *words = shlex.split(note.splitlines()[-1])
    assert program == "refold"
    status, _, err = command(*words)
    assert status == 0, err
    mended = one_object(command("plan", words[words.index("-o") + 1], *options, "--json")[1])
    assert mended["notes"] == []
    assert mended["chunks_read"] < planned["chunks_read"]
    assert mended["bytes_read"] * float(note.split(" times")[0].rsplit(" ", 1)[1]) == pytest.approx(
        planned["bytes_read"], 0.01
    )


def test_a_plan_without_such_chunks_proposes_nothing(command, small_scan):
    assert one_object(command("plan", small_scan, *FAST[:4], "--json")[1])["notes"] == []
    assert "refold convert" not in command("plan", small_scan, *FAST[:4])[1]


def test_the_plan_says_which_steps_run_together(command, small_scan):
    said = command("plan", small_scan, *FAST[:4], "--rebin", "ky=2,kx=2", "--set", "prepare.log1p=true")[1]
    assert "Prepared in one compiled pass over each chunk: rebin, log1p." in said


def test_convert_as_json_and_for_people(command, tall_scan, tmp_path):
    status, out, err = command(
        "convert", tall_scan, "-o", "b.zarr", "--chunks", "y=16,x=8", "--memory", "600kB", "--json"
    )
    done = one_object(out)
    assert (status, err) == (0, "")
    assert done["store"] == "b.zarr"
    assert done["chunks"] == {"y": 16, "x": 8, "energy": 96}
    assert done["passes"] == 2
    np.testing.assert_array_equal(refold.open("b.zarr"), refold.open(tall_scan))
    status, out, _ = command("convert", tall_scan, "-o", "b.zarr", "--overwrite")
    assert status == 0
    assert "one pass" in out
    assert "b.zarr" in out
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [tall_scan.name, "b.zarr"]


def test_convert_prepares_shards_verifies_and_resumes(command, small_scan, tmp_path):
    told = ["--rebin", "ky=2,kx=2", "--shard", "y=4,x=4", "--chunks", "y=2,x=2", "--verify", "--resume"]
    status, out, _ = command("convert", small_scan, "-o", "b.zarr", *told)
    assert status == 0
    assert "in shards of y 4, x 4" in out
    assert f"checksum {refold.checksum(refold.open('b.zarr'))}, and so" in out
    expected = refold.rebin(refold.open(small_scan), ky=2, kx=2)
    np.testing.assert_array_equal(refold.open("b.zarr"), expected)
    status, _, err = command("convert", small_scan, "-o", small_scan, "--rebin", "ky=2", "--overwrite")
    assert status != 0
    assert "the scan" in err


@pytest.mark.parametrize(
    ("told", "left"),
    [
        (["--rebin", "y=2"], 5),
        (["--crop", "y=0:3"], 5),
        (["--rebin", "y=2", "--set", "prepare.bands={ drop = [0] }"], 3),
    ],
)
def test_a_copy_has_all_bands_unless_told_otherwise(command, tmp_path, told, left):
    cube = refold.as_cube(np.ones((4, 4, 5), "f4"), signal="wavelength")
    refold.convert(cube.assign_coords(good=("wavelength", [True, True, False, True, True])), "a.zarr")
    status, _, err = command("convert", "a.zarr", "-o", "b.zarr", *told)
    assert status == 0, err
    found = refold.open("b.zarr")
    assert found.sizes["wavelength"] == left
    assert found.good.all() == (left == 3)


def test_convert_takes_what_a_file_does_not_say_of_itself(command, tmp_path):
    data = np.arange(3 * 4 * 5, dtype=">u2")
    data.tofile("a.raw")
    told = ["--set", "source.shape=[3, 4, 5]", "--set", 'source.dtype=">u2"']
    assert command("convert", "a.raw", "-o", "b.zarr", *told)[0] == 0
    np.testing.assert_array_equal(refold.open("b.zarr"), data.reshape(3, 4, 5))


# --- recipes ----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_page")
def test_a_saved_recipe_runs_the_same(command, small_scan, tmp_path):
    first = [small_scan, "--rebin", "ky=2,kx=2", *FAST, "--set", "backproject.neighbours=4", "--seed", 3]
    status, _, err = command("run", *first, "-o", "a.run.zarr", "--save-recipe", "recipe.toml", "--json")
    assert status == 0, err
    recipe = Recipe.load(tmp_path / "recipe.toml")
    assert recipe.backproject.neighbours == 4
    assert recipe.embed.random_state == 3
    again = one_object(command("run", "recipe.toml", "-o", "a.run.zarr", "--json")[1])
    assert all(stage["reused"] for stage in again["stages"].values())
    changed = one_object(
        command("run", "recipe.toml", "--set", "cluster.min_samples=3", "-o", "a.run.zarr", "--json")[1]
    )
    assert [stage["reused"] for stage in changed["stages"].values()] == [True, True, True, False, False, False]


# --- errors -----------------------------------------------------------------------------------------------------------


def broken_scans(folder: Path) -> dict[str, Path]:
    """Files that are no scan, or one that tells nothing."""
    rng = np.random.default_rng(0)
    paths = {name: folder / f"{name}.npy" for name in ("picture", "nothing", "constant")}
    np.save(paths["picture"], rng.random((20, 30)))
    np.save(paths["nothing"], np.full((6, 7, 8), np.nan, "float32"))
    constant = rng.poisson(50, (6, 7, 8)).astype("float32")
    constant[..., 3] = 5
    np.save(paths["constant"], constant)
    paths["unknown"] = folder / "scan.xyz"
    paths["unknown"].write_bytes(b"nobody knows this")
    paths["taken"] = folder / "taken.run.zarr"
    zarr.create_group(paths["taken"])
    (folder / "bad.toml").write_text('[source]\npath = "scan.zarr"\n[reduce]\nn_component = 5\n')
    paths["recipe"] = folder / "bad.toml"
    return paths


CASES = {
    "missing file": (["run", "nowhere.zspy"], "SourceNotFoundError", "nowhere.zspy"),
    "missing file, planned": (["plan", "nowhere.zspy"], "SourceNotFoundError", "nowhere.zspy"),
    "missing file, listed": (["info", "nowhere.zspy"], "SourceNotFoundError", "nowhere.zspy"),
    "missing run": (["report", "nowhere.run.zarr"], "StoreError", "nowhere.run.zarr"),
    "missing recipe": (["run", "nowhere.toml"], "RecipeError", "nowhere.toml"),
    "unknown format": (["run", "{unknown}"], "UnknownFormatError", "scan.xyz"),
    "no signal dim": (["run", "{picture}", "--set", "source.signal_dims=[]"], "", "dim"),
    "NaN only": (["run", "{nothing}", "--components", "2"], "DataError", ""),
    "constant channel": (["run", "{constant}", "--components", "2", "--scaling", "standard"], "DataError", ""),
    "output exists": (["run", "{scan}", "-o", "{taken}"], "StoreExistsError", "taken.run.zarr"),
    "n_components too large": (["run", "{scan}", "--components", "145"], "ParameterError", "144"),
    "unknown key in a recipe": (["run", "{recipe}"], "RecipeError", "'n_components'"),
    "unknown key set": (["run", "{scan}", "--set", "embed.n_neighbours=5"], "RecipeError", "'n_neighbors'"),
    "unknown section set": (["run", "{scan}", "--set", "embedding.n_neighbors=5"], "RecipeError", "embed"),
    "bad --set": (["run", "{scan}", "--set", "n_neighbors"], "RecipeError", "section.key=value"),
    "bad --rebin": (["run", "{scan}", "--rebin", "ky:2"], "RecipeError", "ky=2"),
    "rebin of no dim": (["run", "{scan}", "--rebin", "kz=2"], "", "kz"),
    "bad --crop": (["plan", "{scan}", "--crop", "ky=1"], "RecipeError", "two numbers"),
    "bad --memory": (["run", "{scan}", "--memory", "lots"], "RecipeError", "lots"),
    "tiny memory": (["run", "{scan}", "--memory", "1kB"], "MemoryBudgetError", "1 kB"),
    "bad --workers": (["run", "{scan}", "--workers", "0"], "RecipeError", "workers"),
    "bad --components": (["run", "{scan}", "--components", "many"], "RecipeError", "many"),
    "bad --embed": (["run", "{scan}", "--embed", "tsne"], "RecipeError", "umap"),
    "bad UMAP parameter": (["run", "{scan}", "--set", "embed.parameters={{n_epoch = 5}}"], "ParameterError", "n_epoch"),
    "unknown signal": (["run", "{scan}", "--signal", "diffraktion"], "", "diffraktion"),
    "no scan to convert": (["convert", "nowhere.zspy", "-o", "new.zarr"], "SourceNotFoundError", "nowhere.zspy"),
    "converted into what is there": (["convert", "{scan}", "-o", "{taken}"], "StoreExistsError", "taken.run.zarr"),
    "converted into itself": (["convert", "{scan}", "-o", "{scan}", "--overwrite"], "ParameterError", "the scan"),
    "chunks that cut the signal": (
        ["convert", "{scan}", "-o", "new.zarr", "--chunks", "ky=2"],
        "ParameterError",
        "signals stay whole",
    ),
    "bad --chunks": (["convert", "{scan}", "-o", "new.zarr", "--chunks", "32"], "RecipeError", "dim=value"),
    "too little memory to convert": (
        ["convert", "{scan}", "-o", "new.zarr", "--memory", "1kB"],
        "MemoryBudgetError",
        "--memory",
    ),
    "a run as report of nothing": (["report", "{scan}"], "StoreExistsError", "phantom.zarr"),
}


@pytest.mark.parametrize("case", CASES)
def test_errors_say_found_wanted_and_remedy_and_end_with_2(command, small_scan, tmp_path, case):
    (folder := tmp_path / "files").mkdir()
    paths = {"scan": small_scan, **broken_scans(folder)}
    arguments, kind, words = CASES[case]
    before = set(folder.rglob("*"))
    output = ["-o", "out.run.zarr"] if arguments[0] == "run" and "-o" not in arguments else []
    status, out, err = command(*(text.format(**paths) for text in arguments), *output)
    assert status == 2
    assert out == ""
    assert kind in err
    assert words in err
    for title in ("found:", "wanted:", "to mend it:"):
        assert title in err
    assert "Traceback" not in err
    assert set(folder.rglob("*")) == before
    if (tmp_path / "out.run.zarr").exists():  # the numbers, or umap-learn, were asked before it was known
        assert kind == "DataError" or case == "bad UMAP parameter"
        assert "labels" not in refold.open_run(tmp_path / "out.run.zarr")
    assert not list(tmp_path.glob("*.html"))


@pytest.mark.usefixtures("no_page")
@pytest.mark.parametrize("stage", ["features", "reduce", "labels"])
def test_a_full_disk_is_said_so_and_the_run_goes_on_where_it_stopped(command, small_scan, monkeypatch, stage):
    arguments = ["run", small_scan, "--rebin", "ky=2", "-o", "a.run.zarr", *FAST, "--json"]
    written = {"features": "features", "reduce": "scores", "labels": "labels"}[stage]
    put = ChunkWriter.write

    def full(self: ChunkWriter, region: Any, values: Any) -> None:
        if self.array.basename == written:
            raise OSError(errno.ENOSPC, "No space left on device")
        put(self, region, values)

    with monkeypatch.context() as patched:
        patched.setattr(ChunkWriter, "write", full)
        status, out, err = command(*arguments)
    assert (status, out) == (2, "")
    assert "DiskFullError" in err
    assert "goes on where it stopped" in err
    again = one_object(command(*arguments)[1])
    stages = list(again["stages"])
    assert [again["stages"][name]["reused"] for name in stages] == [at < stages.index(stage) for at in range(6)]


def test_a_disk_too_small_is_said_before_anything_is_written(command, small_scan, monkeypatch, tmp_path):
    monkeypatch.setattr("refold.pipeline.free_disk", lambda place: 1000)
    status, _, err = command("run", small_scan, "-o", "a.run.zarr", *FAST)
    assert status == 2
    assert "1 kB free" in err
    assert not list(tmp_path.iterdir())


def test_a_wrong_option_is_a_usage_error(command, small_scan):
    status, out, err = command("run", small_scan, "--rebinn", "ky=2")
    assert (status, out) == (2, "")
    assert "--rebin" in err
    assert command()[0] in (0, 2)


def test_the_phantom_of_the_options_is_the_one_of_the_tests():
    assert OPTIONS["embed"] == "none"
    assert phantom().cube.shape == (22, 25, 12, 12)
