"""Steps in a Dask graph: a step that is laid over one of ours joins its task, so that a chunk is gone through once.

Nothing is remembered besides the graph: what a cube carries is read from its outermost layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from dask._task_spec import Task
from dask.blockwise import Blockwise
from dask.highlevelgraph import HighLevelGraph

from refold.prepare.chain import Chain
from refold.prepare.steps import Step

Chunks = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class _Carried:
    """A chain in a graph, with what it is laid over."""

    chain: Chain
    source: da.Array
    masks: tuple[da.Array, ...]


def lay_over(array: da.Array, step: Step, masks: Sequence[Any] = ()) -> da.Array:
    """Lay a step over the chunks of an array, as part of the task that makes them if that is one of ours.

    Parameters
    ----------
    array : dask.array.Array
        Its chunks are whole windows of the step.
    step : Step
        What to do.
    masks : sequence of dask.array.Array
        As many as the step takes.

    Returns
    -------
    dask.array.Array
        One task for each chunk; the array itself is left as it is.
    """
    carried = _carried(array) or _Carried(Chain((), array.dtype), array, ())
    chain, inputs = carried.chain.then(step), (*carried.masks, *masks)
    joined: da.Array = da.map_blocks(
        chain,
        carried.source,
        *inputs,
        dtype=step.dtype,
        chunks=_shortened(array.chunks, step.factors_of(array.ndim)),
        meta=np.empty((0,) * array.ndim, step.dtype),
        token="refold-" + "-".join(step.name for step in chain.steps),
    )
    return joined


def passes(cube: xr.DataArray) -> tuple[tuple[str, ...], ...]:
    """Tell which steps a lazy cube goes through together.

    Parameters
    ----------
    cube : xarray.DataArray
        A cube.

    Returns
    -------
    tuple of tuple of str
        For each pass over a chunk the names of its steps; nothing for a cube in memory. One pass where nothing came
        between the steps: chunks that had to be merged do, and so do crops and arithmetic after the first step.

    Examples
    --------
    >>> from refold import as_cube, log1p, rebin
    >>> cube = as_cube(np.ones((8, 8, 6), "uint8"), signal="energy").chunk(x=4)
    >>> passes(log1p(rebin(cube, energy=2)))
    (('rebin', 'log1p'),)
    >>> passes(log1p(rebin(cube, energy=2) + 1))
    (('rebin',), ('log1p',))
    """
    return tuple(tuple(step.name for step in chain.steps) for chain in _chains(cube))


def say_passes(cube: xr.DataArray) -> str | None:
    """Say in a line of the plan how a cube is prepared.

    Parameters
    ----------
    cube : xarray.DataArray
        A cube.

    Returns
    -------
    str or None
        Which steps run together, and whether they are compiled; None if nothing lazy is to be done.

    Examples
    --------
    >>> from refold import as_cube, log1p, rebin
    >>> cube = as_cube(np.ones((8, 8, 6), "uint8"), signal="energy").chunk(x=4)
    >>> say_passes(log1p(rebin(cube, energy=2)))
    'Prepared in one compiled pass over each chunk: rebin, log1p.'
    """
    chains = _chains(cube)
    if not chains:
        return None
    steps = "; ".join(", ".join(step.name for step in chain.steps) for chain in chains)
    compiled = [chain.compiled for chain in chains]
    how = "compiled " if all(compiled) else "" if any(compiled) else "NumPy "
    if len(chains) == 1:
        return f"Prepared in one {how}pass over each chunk: {steps}."
    return f"Prepared in {len(chains)} {how}passes over each chunk, because other work lies between them: {steps}."


def _chains(cube: xr.DataArray) -> list[Chain]:
    """The chains that a cube's graph holds, in their order."""
    graph = cube.data.dask if cube.chunks is not None else None
    if not isinstance(graph, HighLevelGraph):
        return []
    return [chain for name in graph._toposort_layers() if (chain := _chain(graph, name)) is not None]


def _chain(graph: HighLevelGraph, name: str) -> Chain | None:
    """The chain that a layer's tasks are, if they are one."""
    layer = graph.layers.get(name)
    if not isinstance(layer, Blockwise) or layer.annotations or not isinstance(layer.task, Task):
        return None
    return layer.task.func if isinstance(layer.task.func, Chain) else None


def _carried(array: da.Array) -> _Carried | None:
    """Read from the outermost layer which chain of steps an array is, and of what."""
    graph = array.dask
    chain = _chain(graph, array.name) if isinstance(graph, HighLevelGraph) else None
    if chain is None:
        return None
    layer = graph.layers[array.name]
    factors = chain.factors(array.ndim)
    chunks = _lengthened(array.chunks, factors[-1])
    names = [name for name, _ in layer.indices]
    source = _array(graph, names[0], chunks, chain.source)
    masks = []
    for name, (before, over) in zip(names[1:], _masked(chain, factors), strict=True):
        full = _shortened(chunks, before)
        own = tuple(sizes if there else (1,) for sizes, there in zip(full, over, strict=True))
        masks.append(_array(graph, name, own, np.dtype(bool)))
    return _Carried(chain, source, tuple(masks))


def _masked(chain: Chain, factors: Sequence[tuple[int, ...]]) -> list[tuple[tuple[int, ...], tuple[bool, ...]]]:
    """For each mask, by how much dims are shortened before it, and which of them it lies over."""
    return [(before, step.over) for before, step in zip(factors, chain.steps, strict=False) if step.over]


def _array(graph: HighLevelGraph, name: str, chunks: Chunks, dtype: np.dtype[Any]) -> da.Array:
    """The array that a layer makes, with only the layers that it needs."""
    needed, stack = set(), [name]
    while stack:
        layer = stack.pop()
        if layer not in needed:
            needed.add(layer)
            stack.extend(graph.dependencies[layer])
    layers = {layer: graph.layers[layer] for layer in graph.layers if layer in needed}
    part = HighLevelGraph(layers, {layer: graph.dependencies[layer] for layer in layers})
    return da.Array(part, name, chunks, meta=np.empty((0,) * len(chunks), dtype))


def _shortened(chunks: Chunks, factors: Sequence[int]) -> Chunks:
    return tuple(tuple(size // factor for size in sizes) for sizes, factor in zip(chunks, factors, strict=True))


def _lengthened(chunks: Chunks, factors: Sequence[int]) -> Chunks:
    return tuple(tuple(size * factor for size in sizes) for sizes, factor in zip(chunks, factors, strict=True))
