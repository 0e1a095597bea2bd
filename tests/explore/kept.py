"""Runs made by hand, on disk: what the explorer opens, without running anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import xarray as xr

from refold.store import RunStore, StageRecord
from tests.report.made import RECIPE, SOURCE, make_run

_GROUP = "stages/labels"


def keep(run: xr.Dataset, path: Path) -> Path:
    """Write a run into a store of its own, as one stage; as in a real one, what is unusable has no place anywhere."""
    known = run.residual.notnull()
    places = {name: run[name].where(known) for name in ("embedding", "scores") if name in run}
    run = run.assign({name: place.transpose(*run[name].dims) for name, place in places.items()})
    store = RunStore.create(path, {"recipe": RECIPE, "source": SOURCE})
    store.write(_GROUP, run)
    store.finish("labels", StageRecord("made by hand"), [], answer=_GROUP)
    return path


def make_kept(path: Path, *args: Any, **options: Any) -> Path:
    """Make a run and keep it; see `make_run`."""
    return keep(make_run(*args, **options), path)
