"""Spectra of clusters as text: CSV, a column each, or EMSA/MAS files, one each."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import xarray as xr

from refold.errors import CubeError, ParameterError
from refold.phases.clusters import Cluster, file_names
from refold.phases.spectra import Statistic, mean_of_cube, spectra_of
from refold.report.calibration import Axis
from refold.report.whole import whole_files

Format = Literal["csv", "msa"]

_DIGITS = ".9g"  # all of a float32
_ENERGIES = {"keV": "EDS", "eV": "EELS"}  # as which spectra over such an axis are marked


def export_spectra(
    run: xr.Dataset,
    path: str | os.PathLike[str],
    *,
    format: Format | None = None,
    clusters: Iterable[int | str] | None = None,
    statistic: Statistic = "mean",
    deviations: bool = False,
    cube: str | None = None,
    signal_type: str | None = None,
    overwrite: bool = False,
) -> tuple[Path, ...]:
    """Write the spectra of clusters as text, for other programs.

    Parameters
    ----------
    run : xarray.Dataset
        A run with `cluster_mean`, as `refold.open_run` gives it, or as edited.
    path : path-like
        For CSV the new file, for MSA a folder, which is made where it is not there.
    format : {"csv", "msa"}, optional
        By default ``"csv"`` for a path that ends so, else ``"msa"``.
    clusters : iterable of int or str, optional
        Numbers or names; by default all that have a pixel.
    statistic : {"mean", "sum"}
        Of the pixels of each.
    deviations : bool
        Whether to add a column with the standard deviation to each mean, in a CSV.
    cube : str, optional
        Of a run of several cubes the one to take; by default the first by name.
    signal_type : str, optional
        As EMSA/MAS files name it, such as ``"EDS"`` or ``"EELS"``; by default by the unit of the energy, keV or eV.
    overwrite : bool
        Whether files of the same names may go, once the new ones are whole.

    Returns
    -------
    tuple of Path
        The files: the CSV, or ``cluster_0.msa``, ``1_quartz.msa``, ...

    Raises
    ------
    CubeError
        If signals are not spectra; or, for MSA, their axis is uneven.
    ParameterError
        If the format is neither, or there is no such cluster.
    VariableError
        If the run has no mean spectra; or no deviations, where they are asked for.
    StoreExistsError
        If one of the files is there already; then none is written.
    DiskFullError, StoreError
        If they cannot be written.

    Notes
    -----
    RosettaSciIO writes the MSA files, in two columns, energy and intensity, with six digits each.

    Examples
    --------
    >>> import refold
    >>> run = refold.open_run("scan.run.zarr")  # doctest: +SKIP
    >>> refold.export_spectra(run, "spectra.csv")  # doctest: +SKIP
    >>> refold.export_spectra(run, "spectra", clusters=["quartz"], statistic="sum")  # doctest: +SKIP
    """
    path = Path(path)
    kind = _format_of(path, format)
    if deviations and (kind != "csv" or statistic != "mean"):
        raise ParameterError(f"deviations for {statistic}s as {kind}", "means as CSV", "leave deviations out")
    taken, spectra = spectra_of(run, clusters, statistic=statistic, cube=cube)
    axis = _axis_of(spectra)
    if kind == "csv":
        spread = _deviations(run, cube, taken) if deviations else None
        with whole_files([path], overwrite=overwrite) as (place,):
            _write_csv(place, axis, taken, spectra.values.reshape(len(taken), -1), spread)
        return (path,)
    if axis.step is None and len(axis.values) > 1:
        raise CubeError(f"an uneven axis {axis.name}", "an even one, as MSA has no others", "write a CSV")
    paths = tuple(path / name for name in file_names(taken, ".msa"))
    if not paths:
        return ()
    kind_of_signal = signal_type or _ENERGIES.get(axis.unit, "")
    with whole_files(paths, overwrite=overwrite) as places:
        for place, cluster, values in zip(places, taken, spectra.values.reshape(len(taken), -1), strict=True):
            _write_msa(place, axis, cluster, values, kind_of_signal)
    return paths


def _format_of(path: Path, given: str | None) -> Format:
    if given is None:
        return "csv" if path.suffix.lower() == ".csv" else "msa"
    if given not in get_args(Format):
        raise ParameterError(f"format={given!r}", "'csv' or 'msa'", "choose one of them")
    return given  # type: ignore[return-value] # just checked


def _axis_of(spectra: xr.DataArray) -> Axis:
    dims = [str(dim) for dim in spectra.dims[1:] if spectra.sizes[dim] > 1] or [str(dim) for dim in spectra.dims[1:]]
    if len(dims) != 1:
        raise CubeError(
            f"mean signals along {tuple(dims)}",
            "spectra, which have one dim",
            "write the run as a signal of HyperSpy, or name a cube of spectra with cube=…",
        )
    (dim,) = dims
    known = [name for name, coord in spectra.coords.items() if coord.dims == (dim,) and name != dim]
    if dim.partition("_")[0] == "feature" and len(known) == 1 and spectra[known[0]].dtype.kind in "iuf":
        return Axis.of(spectra.swap_dims({dim: known[0]}), str(known[0]))
    return Axis.of(spectra, dim)


def _deviations(run: xr.Dataset, cube: str | None, taken: tuple[Cluster, ...]) -> Any:
    from refold.errors import VariableError
    from refold.report.tally import clusters_of

    name = mean_of_cube(run, cube, "cluster_std")
    if name not in run:
        raise VariableError(f"a run without {name}", "the deviations of its clusters", "leave deviations out")
    found = run[name].transpose("cluster", ...)
    places = clusters_of(found)
    return found.isel(cluster=[places.index(cluster.number) for cluster in taken]).values.reshape(len(taken), -1)


def _write_csv(place: Path, axis: Axis, taken: tuple[Cluster, ...], values: Any, spread: Any) -> None:
    names = [cluster.name for cluster in taken]
    titles = [
        name if names.count(name) == 1 else f"{name} ({cluster.number})"
        for name, cluster in zip(names, taken, strict=True)
    ]
    columns = list(values)
    if spread is not None:
        titles = [text for title in titles for text in (title, f"{title} deviation")]
        columns = [column for pair in zip(values, spread, strict=True) for column in pair]
    with place.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([axis.label, *titles])
        for x, *row in zip(axis.values.tolist(), *(np.asarray(column).tolist() for column in columns), strict=True):
            writer.writerow([repr(x), *(format(value, _DIGITS) for value in row)])


def _write_msa(place: Path, axis: Axis, cluster: Cluster, values: Any, signal_type: str) -> None:
    from rsciio.msa import file_writer

    step = float(axis.values[-1] - axis.values[0]) / max(len(axis.values) - 1, 1) or 1.0
    said = {"size": len(values), "scale": step, "offset": float(axis.values[0]), "name": axis.name, "units": axis.unit}
    metadata = {"General": {"title": _title(cluster.name)}, "Signal": {"signal_type": signal_type}}
    signal = {"data": np.asarray(values), "axes": [said], "metadata": metadata, "original_metadata": {}}
    file_writer(str(place), signal, format="XY")


def _title(name: str) -> str:
    """A name as one line, in letters that such files hold, without what ends a keyword."""
    return " ".join(name.split()).replace(": ", ":").encode("latin-1", "replace").decode("latin-1")
