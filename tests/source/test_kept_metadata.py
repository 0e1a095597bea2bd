from __future__ import annotations

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from refold.source.metadata import json_safe, keep_metadata

LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.binary(max_size=5),
    st.just(np.float32(1.5)), st.just(np.array([b"Fe", b"Pt"])), st.just(np.zeros((2, 2))),
    st.lists(st.floats(), max_size=3),
)  # fmt: skip
KEYS = st.sampled_from(
    ["General", "Signal", "Sample", "Acquisition_instrument", "TEM", "Detector", "Stage", "EDS", "title"]
)
TREES = st.recursive(LEAVES, lambda inner: st.dictionaries(KEYS, inner, max_size=4), max_leaves=20)


@given(st.dictionaries(KEYS, TREES, max_size=4))
def test_what_is_kept_is_flat_and_json(tree):
    kept = keep_metadata(tree)
    assert json.loads(json.dumps(kept, allow_nan=False)) == kept
    assert not any(isinstance(value, dict) for value in kept.values())


def test_what_belongs_to_the_scan_is_kept_under_plain_names():
    kept = keep_metadata(
        {
            "General": {"title": "core", "FileIO": {"0": {}}},
            "Sample": {"elements": np.array(["Fe", "Pt"])},
            "Acquisition_instrument": {
                "SEM": {
                    "beam_energy": 4996.0, "beam_energy_units": "V", "Stage": {"tilt_alpha": 1.0},
                    "Detector": {"EDS": {"elevation_angle": 35.0, "camera_length": np.float64(20)}},
                }
            },
        }
    )  # fmt: skip
    assert kept == {
        "title": "core", "elements": ["Fe", "Pt"], "instrument": "SEM", "beam_energy": 4.996, "stage_tilt_alpha": 1.0,
        "detector": "EDS", "eds_elevation_angle": 35.0, "camera_length": 20.0,
    }  # fmt: skip


def test_what_json_cannot_hold_is_left_out():
    assert json_safe(np.nan) is None
    assert json_safe(np.zeros((2, 2))) is None
    assert json_safe(object()) is None
    assert json_safe(list(range(1000))) is None
