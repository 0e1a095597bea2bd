"""Histories: undo is the inverse of every step, to any depth, and ids are never used twice."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refold import Selection
from refold.colours import palette
from refold.editing.history import MAX_OPERATIONS, History
from refold.editing.operations import (
    Frame,
    Merge,
    Operation,
    Recolour,
    Rename,
    Reset,
    Split,
    Table,
    default_colour,
)
from refold.errors import ParameterError
from tests.editing.made_edits import FRAME, histories, operations

_BOX = Selection.box(0, 1, 0, 1)


@given(history=histories(), data=st.data())
def test_undo_is_the_inverse_of_a_step(history: History, data: st.DataObject) -> None:
    operation = data.draw(operations(history.table))
    after, _ = history.add(operation)
    assert after.undo().table == history.table
    assert after.undo().redo() == after
    assert after.operations == (*history.done, operation)  # what was undone is forgotten


@given(history=histories())
def test_undo_and_redo_go_to_any_depth(history: History) -> None:
    there = history
    while there.cursor:
        there = there.undo()
    assert there.table == Table(FRAME)
    while there.cursor < history.cursor:
        there = there.redo()
    assert there == history
    there.check()


@given(history=histories(most=8))
def test_ids_are_never_used_twice(history: History) -> None:
    table, seen = Table(FRAME), set(range(FRAME.clusters))
    for operation in history.done:
        made = table.do(operation)
        if isinstance(operation, Split):
            assert made not in seen
            seen.add(made)
        if isinstance(operation, Merge):
            assert made == min(operation.clusters)
    assert set(table.looks) <= seen
    assert table == history.table


def test_reset_is_a_step() -> None:
    history = History(FRAME)
    for operation in (Merge((0, 1), "quartz"), Split(_BOX), Reset()):
        history, _ = history.add(operation)
    assert history.table.looks == Table(FRAME).looks
    assert history.effective == ()
    assert history.undo().table.looks[0].name == "quartz"
    _, made = history.add(Split(_BOX))
    assert made == 5  # 4 was that of the split before the reset


@pytest.mark.parametrize(
    ("operation", "said"),
    [
        (Merge((0,)), "two or more"),
        (Merge((0, 0)), "each of them once"),
        (Merge((0, 4)), "cluster 4; wanted one of 0, 1, 2, 3"),
        (Merge((0, -1)), "noise, -1, as a cluster"),
        (Merge((0, True)), "cluster True"),
        (Merge(([], 0)), "cluster"),  # type: ignore[arg-type]
        (Split(_BOX, ()), "no clusters and no noise"),
        (Split(_BOX, (9,)), "cluster 9"),
        (Split(Selection.box(0, 1, 0, 1, dims=(0, 3))), "latent dims"),
        (Split(Selection.pixels([42])), "pixel 42"),
        (Rename(0, ""), "the name ''"),
        (Rename(0, " a"), "without spaces around"),
        (Rename(0, "a\nb"), "printed"),
        (Rename(0, "a\u202eb"), "printed"),  # turns the direction of writing
        (Rename(0, "\ud800"), "printed"),
        (Rename(0, "a" * 201), "200 characters"),
        (Rename(0, 3), "the name 3"),  # type: ignore[arg-type]
        (Rename(0, "cluster 1"), "so clusters without a name are called"),
        (Recolour(()), "no colours"),
        (Recolour(((0, "red"),)), "the colour 'red'"),
        (Recolour(((0, "#12345g"),)), "the colour"),
        (Recolour(((0, "#fff\n"),)), "the colour"),
        (Recolour(((0, 3),)), "the colour 3"),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_done_is_said_and_changes_nothing(operation: Operation, said: str) -> None:
    history = History(FRAME)
    with pytest.raises(ParameterError, match=said):
        history.add(operation)
    assert history.table == Table(FRAME)


def test_no_two_clusters_have_one_name() -> None:
    history, _ = History(FRAME).add(Rename(1, "quartz"))
    for operation in (Rename(0, "quartz"), Merge((0, 2), "quartz"), Split(_BOX, name="quartz")):
        with pytest.raises(ParameterError, match="which cluster 1 has"):
            history.add(operation)
    history.add(Merge((0, 1), "quartz"))
    history.add(Rename(1, "quartz"))


def test_a_history_is_bounded() -> None:
    many: Any = (Reset(),) * (MAX_OPERATIONS + 1)
    with pytest.raises(ParameterError, match="another set"):
        History(FRAME, many)
    with pytest.raises(ParameterError, match="cursor"):
        History(FRAME, (Reset(),), 2)
    for step in (History(FRAME).undo, History(FRAME).redo):
        with pytest.raises(ParameterError, match="no step"):
            step()


def test_a_new_cluster_passes_over_colours_that_were_given_to_others() -> None:
    fifth, sixth = palette(6)[4:]
    history, _ = History(FRAME).add(Recolour(((0, fifth),)))
    history, made = history.add(Split(_BOX))
    assert history.table.looks[made].shown(made) == ("cluster 4", sixth)
    history, _ = history.add(Recolour(((0, None),)))
    assert history.table.looks[made].shown(made)[1] == sixth  # and keeps it
    history, made = history.add(Split(_BOX))
    assert history.table.looks[made].shown(made)[1] not in palette(6)


def test_colours_are_the_palettes_by_id() -> None:
    assert tuple(map(default_colour, range(8))) == palette(8)
    assert default_colour(10**6).startswith("#")
    assert Table(Frame(0, (1,), 0)).looks == {}
