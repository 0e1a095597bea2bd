"""The run: one Zarr v3 store that holds every stage's result, its recipe and its provenance."""

from refold.store.entering import enter, free_disk
from refold.store.fingerprint import identify, stage_fingerprint, versions
from refold.store.reading import open_model, open_run, path_of
from refold.store.run import RunStore, StageRecord
from refold.store.saved import (
    CLUSTERINGS,
    EDITS,
    OWN,
    entry_of_clustering,
    record_of_labels,
    saved_names,
    seal_of,
    sound_name,
)

__all__ = [
    "CLUSTERINGS",
    "EDITS",
    "OWN",
    "RunStore",
    "StageRecord",
    "enter",
    "entry_of_clustering",
    "free_disk",
    "identify",
    "open_model",
    "open_run",
    "path_of",
    "record_of_labels",
    "saved_names",
    "seal_of",
    "sound_name",
    "stage_fingerprint",
    "versions",
]
