"""A run on disk. A stage is finished when its record is written, last; what is not finished does not look finished."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
import zarr

from refold.cube import conform, declared
from refold.errors import StoreError, StoreExistsError
from refold.store.disk import METADATA, NOTE, is_run, mended_errors, metadata_of
from refold.store.saved import CLUSTERINGS, EDITS, OWN, places_of, record_of_labels, saved_names

FORMAT = 1
_SHELVES = ("stages", CLUSTERINGS)  # groups that hold nothing but groups


@dataclass(frozen=True)
class StageRecord:
    """What is kept of a finished stage.

    Parameters
    ----------
    fingerprint : str
        What it answers.
    seconds : float
        How long it took.
    sweeps, tasks : int
        Traversals of the scan or of what earlier stages wrote, and their partitions and merges.
    chunks_read, bytes_read : int
        What it read of the scan.
    bytes_written : int
        Before compression.
    peak_memory : int
        Highest resident memory of the process at its end, in bytes.
    notes : dict
        Anything else worth knowing, JSON-ready.
    holds : sequence of str
        Groups and root arrays that are its result.
    follows : str
        Of what is no stage of the pipeline but was made of its result: the stage that it stands and falls with.
    """

    fingerprint: str
    seconds: float = 0.0
    sweeps: int = 0
    tasks: int = 0
    chunks_read: int = 0
    bytes_read: int = 0
    bytes_written: int = 0
    peak_memory: int = 0
    notes: Mapping[str, Any] | None = None
    holds: Sequence[str] = ()
    follows: str = ""


class RunStore:
    """One run on disk: a Zarr v3 group with a group for each stage; the answer itself lies in the root.

    Parameters
    ----------
    path : Path
        Directory of the store.

    Notes
    -----
    The root's metadata is one small file that is replaced in one step. It holds the records of the finished stages
    and, as consolidated metadata, the list of their arrays: readers follow that list, so nothing else is seen. Stages
    write into groups of their own below ``stages``; what is to be the answer is moved into the root when it is whole.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)

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
        partial = path.with_name(f".{path.name}.partial")  # a directory is a run from its first moment
        with mended_errors(path):
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            cls(partial)._replace_root({"format": FORMAT, "stages": {}, **note})
            partial.replace(path)
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
        return cls(path)

    # --- the root's metadata: what is finished ------------------------------------------------------------------------

    @property
    def note(self) -> dict[str, Any]:
        """Everything that is kept with the run: recipe, source, versions, plan, records of finished stages."""
        note: dict[str, Any] = metadata_of(self.path)["attributes"][NOTE]
        return note

    def keep(self, **entries: Any) -> None:
        """Keep entries with the run, replacing those of the same name."""
        with mended_errors(self.path):
            self._replace_root({**self.note, **entries})

    def _replace_root(self, note: Mapping[str, Any]) -> None:
        held = {name for entry in note["stages"].values() for name in entry["holds"]}
        found: dict[str, Any] = {}
        for name in sorted(held | {name.partition("/")[0] for name in held if "/" in name}):
            whole = self.path / name
            files = [whole / METADATA] if name in _SHELVES else sorted(whole.rglob(METADATA))
            found |= {file.parent.relative_to(self.path).as_posix(): json.loads(file.read_text()) for file in files}
        root = {
            "attributes": {NOTE: note},
            "zarr_format": 3,
            "node_type": "group",
            "consolidated_metadata": {"kind": "inline", "must_understand": False, "metadata": found},
        }
        partial = self.path / f".{METADATA}.partial"
        partial.write_text(json.dumps(root), encoding="utf-8")
        partial.replace(self.path / METADATA)

    @property
    def records(self) -> dict[str, StageRecord]:
        """Records of the finished stages, by name."""
        return {name: StageRecord(**entry) for name, entry in self.note["stages"].items()}

    def fingerprint_of_labels(self, clustering: str | None = None) -> str:
        """Fingerprint of the stage that wrote the labels: what stands and falls with them is bound to it.

        Parameters
        ----------
        clustering : str, optional
            A saved clustering; by default, and for ``"run"``, the run's own.

        Raises
        ------
        ParameterError
            If nothing could be called so.
        StoreError
            If there are no such labels.
        """
        stage, stages = record_of_labels(clustering), self.note["stages"]
        if stage not in stages:
            there = [*([OWN] if "labels" in stages else []), *saved_names(self.note)]
            raise StoreError(
                f"no labels of the clustering {clustering or OWN!r} in {self.path}",
                f"one of {', '.join(there)}" if there else "a run with labels",
                "name one of these, or make it: refold run finishes a run, refold cluster adds a clustering",
            )
        return str(stages[stage]["fingerprint"])

    def keep_only(self, fingerprints: Mapping[str, str]) -> list[str]:
        """Forget every stage whose fingerprint is another than given, and what follows it; name those that stay."""
        stages = self.note["stages"]
        same = {name for name, entry in stages.items() if fingerprints.get(name) == entry["fingerprint"]}
        kept = {name: entry for name, entry in stages.items() if name in same or entry.get("follows") in same}
        if kept != stages:
            self.keep(stages=kept)
        return list(kept)

    def forget(self, stage: str) -> None:
        """Forget one stage, and remove what it held."""
        self.keep(stages={name: entry for name, entry in self.note["stages"].items() if name != stage})
        self.clear()

    def clear(self, spare: Collection[str] = ()) -> None:
        """Remove whatever no finished stage holds: forgotten results, and what an unfinished stage may have left.

        What is to be spared is what the next stage goes on with, such as a training that was interrupted. Edits by hand
        stay, of labels that are gone too: they say what they are of, and nothing could make them again.
        """
        held = {name for entry in self.note["stages"].values() for name in entry["holds"]}
        with mended_errors(self.path):
            shelves = {"stages", *(name.partition("/")[0] for name in held if "/" in name)}
            for folder in (self.path, *(self.path / shelf for shelf in shelves)):
                for item in sorted(folder.iterdir()) if folder.is_dir() else []:
                    name = item.relative_to(self.path).as_posix()
                    if item.is_dir() and name not in {*held, *shelves, *spare, EDITS}:
                        shutil.rmtree(item)

    def finish(self, stage: str, record: StageRecord, groups: Sequence[str], answer: str | None = None) -> None:
        """Write the record of a stage: from now on it counts as finished.

        Parameters
        ----------
        stage : str
            Its name.
        record : StageRecord
            What to keep of it.
        groups : sequence of str
            Groups that it may have written.
        answer : str, optional
            Group whose arrays are the run's answer: they are moved into the root.
        """
        with mended_errors(self.path):
            holds = [group for group in groups if (self.path / group).is_dir()]
            if answer is not None:
                holds += self._move_to_root(answer)
            entry = {**asdict(record), "holds": holds}
            self._replace_root({**self.note, "stages": {**self.note["stages"], stage: entry}})

    def _move_to_root(self, group: str) -> list[str]:
        names = sorted(item.name for item in (self.path / group).iterdir() if item.is_dir())
        for name in names:
            if not (self.path / name).exists():  # else it is a coordinate that another answer brought already
                (self.path / group / name).replace(self.path / name)
        shutil.rmtree(self.path / group)
        return names

    def settle(self, name: str, record: StageRecord, group: str) -> None:
        """Move the whole group of a clustering to its place, and write its record: from now on it counts as finished.

        Parameters
        ----------
        name : str
            Of the clustering. One of that name is replaced with the record, in one step, and removed then.
        record : StageRecord
        group : str
            Where it was written.
        """
        stages = dict(self.note["stages"])
        before = stages.pop(record_of_labels(name), {"holds": []})
        first, second = places_of(name)
        place = second if first in before["holds"] else first
        with mended_errors(self.path):
            shutil.rmtree(self.path / place, ignore_errors=True)
            self._enter(place)
            (self.path / group).replace(self.path / place)
            entry = {**asdict(record), "holds": [place]}
            self.keep(stages={**stages, record_of_labels(name): entry})
        self.clear()

    # --- results ------------------------------------------------------------------------------------------------------

    def write(self, group: str, dataset: xr.Dataset) -> None:
        """Write small results, each passed through its declaration where it has one."""
        sound = {str(name): conform(str(name), var) if declared(str(name)) else var for name, var in dataset.items()}
        ready = xr.Dataset(sound, coords=dataset.coords, attrs=dataset.attrs)
        with mended_errors(self.path):
            self._enter(group)
            ready.to_zarr(self.path / group, mode="a", zarr_format=3, consolidated=False)

    def targets(
        self, group: str, templates: Mapping[str, xr.DataArray], chunks: tuple[int, ...], compressors: Any = "auto"
    ) -> dict[str, zarr.Array[Any]]:
        """Create empty arrays for a writer, with dims and coordinates in place.

        Parameters
        ----------
        group : str
            Group of the stage.
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
        names = {name: conform(name, like) if declared(name) else like for name, like in templates.items()}
        empty, encoding = {}, {}
        for name, like in names.items():
            sizes = chunks + tuple(max(1, size) for size in like.shape[len(chunks) :])  # there may be no cluster
            fill = variable.fill if (variable := declared(name)) else 0
            lazy = da.full(like.shape, fill, dtype=like.dtype, chunks=sizes)
            empty[name] = xr.DataArray(lazy, dims=like.dims, coords=like.coords, attrs=like.attrs)
            encoding[name] = {
                "chunks": sizes,
                "compressors": compressors,
                "fill_value": np.asarray(fill, like.dtype).item(),
            }
        with mended_errors(self.path):
            self._enter(group)
            dataset = xr.Dataset(empty)
            lazy_coords = [name for name, coord in dataset.coords.items() if coord.chunks is not None]
            dataset = dataset.assign_coords({name: dataset[name].compute() for name in lazy_coords})  # the rest is not
            dataset.to_zarr(
                self.path / group, mode="a", zarr_format=3, consolidated=False, compute=False, encoding=encoding
            )
            where = zarr.open_group(self.path / group, mode="r+")
        return {name: where[name] for name in names}  # type: ignore[misc]  # arrays, as just created

    def _enter(self, group: str) -> None:
        """See to it that the groups above a group are there; the root is none of them, it has its own writer."""
        for above in reversed(Path(group).parents[:-1]):
            if not (self.path / above / METADATA).exists():
                zarr.create_group(self.path / above, zarr_format=3)

    def read(self, group: str) -> xr.Dataset:
        """Open the results of a stage lazily, its own chunks as Dask chunks; of the root what is finished."""
        dataset: xr.Dataset = xr.open_zarr(self.path / group, consolidated=not group, chunks={})
        return dataset

    def size_of(self, groups: Iterable[str]) -> int:
        """Bytes of what groups and the groups in them hold, before compression; what is not there has none."""
        total = 0
        for file in (file for group in groups for file in (self.path / group).rglob(METADATA)):
            entry = json.loads(file.read_text(encoding="utf-8"))
            if entry["node_type"] == "array":
                total += zarr.open_array(file.parent, mode="r").nbytes
        return total

    def array(self, group: str, name: str) -> zarr.Array[Any]:
        """Open one array of a stage, to be read by the block."""
        return zarr.open_array(self.path / group / name, mode="r")
