"""Mean signals of selections: equal to NumPy's, from wherever they are read, and from no block that is not needed."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import refold
from refold.engine.progress import Progress
from refold.errors import CubeError, DataError, ParameterError, TrimWarning
from refold.explore.averaging import MaskedSums, SelectedBlocks
from refold.explore.background import Background
from refold.explore.signals import MeanSignals
from refold.store import RunStore, open_run
from tests.guards import count_reads
from tests.runs import SHAPE, phantom, run

REBIN = {"ky": 2, "kx": 2}


def disc(centre=(5, 6), radius=4):
    """A selection as a lasso makes it."""
    y, x = np.ogrid[: SHAPE[0], : SHAPE[1]]
    return (y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= radius**2


@pytest.fixture(scope="module")
def bare_run(small_scan, tmp_path_factory):
    """A run that keeps no features."""
    store = tmp_path_factory.mktemp("bare") / "bare.run.zarr"
    return run(small_scan, store, rebin=REBIN, features=False).store


def expected(scan, selected):
    """What NumPy says."""
    cube = refold.rebin(refold.open(scan), REBIN).values.astype(np.float64)
    return cube[selected].mean(axis=0)


def test_the_mean_is_read_from_the_features_of_the_run(small_run, small_scan):
    found = MeanSignals(small_run).read(disc())
    assert (found.origin, found.size) == ("features", int(disc().sum()))
    (mean,) = found.mean.values()
    assert mean.dims == ("ky", "kx")
    np.testing.assert_array_equal(mean.values, expected(small_scan, disc()))
    (total,) = found.sum.values()
    np.testing.assert_allclose(total.values, mean.values * found.size)


def test_or_from_the_scan_where_it_was(bare_run, small_scan):
    found = MeanSignals(bare_run).read(disc())
    assert found.origin == "scan"
    (mean,) = found.mean.values()
    np.testing.assert_array_equal(mean.values, expected(small_scan, disc()))


def test_or_from_a_scan_that_is_given(tmp_path, small_scan):
    cube = phantom().cube
    store = run(cube, tmp_path / "memory.run.zarr", rebin=REBIN, features=False).store
    with pytest.raises(DataError, match="--scan"):
        MeanSignals(store).read(disc())
    found = MeanSignals(store, cube).read(disc())
    assert found.origin == "scan"
    (mean,) = found.mean.values()
    np.testing.assert_array_equal(mean.values, expected(small_scan, disc()))


def test_another_scan_is_refused(small_run):
    with pytest.raises(CubeError, match="shape"):
        MeanSignals(small_run, phantom(shape=(8, 9)).cube)


def test_a_scan_that_changed_is_not_read(tmp_path):
    scan = phantom().save(tmp_path / "changing.zarr")
    store = run(scan, tmp_path / "changing.run.zarr", features=False).store
    assert MeanSignals(store).read(disc()).origin == "scan"
    (scan / "zarr.json").touch()
    with pytest.raises(DataError, match="changed"):
        MeanSignals(store).read(disc())


def test_whole_clusters_are_answered_from_their_means(small_run):
    signals, labels = MeanSignals(small_run), open_run(small_run).labels.values
    two = np.isin(labels, [0, 1])
    with count_reads() as reads:
        at_once = signals.at_once(two)
        assert not reads.under("features")
    assert at_once.origin == "clusters"
    read = signals.read(two)
    assert at_once.size == read.size == int(two.sum())
    for name, mean in at_once.mean.items():
        np.testing.assert_allclose(mean.values, read.mean[name].values, rtol=1e-5, atol=1e-6)


def test_parts_of_clusters_and_noise_are_not(small_run):
    signals, labels = MeanSignals(small_run), open_run(small_run).labels.values
    part = labels == 0
    part[np.unravel_index(np.argmax(part), part.shape)] = False
    assert signals.at_once(part) is None
    assert signals.at_once(np.zeros_like(part)) is None
    if (labels < 0).any():
        assert signals.at_once((labels == 0) | (labels < 0)) is None


def test_several_cubes_each_have_their_mean(tmp_path):
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, SHAPE)
    made = {
        "eds": refold.as_cube(rng.poisson(3.0 + truth[..., None] * np.arange(8.0)), signal="energy"),
        "bse": refold.as_cube(rng.poisson(20.0 + 9 * truth[..., None], (*SHAPE, 2)), signal="detector"),
    }
    store = run(made, tmp_path / "two.run.zarr", n_components=3).store
    signals = MeanSignals(store)
    found = signals.read(disc())
    assert list(found.mean) == ["eds", "bse"]
    for name, cube in made.items():
        np.testing.assert_allclose(found.mean[name].values, cube.values[disc()].mean(axis=0), rtol=1e-6)
    whole = open_run(store).labels.values == 0
    for name, mean in signals.at_once(whole).mean.items():
        np.testing.assert_allclose(mean.values, made[name].values[whole].mean(axis=0), rtol=1e-5)
    again = MeanSignals(store, made).read(disc())
    assert again.origin == "scan"
    for name, mean in again.mean.items():
        np.testing.assert_allclose(mean.values, found.mean[name].values)


def test_on_a_coarser_grid_each_pixel_counts_its_place_there(tmp_path):
    cube = phantom().cube
    with pytest.warns(TrimWarning, match="last positions"):
        store = run(cube, tmp_path / "coarse.run.zarr", rebin={"y": 2, "x": 2}, min_cluster_size=5).store
    with pytest.warns(TrimWarning, match="last positions"):
        binned = refold.rebin(cube, {"y": 2, "x": 2})
    found = MeanSignals(store).read(disc())
    coarse = binned.values.astype(np.float64)
    rows, columns = np.nonzero(disc())
    wanted = coarse[np.minimum(rows // 2, coarse.shape[0] - 1), np.minimum(columns // 2, coarse.shape[1] - 1)]
    (mean,) = found.mean.values()
    np.testing.assert_allclose(mean.values, wanted.mean(axis=0), rtol=1e-12)


def test_no_block_is_read_that_holds_none_of_it(bare_run, monkeypatch):
    monkeypatch.setattr("refold.explore.signals._BLOCK", 1)
    signals = MeanSignals(bare_run)
    corner = np.zeros(SHAPE, bool)
    corner[0, 0] = True
    with count_reads() as reads:
        signals.read(corner)
        few = reads.total
        signals.read(np.ones(SHAPE, bool))
    assert 0 < few < reads.total - few


@given(data=st.data())
def test_the_visitor_is_numpys_mean(data):
    shape, channels = (data.draw(st.integers(1, 7)), data.draw(st.integers(1, 7))), 3
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    values = rng.integers(0, 1000, (*shape, channels)).astype(data.draw(st.sampled_from([np.uint16, np.float32])))
    weights = rng.integers(0, 3, shape)
    weights.flat[rng.integers(weights.size)] = 1
    sizes = tuple(data.draw(st.integers(1, size)) for size in shape)
    cube = refold.as_cube(values, signal="energy").chunk(dict(zip(("y", "x"), sizes, strict=True)))
    from refold.engine import plan_grid

    sums = MaskedSums(weights)
    (mean,) = refold.sweep(cube, sums, kept=SelectedBlocks(cube, plan_grid(cube)).holding(sums.weights))
    rows = values.reshape(-1, channels).astype(np.float64)
    np.testing.assert_allclose(mean, np.average(rows, axis=0, weights=weights.ravel()), rtol=1e-12)


def test_pixels_without_numbers_are_left_out():
    values = np.array([[1.0, 2.0], [np.nan, 7.0], [3.0, 6.0]])
    cube = refold.as_cube(values, signal="energy")
    (mean,) = refold.sweep(cube, MaskedSums(np.ones(3)))
    assert mean.tolist() == [2.0, 4.0]
    with pytest.raises(DataError, match="no numbers"):
        refold.sweep(cube, MaskedSums(np.array([0, 1, 0])))


def test_what_is_no_selection_is_refused(small_run):
    with pytest.raises(DataError, match="empty selection"):
        MeanSignals(small_run).read(np.zeros(SHAPE, bool))
    with pytest.raises(ParameterError, match="selection of shape"):
        MeanSignals(small_run).read(np.ones((3, 3), bool))


# --- beside the page --------------------------------------------------------------------------------------------------


def test_what_is_asked_later_ends_what_was_asked_before(small_run):
    """The sweep of the first is in the middle of its blocks when the second is asked."""
    beside, heard, begun, go_on = Background(), [], threading.Event(), threading.Event()

    def first(progress: Progress):
        progress.advance(1, 1, 1)
        begun.set()
        go_on.wait(5)
        progress.advance(1, 1, 1)  # ends here
        heard.append("the first went on")

    signals = MeanSignals(small_run)
    beside.ask(first, done=heard.append, failed=heard.append)
    assert begun.wait(5)
    beside.ask(lambda progress: signals.read(disc(), progress), done=heard.append, failed=heard.append)
    go_on.set()
    beside.close(wait=True)
    assert [mean.size for mean in heard] == [int(disc().sum())]


def test_errors_and_progress_are_told_where_the_page_is():
    calls, heard = [], []
    beside = Background(into_page=calls.append)

    def fails(progress: Progress):
        raise DataError("one thing", "another", "change it")

    beside.ask(fails, done=heard.append, failed=heard.append)
    beside.close(wait=True)
    assert heard == []
    for call in calls:
        call()
    assert [type(error) for error in heard] == [DataError]


def test_progress_is_told_now_and_then(monkeypatch):
    monkeypatch.setattr("refold.explore.background._TELL_EVERY", 0.0)
    cube, heard, done = refold.as_cube(np.ones((64, 64, 9)), signal="energy"), [], []
    beside = Background()
    beside.ask(
        lambda progress: refold.sweep(cube, MaskedSums(np.ones((64, 64))), progress=progress, workers=1),
        done=done.append,
        told=lambda so_far, total: heard.append(so_far / total),
    )
    beside.close(wait=True)
    assert heard[-1] == 1.0
    assert done[0][0].tolist() == [1.0] * 9


def test_after_the_end_nobody_is_called():
    beside, heard, go_on = Background(), [], threading.Event()
    beside.ask(lambda progress: go_on.wait(5), done=heard.append)
    beside.close()
    go_on.set()
    assert heard == []
    with pytest.raises(RuntimeError):
        beside.ask(lambda progress: 1, done=heard.append)


def test_a_sweep_that_nobody_waits_for_any_more_ends():
    cube, beside, seen = refold.as_cube(np.ones((64, 64, 9)), signal="energy"), Background(), []

    def work(progress: Progress):
        beside.cancel()
        try:
            refold.sweep(cube, MaskedSums(np.ones((64, 64))), progress=progress)
        except CancelledError:
            seen.append("ended")
            raise

    beside.ask(work, done=seen.append, failed=seen.append)
    beside.close(wait=True)
    assert seen == ["ended"]


def test_of_a_run_without_features_the_record_says_so(bare_run):
    assert "features" not in RunStore.open(bare_run).records
