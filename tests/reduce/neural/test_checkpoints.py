"""Laws of checkpoints: what was saved comes back to the bit; what was harmed is refused, and left as it is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from refold.errors import StoreError
from refold.reduce.neural.checkpoints import Checkpoints
from refold.reduce.neural.layers import Shape, first_weights
from refold.reduce.neural.progressing import Plan, Progressed

pytest.importorskip("safetensors", reason="no safetensors, which checkpoints are written with")

SHAPE = Shape(6, (4,), 2, variational=True)


def reached(epochs: int = 2) -> Progressed:
    progressed = Progressed.beginning(first_weights(SHAPE, 0))
    for epoch in range(epochs):
        arrays = {part: first_weights(SHAPE, epoch) for part in ("weights", "first", "second")}
        progressed = progressed.after((1 / (epoch + 3), 0.1 * (epoch + 1)), epoch * 7, **arrays)
    return progressed


def test_comes_back_to_the_bit(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path, "one", SHAPE)
    assert kept.load() is None
    for epochs in (1, 2, 3):
        kept.save(reached(epochs))
    again, expected = kept.load(), reached(3)
    assert again is not None
    assert (again.history, again.steps, again.best_epoch) == (expected.history, expected.steps, 0)
    for part in ("weights", "best", "first", "second"):
        for name, value in getattr(expected, part).items():
            np.testing.assert_array_equal(getattr(again, part)[name], value)
    assert sorted(path.suffix for path in kept.path.iterdir()) == [".json", ".safetensors"]


@pytest.mark.parametrize("harm", ["flip", "cut", "gone", "note", "half a note", "other network", "newer"])
def test_what_was_harmed_is_refused_and_left_alone(harm: str, tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path, "one", SHAPE)
    kept.save(reached())
    (numbers,), note = kept.path.glob("*.safetensors"), kept.path / "training.json"
    data, text = numbers.read_bytes(), note.read_text()
    if harm == "flip":
        numbers.write_bytes(data[:-3] + bytes([data[-3] ^ 1]) + data[-2:])
    elif harm == "cut":
        numbers.write_bytes(data[: len(data) // 2])
    elif harm == "gone":
        numbers.unlink()
    elif harm == "half a note":
        note.write_text(text[: len(text) // 2])
    elif harm == "other network":
        kept = Checkpoints(tmp_path, "one", Shape(6, (5,), 2, variational=True))
    else:
        changed = json.loads(text)
        changed["format" if harm == "newer" else "steps"] = 99
        note.write_text(json.dumps(changed))
    before = {path.name: path.read_bytes() for path in kept.path.iterdir()}
    with pytest.raises(StoreError, match="remove that folder"):
        kept.load()
    assert {path.name: path.read_bytes() for path in kept.path.iterdir()} == before


def test_a_write_that_was_cut_short_leaves_what_was_there(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path, "one", SHAPE)
    kept.save(reached(1))
    (kept.path / ".epoch-00002.safetensors.partial").write_bytes(b"half of it")
    (kept.path / "epoch-00002.safetensors").write_bytes(b"whole, but the note was not written")
    again = kept.load()
    assert again is not None
    assert len(again.history) == 1


def test_the_learning_rate_follows_from_the_history() -> None:
    def plan(schedule: str, patience: int | None = 6) -> Plan:
        return Plan(10, patience, 0.01, 1.0, schedule, 0, 0, 0, 0, "relu", 0)

    falling = [(1.0, 1.0 / (epoch + 1)) for epoch in range(5)]
    flat = [(1.0, 1.0)] * 7
    assert plan("constant").rate(flat) == plan("plateau").rate(falling) == 1.0
    assert plan("plateau").rate(flat[:3]) == 0.5
    assert plan("plateau").rate(flat) == 0.125
    assert plan("cosine").rate(flat[:5]) == pytest.approx(0.5)
    assert plan("constant").is_over(flat)
    assert not plan("constant").is_over(flat[:6])
    assert not plan("constant", None).is_over(flat)
    assert not plan("constant").is_over([*flat[:5], (1.0, 0.5)])
