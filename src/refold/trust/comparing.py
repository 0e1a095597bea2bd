"""Two runs of the same scan side by side: what they agree on, where they differ, and what was done differently."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from refold.engine import settings
from refold.errors import CubeError, StoreError
from refold.recipe import Recipe
from refold.report.words import count, percent, plural
from refold.store import open_run
from refold.trust.matching import INVALID, adjusted_rand_index, contingency, jaccard, match

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from refold.report.canvas import ThemeName

_UNSET = "–"
_SIDES = (("cluster", "pixels"), ("counterpart", "counterpart_pixels"))


@dataclass(frozen=True)
class Comparison:
    """What two runs have in common.

    Parameters
    ----------
    names : tuple of str
        The two runs.
    ari : float
        Adjusted Rand index over all pixels that are valid in both; noise is a cluster like any other.
    labels : xarray.DataArray
        Label map of the one run; lazy.
    matched : xarray.DataArray
        Label map of the other run in the numbers of the one, lazy; clusters without a counterpart have numbers past
        its.
    differs : xarray.DataArray
        Where the two maps differ; lazy.
    share : float
        Share of the valid pixels where they do.
    table : ndarray of int64
        Contingency table, in the clusters' own numbers, noise last.
    counterparts : ndarray of int32
        Name in the one run of each cluster of the other, noise last.
    jaccard : ndarray of float64
        Of each cluster of the one run and its counterpart; 0 where it has none.
    recipe : mapping
        ``section.key`` to the two values, where they are not the same.
    """

    names: tuple[str, str]
    ari: float
    labels: xr.DataArray
    matched: xr.DataArray
    differs: xr.DataArray
    share: float
    table: npt.NDArray[np.int64]
    counterparts: npt.NDArray[np.int32]
    jaccard: npt.NDArray[np.float64]
    recipe: Mapping[str, tuple[Any, Any]]

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        sizes, others = self.table.sum(axis=1), self.table.sum(axis=0)
        counterpart = {int(name): at for at, name in enumerate(self.counterparts[:-1])}
        clusters = [
            {
                "cluster": at,
                "pixels": int(sizes[at]),
                "counterpart": counterpart.get(at),
                "counterpart_pixels": int(others[counterpart[at]]) if at in counterpart else None,
                "jaccard": None if np.isnan(value) else float(value),
            }
            for at, value in enumerate(self.jaccard)
        ]
        return {
            "a": self.names[0],
            "b": self.names[1],
            "ari": self.ari,
            "pixels": int(self.table.sum()),
            "differ": self.share,
            "clusters": [size - 1 for size in self.table.shape],
            "noise": [int(sizes[-1]), int(others[-1])],
            "matched": clusters,
            "recipe": {key: list(values) for key, values in self.recipe.items()},
        }

    def __str__(self) -> str:
        facts = self.as_dict()
        (one, other), noise = facts["clusters"], facts["noise"]
        lines = [
            f"a  {self.names[0]}: {_found(one, noise[0], facts['pixels'])}",
            f"b  {self.names[1]}: {_found(other, noise[1], facts['pixels'])}",
            f"ARI {self.ari:.3f}; {percent(self.share)} of {count(facts['pixels'])} pixels differ",
            "",
            "  a        pixels   b        pixels   Jaccard",
            *(_row(entry) for entry in facts["matched"] if entry["counterpart"] is not None),
        ]
        alone = {
            "a": [str(entry["cluster"]) for entry in facts["matched"] if entry["counterpart"] is None],
            "b": [str(at) for at, name in enumerate(self.counterparts[:-1]) if name >= one],
        }
        lines += [f"  only in {run}: {', '.join(clusters)}" for run, clusters in alone.items() if clusters]
        return "\n".join([*lines, "", *_difference(self.recipe)])

    def figure(self, *, theme: ThemeName = "light", width: float = 3.4) -> Figure:
        """Draw both label maps in the same colours, and where they differ.

        Parameters
        ----------
        theme : {"light", "dark"}
            Colours of paper and ink.
        width : float
            Inches of each map.

        Returns
        -------
        matplotlib.figure.Figure
            Three maps side by side.
        """
        from refold.trust.drawing import draw_comparison

        clusters = 1 + max(self.jaccard.size - 1, int(self.counterparts.max(initial=-1)))
        maps = (self.labels, self.matched, self.differs)
        return draw_comparison(*maps, clusters=clusters, share=self.share, theme=theme, width=width)


def compare(a: Any, b: Any, *, memory: int | str | None = None, workers: int | None = None) -> Comparison:
    """Compare two runs of one scan, in one sweep over their labels.

    Parameters
    ----------
    a, b : path-like or xarray.Dataset
        Runs: their stores, or what `refold.run` or `refold.open_run` gave; that may also be two clusterings of one run.
    memory, workers
        As for `refold.run`.

    Returns
    -------
    Comparison
        Adjusted Rand index, ``b``'s labels in ``a``'s numbers, where the two differ, and how their recipes do.

    Raises
    ------
    StoreError
        If one of them is no run, or has no labels yet.
    CubeError
        If they are of different grids.

    Notes
    -----
    Clusters are matched by the Hungarian method on the pixels that they share. Pixels that either run could not use are
    left out; noise is a cluster of its own, and matches noise only.

    Examples
    --------
    >>> import tempfile, refold
    >>> phantom = refold.synthetic.four_d_stem((24, 24), detector=(16, 16), seed=0)
    >>> here = tempfile.mkdtemp()
    >>> options = {"n_components": 6, "embed": "none", "report": False}
    >>> one = refold.run(phantom.cube, store=here + "/one.zarr", **options)
    >>> other = refold.run(phantom.cube, store=here + "/other.zarr", **options, neighbours=3)
    >>> found = compare(one, other)
    >>> found.ari, found.recipe
    (1.0, {'backproject.neighbours': (10, 3)})
    """
    (name_a, run_a), (name_b, run_b) = _opened(a, "a"), _opened(b, "b")
    one, other = _labels(run_a, name_a), _labels(run_b, name_b)
    _check_grids(one, other)
    n_one, n_other = _clusters(run_a), _clusters(run_b)
    other = other.transpose(*one.dims)
    with settings(memory=memory, workers=workers):
        table = contingency(_valid(one, run_a), _valid(other, run_b), n_one, n_other)
    names = match(table)
    matched = _renamed(other, names, one)
    same = sum(int(table[name, at]) for at, name in enumerate(names) if name < n_one)
    total = int(table.sum())
    return Comparison(
        names=(name_a, name_b),
        ari=adjusted_rand_index(table),
        labels=one,
        matched=matched,
        differs=(one != matched).rename("differs"),
        share=(total - same) / max(1, total),
        table=table,
        counterparts=names,
        jaccard=jaccard(table, names),
        recipe=_recipes(run_a, run_b),
    )


def _opened(run: Any, fallback: str) -> tuple[str, xr.Dataset]:
    """A run, and what to call it."""
    dataset = run if isinstance(run, xr.Dataset) else open_run(run)
    added = f" ({dataset.attrs['clustering']})" if "clustering" in dataset.attrs else ""
    return str(dataset.encoding.get("source", fallback)) + added, dataset


def _labels(run: xr.Dataset, name: str) -> xr.DataArray:
    if "labels" not in run:
        raise StoreError(f"{name} without labels", "a run that got as far as that", "finish it with refold.run")
    labels: xr.DataArray = run["labels"]
    return labels


def _check_grids(one: xr.DataArray, other: xr.DataArray) -> None:
    """The same positions, not only as many: a crop elsewhere is another grid."""
    sizes = [dict(labels.sizes) for labels in (one, other)]
    if sizes[0] != sizes[1]:
        raise CubeError(
            f"runs of grids {sizes[0]} and {sizes[1]}", "one grid", "compare runs of the same scan and crop"
        )
    for dim in map(str, one.dims):
        if not np.allclose(one[dim].values, other[dim].values):
            raise CubeError(
                f"other positions along {dim!r}: {_span(one[dim])} and {_span(other[dim])}",
                "the same positions",
                "compare runs of the same scan and crop",
            )


def _span(coordinate: xr.DataArray) -> str:
    return f"{coordinate.values[0]:g} to {coordinate.values[-1]:g}"


def _clusters(run: xr.Dataset) -> int:
    """Clusters of a run; counted where it does not say."""
    return int(run.sizes["cluster"]) if "cluster" in run.sizes else int(run["labels"].max()) + 1


def _valid(labels: xr.DataArray, run: xr.Dataset) -> xr.DataArray:
    """The labels, with pixels marked that the run could not use."""
    if "residual" not in run:
        return labels
    marked: xr.DataArray = xr.where(run["residual"].notnull(), labels, np.int32(INVALID))
    return marked.transpose(*labels.dims)


def _renamed(labels: xr.DataArray, names: npt.NDArray[np.int32], like: xr.DataArray) -> xr.DataArray:
    """A label map in other numbers, lazily."""
    renamed: xr.DataArray = xr.apply_ufunc(
        lambda block: names[block], labels, dask="parallelized", output_dtypes=[np.int32]
    )
    return renamed.assign_coords(like.coords).assign_attrs(like.attrs).rename("labels")


def _recipes(one: xr.Dataset, other: xr.Dataset) -> dict[str, tuple[Any, Any]]:
    """Options that differ, by section and key; none of what the runs may use, which changes nothing in an answer."""
    flat = [dict(_flat(Recipe.from_toml(run.attrs.get("recipe", "")).to_dict())) for run in (one, other)]
    keys = [key for key in dict.fromkeys([*flat[0], *flat[1]]) if not key.startswith("resources.")]
    return {key: (flat[0].get(key), flat[1].get(key)) for key in keys if flat[0].get(key) != flat[1].get(key)}


def _flat(tables: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tables.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _found(clusters: int, noise: int, pixels: int) -> str:
    return f"{plural(clusters, 'cluster')}, {percent(noise / max(1, pixels))} noise"


def _row(entry: Mapping[str, Any]) -> str:
    own, other = (f"{entry[name]:<3} {count(entry[size]):>11}" for name, size in _SIDES)
    return f"  {own}   {other}   {entry['jaccard']:>7.3f}"


def _difference(recipe: Mapping[str, tuple[Any, Any]]) -> list[str]:
    if not recipe:
        return ["recipes are the same"]
    width = max(map(len, recipe))
    shown = {key: [_UNSET if value is None else str(value) for value in values] for key, values in recipe.items()}
    return ["recipes differ in", *(f"  {key:<{width}}   {one}  →  {other}" for key, (one, other) in shown.items())]
