"""The rates of this machine: measured once, kept, and never in the way."""

from __future__ import annotations

import json

import pytest

from refold.engine import machine
from refold.planning.rates import FALLBACK, Rates

SOME = Rates(multiply=1e11, thin=8e10, memory=1e10, decode=2e9)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("REFOLD_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("REFOLD_RATES", raising=False)
    machine.machine_rates.cache_clear()
    yield tmp_path / "cache"
    machine.machine_rates.cache_clear()


def test_the_first_measurement_stands(folder, monkeypatch):
    monkeypatch.setattr(machine, "measure_rates", lambda: SOME)
    assert machine.machine_rates() == SOME
    monkeypatch.setattr(machine, "measure_rates", lambda: pytest.fail("measured twice"))
    machine.machine_rates.cache_clear()
    assert machine.machine_rates() == SOME
    (path,) = folder.iterdir()
    machine._keep(path, FALLBACK)  # another process that measured at the same time
    assert [json.loads(kept.read_text())["thin"] for kept in folder.iterdir()] == [8e10]


@pytest.mark.parametrize("broken", ["", "[]", "{}", '{"multiply": 1}', '{"multiply": "x"}'])
def test_a_broken_file_is_replaced(folder, monkeypatch, broken):
    monkeypatch.setattr(machine, "measure_rates", lambda: SOME)
    machine.machine_rates()
    (path,) = folder.iterdir()
    path.write_text(broken)
    machine.machine_rates.cache_clear()
    assert machine.machine_rates() == SOME


def test_what_cannot_be_kept_is_not_used(folder, monkeypatch):
    folder.parent.mkdir(exist_ok=True)
    folder.write_text("a file where the folder should be")
    monkeypatch.setattr(machine, "measure_rates", lambda: pytest.fail("measured in vain"))
    assert machine.machine_rates() == FALLBACK


def test_fixed_rates_on_request(folder, monkeypatch):
    monkeypatch.setenv("REFOLD_RATES", "fixed")
    assert machine.machine_rates() == FALLBACK
    assert not folder.exists()


def test_measuring_gives_plausible_rates():
    rates = machine.measure_rates()
    assert rates.multiply > 1e8
    assert rates.thin > 1e8
    assert rates.memory > 1e7
    assert rates.decode > 1e6
