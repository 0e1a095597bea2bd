"""Which backend runs, and what is said of it."""

from __future__ import annotations

import pickle

import pytest

from refold.backends import Backend, choose
from refold.errors import BackendError, ParameterError


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_the_cpu_is_always_there(device):
    backend = choose(device)
    assert isinstance(backend, Backend)
    assert backend.name == "cpu"
    assert backend.reason
    assert pickle.loads(pickle.dumps(backend)) == backend


def test_a_gpu_that_is_not_there_is_an_error_that_says_what_was_looked_for():
    with pytest.raises(BackendError, match="cuml") as caught:
        choose("gpu")
    assert "cpu" in caught.value.remedy


def test_auto_says_why():
    assert "GPU" in choose("auto").reason


def test_unknown_devices():
    with pytest.raises(ParameterError, match="tpu"):
        choose("tpu")
