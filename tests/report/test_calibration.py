from __future__ import annotations

import math

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from refold.report.calibration import Axis, area, nice_length, pretty_unit, scale_bar, ticks


def axis(values, unit=None):
    attrs = {} if unit is None else {"units": unit}
    array = xr.DataArray(np.zeros(len(values)), dims="x", coords={"x": ("x", np.asarray(values), attrs)})
    return Axis.of(array, "x")


@given(st.floats(1e-12, 1e12))
@settings(max_examples=100)
def test_nice_length_is_one_two_or_five_and_the_longest(limit):
    length = nice_length(limit)
    mantissa = length / 10 ** math.floor(math.log10(length) + 1e-9)
    assert min(abs(mantissa - digit) for digit in (1, 2, 5)) < 1e-6
    assert length <= limit * (1 + 1e-9) < length * 2.5 * (1 + 1e-6)


@given(st.floats(1e-3, 1e3), st.integers(2, 5000), st.sampled_from(["nm", "um", "Å", "m", "deg"]))
@settings(max_examples=60)
def test_scale_bar_is_as_long_as_it_says(step, pixels, unit):
    one = axis(np.arange(pixels) * step, unit)
    length, text = scale_bar(one, pixels)
    number, said = text.split(" ")
    metres = {"pm": 1e-12, "nm": 1e-9, "µm": 1e-6, "mm": 1e-3, "m": 1.0, "km": 1e3}
    ratio = metres[said] / metres[one.unit] if said in metres else 1.0
    assert length * one.step == pytest.approx(float(number) * ratio, rel=1e-6)
    assert float(number) / 10 ** math.floor(math.log10(float(number)) + 1e-9) == pytest.approx(
        min((1, 2, 5), key=lambda d: abs(d - float(number) / 10 ** math.floor(math.log10(float(number)) + 1e-9)))
    )
    assert 0.1 * pixels < length <= 0.3 * pixels * 1.001


def test_scale_bar_changes_to_the_unit_people_would_say():
    assert scale_bar(axis(np.arange(1000) * 20.0, "nm"), 1000)[1] == "5 µm"
    assert scale_bar(axis(np.arange(20) * 1e-3, "µm"), 20)[1] == "5 nm"


def test_scale_bar_without_a_unit_counts_pixels():
    assert scale_bar(axis(np.arange(100)), 100) == (20.0, "20 px")
    assert scale_bar(axis(np.arange(100), "<undefined>"), 100) == (20.0, "20 px")
    assert scale_bar(axis([0.0, 1.0, 5.0, 6.0], "nm"), 4)[1] == "1 px"  # uneven: no one length for all


def test_units_are_written_as_printed():
    assert [pretty_unit(u) for u in ("$A^{-1}$", "1/Å", "nm^-1", "1/nm", "μm", "pix", "eV", " ")] == [
        "Å⁻¹", "Å⁻¹", "nm⁻¹", "nm⁻¹", "µm", "", "eV", "",
    ]  # fmt: skip


def test_ticks_of_a_falling_axis_stand_in_array_order():
    rising, texts = ticks(axis(np.linspace(0, 10, 11)))
    falling, texts_down = ticks(axis(np.linspace(10, 0, 11)))
    assert dict(zip(texts, rising, strict=True)) == {t: 10 - p for t, p in zip(texts_down, falling, strict=True)}


@pytest.mark.parametrize("values", [[3.0], [1.0, 5.0, 2.0], [2.0, 2.0, 2.0], [1e-9, 2e-9, 3e-9], [1e9, 2e9]])
def test_ticks_of_any_axis_lie_on_it(values):
    positions, texts = ticks(axis(values))
    assert len(positions) == len(texts) > 0
    assert min(positions) >= 0
    assert max(positions) <= len(values) - 1


def test_a_coordinate_that_is_no_number_is_counted():
    array = xr.DataArray(np.zeros(2), dims="x", coords={"x": ["a", "b"]})
    assert Axis.of(array, "x").values.tolist() == [0, 1]
    assert Axis.of(axis_array := xr.DataArray(np.zeros(2), dims="x", coords={"x": [np.nan, 1.0]}), "x").unit == ""
    assert axis_array.sizes["x"] == 2


def test_area_needs_two_lengths():
    nm, um = axis(np.arange(10) * 2.0, "nm"), axis(np.arange(10), "um")
    assert area([nm, nm], 10) == "40 nm²"
    assert area([um, um], 3_000_000) == "3 mm²"
    assert area([nm, um], 10) == area([nm], 10) == area([axis(np.arange(3))] * 2, 10) == ""
