"""Training kept on disk after each epoch: numbers in safetensors, the rest in JSON, nothing that could be code."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from refold.engine import MomentsResult, SampleResult, pixel_keys
from refold.errors import StoreError
from refold.reduce.neural.finishing import seal_of
from refold.reduce.neural.layers import Shape, Weights
from refold.reduce.neural.progressing import Progressed

FORMAT = 1
_NOTE = "training.json"
_PIXELS = 64  # by which data are known; the least that are drawn
_PARTS = ("weights", "best", "first", "second")


def identity_of(facts: Mapping[str, Any]) -> str:
    """Sixteen letters that say which training this is, from all that decides on it.

    Examples
    --------
    >>> identity_of({"epochs": 3}) == identity_of({"epochs": 3}), identity_of({"epochs": 3}) == identity_of({})
    (True, False)
    """
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:16]


class Checkpoints:
    """What a training has come to, in a folder of its own.

    Parameters
    ----------
    folder : path-like
        May hold several trainings.
    identity : str
        Which of them this is, from `identity_of`.
    shape : Shape
        Of the network.

    Notes
    -----
    Numbers are written under a name that was not there before, then the note that names them, and gives their SHA-256,
    replaces the last one in one step. Whatever interrupts this, the note names a file that is whole.
    """

    def __init__(self, folder: str | Path, identity: str, shape: Shape) -> None:
        self.path = Path(folder) / identity
        self.identity = identity
        self.shape = shape

    @classmethod
    def of(
        cls,
        folder: str | Path,
        shape: Shape,
        told: Mapping[str, Any],
        data: tuple[MomentsResult, SampleResult],
        seed: int,
    ) -> Checkpoints:
        """Those of a training that was told so, on data with these extremes, which are never rounded, and these pixels.

        Parameters
        ----------
        folder : path-like
            May hold several trainings.
        shape : Shape
            Of the network.
        told : mapping
            All options that decide on what is learnt.
        data : MomentsResult and SampleResult
            What is known of it. Extremes alone are the same for any two scans of few features that go from 0 to 255.
        seed : int
            By which the sample was drawn.

        Returns
        -------
        Checkpoints
            In a folder of their own.
        """
        sums, sample = data
        first = np.argsort(pixel_keys(sample.pixels, seed), kind="stable")[-_PIXELS:]  # drawn whatever the memory
        seal = seal_of(sums.minimum, sums.maximum, sample.rows[np.sort(first)])
        facts = {**told, "pixels": [sums.n_pixels, sums.count], "data": seal, "torch": version("torch")}
        return cls(folder, identity_of(facts), shape)

    def save(self, reached: Progressed) -> None:
        """Write what was reached.

        Raises
        ------
        StoreError
            If it cannot be written.
        """
        from safetensors.numpy import save

        arrays = {f"{part}/{name}": value for part in _PARTS for name, value in getattr(reached, part).items()}
        data = save(arrays)
        name = f"epoch-{len(reached.history):05}.safetensors"
        note: dict[str, Any] = {
            "format": FORMAT,
            "identity": self.identity,
            "steps": reached.steps,
            "history": [list(epoch) for epoch in reached.history],
            "file": name,
            "sha256": hashlib.sha256(data).hexdigest(),
        }
        text = json.dumps({**note, "seal": _seal(note)}, indent=1)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            _write(self.path / name, data)
            _write(self.path / _NOTE, text.encode())
            for old in self.path.glob("epoch-*.safetensors"):
                if old.name != name:
                    old.unlink()
        except OSError as error:
            raise StoreError(
                f"{self.path}: {error.strerror or error}", "a folder for checkpoints", "free space, or choose another"
            ) from error

    def load(self) -> Progressed | None:
        """What was reached, if there is anything.

        Returns
        -------
        Progressed or None
            None where nothing was saved.

        Raises
        ------
        StoreError
            If what is there was cut short or changed; nothing is touched.
        """
        try:
            note = json.loads((self.path / _NOTE).read_text(encoding="utf-8"))
            if not isinstance(note, dict) or note.pop("seal", None) != _seal(note):
                raise self._broken(f"{_NOTE} that is not as it was written")
            if note["format"] != FORMAT:
                raise self._broken(f"format {note['format']}, by another version of Refold")
            data = (self.path / note["file"]).read_bytes()
        except FileNotFoundError as error:
            if Path(str(error.filename)).name == _NOTE:
                return None
            raise self._broken("a note whose numbers are gone") from error
        except ValueError as error:
            raise self._broken(f"{_NOTE} that is no JSON") from error
        if hashlib.sha256(data).hexdigest() != note["sha256"]:
            raise self._broken(f"{note['file']} that is not as it was written")
        return self._taken(note, data)

    def _taken(self, note: Mapping[str, Any], data: bytes) -> Progressed:
        from safetensors.numpy import load

        arrays = load(data)
        parts: dict[str, Weights] = {part: {} for part in _PARTS}
        for part, found in parts.items():
            for name, size in self.shape.sizes.items():
                value = arrays.get(f"{part}/{name}")
                if value is None or value.shape != size:
                    raise self._broken(f"{note['file']} with numbers of another network")
                found[name] = value
        history = tuple((float(learnt), float(judged)) for learnt, judged in note["history"])
        return Progressed(**parts, steps=int(note["steps"]), history=history)

    def _broken(self, what: str) -> StoreError:
        return StoreError(
            f"in {self.path} a {what}",
            "a checkpoint as training wrote it",
            "remove that folder, and training begins anew; or put back what was there",
        )


def _seal(note: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(note, sort_keys=True).encode()).hexdigest()


def _write(path: Path, data: bytes) -> None:
    """Write a file that is either whole or not there."""
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
