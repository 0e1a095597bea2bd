"""Labels after edits: of each pixel alone, whatever block it comes in; noise stays noise unless asked."""

from __future__ import annotations

from dataclasses import replace

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from refold import Selection
from refold.editing.applying import groups_of
from refold.editing.counting import count, follow
from refold.editing.following import Following
from refold.editing.history import History
from refold.editing.operations import Frame, Merge, Reset, Split
from refold.editing.relabelling import Relabeller
from refold.editing.selections import Box
from refold.errors import ParameterError
from tests.editing.made_edits import FRAME, Pixels, histories, pixels
from tests.guards import no_compute
from tests.strategies import chunkings


def by_hand(history: History, at: Pixels) -> np.ndarray:
    """The operations one after the other on the whole map, in the words of their definitions."""
    found, number = at.labels.copy(), history.frame.clusters
    for operation in history.done:
        if isinstance(operation, Merge):
            found[np.isin(found, operation.clusters)] = min(operation.clusters)
        elif isinstance(operation, Reset):
            found = at.labels.copy()
        elif isinstance(operation, Split):
            wanted = found >= 0 if operation.clusters is None else np.isin(found, operation.clusters)
            if operation.noise:
                wanted = wanted | ((found < 0) & np.isfinite(at.embedding).all(axis=1))
            found[wanted & operation.selection.mask(at.embedding, at.where, history.frame.shape)] = number
            number += 1
    return found


@given(history=histories(most=8))
def test_edits_do_what_they_say(history: History) -> None:
    at = pixels()
    assert (Relabeller(history)(at.labels, at.embedding, at.where) == by_hand(history, at)).all()


@settings(max_examples=30)
@given(ways=st.lists(histories(most=8), min_size=1, max_size=3), steps=st.lists(st.integers(0, 8), max_size=12))
def test_edits_followed_step_by_step_are_those_replayed(ways: list[History], steps: list[int]) -> None:
    at = pixels()
    following = Following(at.labels, at.embedding, at.where)
    for place, step in enumerate(steps):
        history = replace(way := ways[place % len(ways)], cursor=min(step, len(way.operations)))
        found = following.after(history)
        assert (found == Relabeller(history)(at.labels, at.embedding, at.where)).all()
        found[:] = -7  # the caller's own


def test_a_step_more_looks_at_its_own_selection_only(monkeypatch: pytest.MonkeyPatch) -> None:
    at, history, asked = pixels(), History(FRAME), []
    own = Box.mask
    monkeypatch.setattr(Box, "mask", lambda box, *of: asked.append(box) or own(box, *of))
    following = Following(at.labels, at.embedding, at.where)
    for end in range(5):
        history, _ = history.add(Split(Selection.box(0, end, 0, end, "map")))
        following.after(history)
    following.after(history.undo())
    following.after(history.add(Merge((0, 1)))[0])
    assert len(asked) == 5


@given(history=histories(), order=st.permutations(range(42)), cut=st.integers(0, 42))
def test_a_pixel_gets_its_id_whatever_is_beside_it(history: History, order: list[int], cut: int) -> None:
    at, relabel = pixels(), Relabeller(history)
    whole = relabel(at.labels, at.embedding, at.where)
    for part in (np.array(order[:cut], int), np.array(order[cut:], int)):
        assert (relabel(at.labels[part], at.embedding[part], at.where[part]) == whole[part]).all()


@given(history=histories(), chunks=chunkings((6, 7, 3)))
def test_any_blocks_give_the_same_labels_lazily(history: History, chunks: tuple[tuple[int, ...], ...]) -> None:
    at, relabel = pixels(), Relabeller(history)
    grid = at.labels.reshape(6, 7)
    labels = xr.DataArray(da.from_array(grid, chunks[:2]), dims=("y", "x"), coords={"x": np.arange(7.0)}, name="labels")
    embedding = xr.DataArray(da.from_array(at.embedding.reshape(6, 7, 3), chunks), dims=("y", "x", "latent"))
    with no_compute():
        found = relabel.lazily(labels, embedding)
    assert found.dtype == np.int32
    assert (found.values.ravel() == relabel(at.labels, at.embedding, at.where)).all()
    assert found.coords.identical(labels.coords)
    assert found.name == "labels"


