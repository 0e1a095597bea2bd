"""The choice of a PCA solver: cheap, and within memory."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

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
