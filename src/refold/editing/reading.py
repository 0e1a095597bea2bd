"""Selections read from data that anybody may have written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from refold.editing.geometry import MAX_RUNS, shortened
from refold.editing.selections import MAX_PARTS, MAX_POINTS, AllOf, AnyOf, Not, Pixels, Selection
from refold.errors import ParameterError


def read_selection(data: Any, depth: int) -> Selection:
    """Read a selection, checking everything.

    Parameters
    ----------
    data : object
        As JSON gives it.
    depth : int
        How deep selections may be nested.

    Raises
    ------
    ParameterError
        If it is no selection.
    """
    if not isinstance(data, Mapping) or depth < 0:
        raise ParameterError(
            f"{shortened(data)}" if depth >= 0 else "too deep a selection", "a selection", "draw it again"
        )
    drawn = {"space", "dims"}
    match sorted(set(data) - drawn if set(data) > drawn else data):
        case ["lasso"] if set(data) > drawn:
            return Selection.lasso(_listed(data["lasso"], MAX_POINTS), data["space"], _listed(data["dims"], 2))
        case ["box"] if set(data) > drawn and len(_listed(data["box"], 4)) == 4:
            x0, x1, y0, y1 = data["box"]
            return Selection.box(x0, x1, y0, y1, data["space"], _listed(data["dims"], 2))
        case ["pixels"]:
            return Pixels(tuple(_run(run) for run in _listed(data["pixels"], MAX_RUNS)))
        case ["any"]:
            return AnyOf(tuple(read_selection(part, depth - 1) for part in _listed(data["any"], MAX_PARTS)))
        case ["all"]:
            return AllOf(tuple(read_selection(part, depth - 1) for part in _listed(data["all"], MAX_PARTS)))
        case ["not"]:
            return Not(read_selection(data["not"], depth - 1))
    raise ParameterError(
        f"a selection of {', '.join(map(repr, list(data)[:5]))}",
        "a lasso or box with its space and dims, pixels, any, all or not",
        "draw it again",
    )


def _listed(data: Any, most: int) -> Any:
    if not isinstance(data, list) or len(data) > most:
        raise ParameterError(f"{shortened(data)}", f"a list of at most {most}", "draw it again")
    return data


def _run(run: Any) -> tuple[int, int]:
    if not isinstance(run, list) or len(run) != 2 or any(type(end) is not int for end in run):
        raise ParameterError(f"the run of pixels {shortened(run)}", "two whole numbers", "select it again")
    return run[0], run[1]
