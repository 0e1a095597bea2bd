"""The choice of a PCA solver: cheap, and within memory."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from refold.planning.rates import FALLBACK, Rates
from refold.planning.solver import choose_solver, cost_of, incremental_choice, subspace_width


@given(
    st.integers(1, 10**8), st.integers(1, 10**5), st.integers(1, 200), st.integers(10**6, 10**11), st.integers(1, 64)
)
def test_scatter_is_chosen_only_where_it_fits(
    pixels: int, features: int, count: int, memory: int, in_flight: int
) -> None:
    for share in (False, True):
        choice = choose_solver(pixels, features, count, memory, in_flight, share=share)
        if choice.name == "scatter":
            assert choice.state_bytes * in_flight <= memory
        else:
            assert choice.name == "subspace"
            assert 0 < choice.width <= min(pixels, features)


def test_few_features_many_features() -> None:
    assert choose_solver(10**6, 500, 20, 10**9, 3).name == "scatter"
    assert choose_solver(65_536, 4096, 20, 10**9, 3).name == "subspace"
    assert choose_solver(65_536, 4096, 20, 10**9, 3, share=True).name == "scatter"
    assert choose_solver(65_536, 65_536, 20, 10**9, 3, share=True).name == "subspace"


def test_costs_grow_with_the_scan() -> None:
    for name in ("scatter", "subspace", "incremental"):
        small, large = cost_of(name, 1000, 2000, 20), cost_of(name, 2000, 2000, 20)
        assert large.flops == 2 * small.flops
        assert large.state_bytes == small.state_bytes
    assert incremental_choice(10**5, 20).width == subspace_width(20, 10**9, 10**5)


def test_slow_reading_favours_one_sweep() -> None:
    quick = Rates(multiply=100e9, thin=80e9, memory=50e9, decode=20e9)
    slow = Rates(multiply=100e9, thin=80e9, memory=8e9, decode=50e6)
    names = [choose_solver(10**6, 4096, 20, 10**10, 3, rates=rates).name for rates in (quick, slow)]
    assert names == ["subspace", "scatter"]


@given(st.floats(0.9, 1.1), st.floats(0.9, 1.1))
def test_noise_of_the_clock_does_not_decide(faster: float, slower: float) -> None:
    """Rates off by a tenth: the figures that decide stay, or one of them moves by a step."""
    rates = FALLBACK
    shaken = Rates(rates.multiply * faster, rates.thin * slower, rates.memory * faster, rates.decode * slower)
    assert shaken.products_per_value == rates.products_per_value
    assert abs(shaken.fat - rates.fat) <= 0.5


def test_width_fills_what_a_blas_multiplies_at_once() -> None:
    for count in (1, 5, 20, 50):
        assert (subspace_width(count, 10**6, 10**5) + 1) % 16 == 0
        assert subspace_width(count, 10**6, 10**5) >= count + 20
