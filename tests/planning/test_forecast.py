"""The forecast: arithmetic that adds up, counts what will be done only, and refuses what cannot fit."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refold.errors import DiskFullError, MemoryBudgetError
from refold.planning.forecast import BASE_MEMORY, Forecast, forecast
from refold.planning.sizes import Sizes

STAGES = ["features", "reduce", "embed", "cluster", "labels", "statistics", "report"]
SIZES = Sizes(
    n_pixels=10_000,
    n_features=256,
    raw_bytes=100_000_000,
    raw_chunks=40,
    chunk_reads=40,
    feature_bytes=5_000_000,
    block_memory=10_000_000,
    state_bytes=1_000_000,
    n_components=20,
    n_landmarks=2000,
    n_latent=2,
    materialise=True,
    reduce_sweeps=1,
    flops=10**9,
    tasks_per_sweep=7,
    workers=2,
    full_pixels=10_000,
)


def with_sizes(**changes: int) -> Forecast:
    return forecast(dataclasses.replace(SIZES, **changes), memory_allowed=10**9)


def test_features_written_means_the_scan_is_read_once():
    told = with_sizes()
    assert (told.chunks_read, told.bytes_read) == (40, 100_000_000)
    assert told.stages["features"].bytes_written == SIZES.feature_bytes
    assert told.stages["reduce"].features_read == SIZES.feature_bytes
    assert told.sweeps == 7  # features, scores, three of the landmarks, labels, cluster means
    assert list(told.stages) == STAGES


def test_without_features_every_sweep_reads_the_scan():
    told = with_sizes(materialise=False, reduce_sweeps=3)
    assert told.chunks_read == (1 + 3 + 1) * 40  # moments, those of the reduction with the scores, cluster means
    assert list(told.stages) == STAGES[1:]
    assert sum(stage.features_read for stage in told.stages.values()) == 0


def test_chunks_that_blocks_split_are_counted_as_often_as_they_are_read():
    assert with_sizes(chunk_reads=60).bytes_read == 150_000_000


@given(st.sets(st.sampled_from(STAGES)))
def test_what_is_there_already_costs_nothing(reused):
    told = forecast(SIZES, 10**9, frozenset(reused))
    for name in ("sweeps", "chunks_read", "bytes_read", "bytes_written", "seconds"):
        left = [getattr(stage, name) for key, stage in told.stages.items() if key not in reused and not stage.reused]
        assert getattr(told, name) == sum(left)
    own = {"features", "report"}  # which follow from the others as well
    assert {name for name, stage in told.stages.items() if stage.reused} - own == reused - own
    assert told.stages["features"].reused == ("features" in reused or {"reduce", "statistics"} <= reused)
    assert told.tasks == told.sweeps * SIZES.tasks_per_sweep


def test_sums_that_are_lost_are_taken_again():
    """The features are there, their moments were in the memory of the process that died."""
    assert forecast(SIZES, 10**9, frozenset({"features"})).stages["reduce"].sweeps == 2
    assert forecast(SIZES, 10**9).stages["reduce"].sweeps == 1


@given(
    st.sampled_from(["block_memory", "state_bytes", "n_landmarks", "n_components", "n_pixels", "feature_bytes"]),
    st.integers(2, 1000),
)
def test_more_of_anything_never_needs_less(name, factor):
    more = with_sizes(**{name: getattr(SIZES, name) * factor})
    less = with_sizes()
    assert more.peak_memory >= less.peak_memory > BASE_MEMORY
    assert more.bytes_written >= less.bytes_written
    assert more.seconds >= less.seconds


def test_a_stage_that_cannot_fit_is_named_with_what_to_change():
    told = forecast(dataclasses.replace(SIZES, block_memory=2 * 10**9), 10**9)
    with pytest.raises(MemoryBudgetError) as caught:
        told.check()
    assert caught.value.found.startswith("stage 'features' that needs 2")
    assert caught.value.wanted == "at most 1 GB"
    assert "--memory 2.1" in caught.value.remedy
    everything = forecast(dataclasses.replace(SIZES, block_memory=2 * 10**9), 10**9, frozenset(STAGES))
    everything.check()  # nothing is left to do


def test_a_disk_too_small_is_said():
    with_sizes().check(free_disk=10**9)
    with pytest.raises(DiskFullError, match="1 kB free"):
        with_sizes().check(free_disk=1000)


def test_it_is_json():
    told = with_sizes().as_dict()
    assert json.loads(json.dumps(told)) == told
    assert {"stages", "sweeps", "tasks", "chunks_read", "bytes_read", "peak_memory", "seconds"} <= set(told)