@given(history=histories(noise=False, most=8))
def test_noise_stays_noise_unless_asked(history: History) -> None:
    at = pixels()
    found = Relabeller(history)(at.labels, at.embedding, at.where)
    assert ((found == -1) == (at.labels == -1)).all()


@given(history=histories(noise=True, most=8))
def test_invalid_pixels_stay_noise_whatever_is_asked(history: History) -> None:
    at = pixels()
    found = Relabeller(history)(at.labels, at.embedding, at.where)
    assert (found[np.isnan(at.embedding).any(axis=1)] == -1).all()


@given(history=histories(most=8))
def test_numbers_run_from_zero_in_the_order_of_ids(history: History) -> None:
    at = pixels()
    ids = Relabeller(history)(at.labels, at.embedding, at.where)
    numbers = Relabeller(history, numbered=True)(at.labels, at.embedding, at.where)
    there = np.array(sorted(history.table.looks))
    assert (numbers[ids < 0] == -1).all()
    assert (there[numbers[ids >= 0]] == ids[ids >= 0]).all()


@given(history=histories(most=8))
def test_sizes_are_followed_as_far_as_they_are_known(history: History) -> None:
    at = pixels()
    before = dict(enumerate(np.bincount(at.labels[at.labels >= 0], minlength=4).tolist()))
    found = xr.DataArray(Relabeller(history)(at.labels, at.embedding, at.where).reshape(6, 7))
    after = count(found, history.table.next_id)
    followed = follow(before, history.effective)
    assert set(followed) <= set(history.table.looks)
    assert all(after[number] == size for number, size in followed.items())
    assert all(size == 0 for number, size in after.items() if number not in history.table.looks)


def test_only_what_is_needed_is_read() -> None:
    merged = Relabeller(History(FRAME).add(Merge((0, 1)))[0])
    assert not merged.needs_embedding
    on_map = Split(Selection.box(0, 1, 0, 1, "map"))
    assert not Relabeller(History(FRAME).add(on_map)[0]).needs_embedding
    with_noise = Split(Selection.box(0, 1, 0, 1, "map"), noise=True)
    assert Relabeller(History(FRAME).add(with_noise)[0]).needs_embedding  # it says which pixels are invalid
    bare = Frame(4, (6, 7), 0)
    at = pixels()
    found = Relabeller(History(bare).add(with_noise)[0])(at.labels, None, at.where)
    assert (found.reshape(6, 7)[:2, :2] == 4).all()


def test_a_merge_knows_what_it_was_made_of() -> None:
    history = History(FRAME)
    for operation in (Merge((1, 3)), Merge((0, 1))):
        history, _ = history.add(operation)
    assert groups_of(history) == [[0, 1, 3], [2]]


def test_wrong_labels_are_refused() -> None:
    relabel = Relabeller(History(FRAME))
    with pytest.raises(ParameterError, match="labels 0 to 4"):
        relabel(np.array([0, 4]), None, None)
    with pytest.raises(ParameterError, match="a row of whole numbers"):
        relabel(np.zeros((2, 2), int), None, None)
    assert relabel(np.array([], int), None, None).dtype == np.int32


def test_rows_that_are_missing_are_refused() -> None:
    """Else an invalid pixel, which only its coordinates tell from noise, would become part of a cluster."""
    at, relabel = pixels(), Relabeller(History(FRAME).add(Split(Selection.pixels([0, 1]), noise=True))[0])
    with pytest.raises(ParameterError, match="no latent coordinates"):
        relabel(at.labels, None, at.where)
    for rows, places in ((at.embedding[:3], at.where), (at.embedding, at.where[:3])):
        with pytest.raises(ParameterError, match="of 3 pixels; wanted those of 42"):
            relabel(at.labels, rows, places)
