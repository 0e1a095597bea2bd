"""A run on disk. A stage is finished when its record is written, last; what is not finished does not look finished."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
import zarr

from refold.cube import conform
from refold.cube.variables import VARIABLES
from refold.errors import DiskFullError, StoreError, StoreExistsError

FORMAT = 1
_NOTE = "refold"


@dataclass(frozen=True)
class StageRecord:
    """What is kept of a finished stage.

    Parameters
    ----------
    fingerprint : str
        What it answers.
    seconds : float
        How long it took.
    sweeps, chunks_read, bytes_read : int
        What it read of the scan.
    peak_memory : int
        Highest resident memory of the process at its end, in bytes.
    notes : dict
        Anything else worth knowing, JSON-ready.
    """

    fingerprint: str
    seconds: float = 0.0
    sweeps: int = 0
    chunks_read: int = 0
    bytes_read: int = 0
    peak_memory: int = 0
    notes: Mapping[str, Any] | None = None


class RunStore:
    """One run on disk: a Zarr v3 group with a group for each stage; the answer itself lies in the root.

    Parameters
    ----------
    path : Path
        Directory of the store.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.root = zarr.open_group(self.path, mode="r+", zarr_format=3)

    @classmethod
    def create(cls, path: str | Path, note: Mapping[str, Any]) -> RunStore:
        """Start a new run.

        Parameters
        ----------
        path : path-like
            Where; nothing must be there.
        note : mapping
            What to keep with the run from the start: source, versions. JSON-ready.

        Returns
        -------
        RunStore
            The empty run.

        Raises
        ------
        StoreExistsError
            If something is there already.
        StoreError
            If nothing can be written there.
        """
        path = Path(path)
        if path.exists():
            raise StoreExistsError(f"{path}, which exists", "a path where nothing is", "choose another output")
        with mended_errors(path):
            group = zarr.create_group(path, zarr_format=3)
            group.attrs[_NOTE] = {"format": FORMAT, "stages": {}, **note}
        return cls(path)

    @classmethod
    def open(cls, path: str | Path) -> RunStore:
        """Open a run that is there.

        Raises
        ------
        StoreError
            If there is none, or what is there is no run of Refold.
        """
        path = Path(path)
        if not path.exists():
            raise StoreError(f"nothing at {path}", "a run's store", "check the path, or make a run with refold run")
        if not is_run(path):
            raise StoreExistsError(f"{path}, which is not a run of Refold", "a run's store", "choose another path")
        with mended_errors(path):
            return cls(path)

    @property
    def note(self) -> dict[str, Any]:
        """Everything that is kept with the run: recipe, source, versions, plan, records of finished stages."""
        note: dict[str, Any] = dict(self.root.attrs.asdict()[_NOTE])  # type: ignore[arg-type]  # JSON, ours
        return note

    def keep(self, **entries: Any) -> None:
        """Keep entries with the run, replacing those of the same name."""
        with mended_errors(self.path):
            self.root.attrs[_NOTE] = {**self.note, **entries}

    def record(self, stage: str) -> StageRecord | None:
        """The record of a stage, or None where it is not finished."""
        entry = self.note["stages"].get(stage)
        return StageRecord(**entry) if entry else None

    def keep_only(self, fingerprints: Mapping[str, str]) -> list[str]:
        """Forget every stage whose fingerprint is another than given, and name those that stay."""
        stages = self.note["stages"]
        kept = {name: entry for name, entry in stages.items() if fingerprints.get(name) == entry["fingerprint"]}
        if kept != stages:
            self.keep(stages=kept)
        return list(kept)

    def begin(self, group: str, variables: tuple[str, ...] = ()) -> None:
        """Remove what an unfinished stage may have left: a whole group, or some variables of the root."""
        with mended_errors(self.path):
            for name in [group] if group else variables:
                shutil.rmtree(self.path / name, ignore_errors=False) if (self.path / name).exists() else None

    def finish(self, stage: str, record: StageRecord) -> None:
        """Write the record of a stage: from now on it counts as finished."""
        self.keep(stages={**self.note["stages"], stage: asdict(record)})

    def write(self, group: str, dataset: xr.Dataset) -> None:
        """Write small results, each passed through its declaration where it has one."""
        declared = {str(name): conform(str(name), var) if name in VARIABLES else var for name, var in dataset.items()}
        ready = xr.Dataset(declared, coords=dataset.coords, attrs=dataset.attrs)
        with mended_errors(self.path):
            ready.to_zarr(self.path, group=group or None, mode="a", zarr_format=3, consolidated=False)

    def targets(
        self, group: str, templates: Mapping[str, xr.DataArray], chunks: tuple[int, ...], compressors: Any = "auto"
    ) -> dict[str, zarr.Array[Any]]:
        """Create empty arrays for a writer, with dims and coordinates in place.

        Parameters
        ----------
        group : str
            Group of the stage; empty for the root.
        templates : mapping of str to xarray.DataArray
            Dims, shape, dtype and coordinates of each array; their values are not looked at.
        chunks : tuple of int
            Chunk size along the navigation dims, from `Grid.target_chunks`; the other dims are whole.
        compressors
            As for `zarr.create_array`.

        Returns
        -------
        dict of str to zarr.Array
            Ready to be written, block by block.
        """
        names = {name: conform(name, like) if name in VARIABLES else like for name, like in templates.items()}
        empty, encoding = {}, {}
        for name, like in names.items():
            sizes = chunks + like.shape[len(chunks) :]
            fill = VARIABLES[name].fill if name in VARIABLES else 0
            lazy = da.full(like.shape, fill, dtype=like.dtype, chunks=sizes)
            empty[name] = xr.DataArray(lazy, dims=like.dims, coords=like.coords, attrs=like.attrs)
            encoding[name] = {
                "chunks": sizes,
                "compressors": compressors,
                "fill_value": np.asarray(fill, like.dtype).item(),
            }
        with mended_errors(self.path):
            dataset = xr.Dataset(empty)
            dataset.to_zarr(
                self.path,
                group=group or None,
                mode="a",
                zarr_format=3,
                consolidated=False,
                compute=False,
                encoding=encoding,
            )
            where = zarr.open_group(self.path / group, mode="r+")
        return {name: where[name] for name in names}  # type: ignore[misc]  # arrays, as just created

    def read(self, group: str) -> xr.Dataset:
        """Open the results of a stage lazily, its own chunks as Dask chunks."""
        return xr.open_zarr(self.path, group=group or None, consolidated=False, chunks={})

    def array(self, group: str, name: str) -> zarr.Array[Any]:
        """Open one array of a stage, to be read by the block."""
        return self.root[f"{group}/{name}" if group else name]  # type: ignore[return-value]  # we wrote an array there


def is_run(path: Path) -> bool:
    """Whether a run of Refold is there."""
    if not (path / "zarr.json").is_file():
        return False
    return _NOTE in zarr.open_group(path, mode="r").attrs


@contextmanager
def mended_errors(path: Path) -> Iterator[None]:
    """Say in our words what the operating system refused."""
    try:
        yield
    except StoreError:
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(
                f"a full disk while writing {path}",
                "room for the run; refold plan says how much",
                "free some, and start the run again: it goes on where it stopped",
            ) from error
        raise StoreError(
            f"{error.strerror or error} at {path}", "a place that can be written", "check the path and its permissions"
        ) from error
