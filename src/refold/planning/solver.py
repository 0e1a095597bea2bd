"""Which way to principal components costs least, and what other factorisations cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from refold.planning.rates import FALLBACK, Rates

Name = Literal["scatter", "subspace", "incremental", "noise", "factors", "network"]

_SWEEPS = 3  # that subspace iteration takes, as a rule: one for a start, two for images
_START = 32  # columns that the first of them multiplies by
_BLAS_STEP = 16  # columns that a BLAS multiplies at once
_PANEL = 256  # features that are added to the scatter matrix at once; half of them on the wrong side of the diagonal
_GUESS = 32  # components that a share of the variance may need
_EXACT = 2048  # features up to which data seen once is summed in a scatter matrix
_MANY = 1000  # features below which the scatter matrix costs little whatever else it is compared with


@dataclass(frozen=True)
class SolverChoice:
    """A way to principal components, and what it will cost.

    Parameters
    ----------
    name : {"scatter", "subspace", "incremental", "noise", "factors", "network"}
        The solver; the last three are those of MNF, of NMF and of the autoencoder.
    sweeps : int
        Sweeps that it is expected to make.
    state_bytes : int
        Bytes of one partition's state.
    flops : int
        Floating point operations in all sweeps.
    width : int
        Columns of the subspace; 0 for the scatter matrix.
    """

    name: Name
    sweeps: int
    state_bytes: int
    flops: int
    width: int = 0


def subspace_width(n_components: int, n_pixels: int, n_features: int, oversampling: int | None = None) -> int:
    """Columns of a subspace in which so many components are sought; with one for the mean they fill what a BLAS takes.

    Examples
    --------
    >>> subspace_width(20, 65_536, 4_096), subspace_width(20, 65_536, 4_096, oversampling=10)
    (63, 30)
    """
    if oversampling is None:
        least = n_components + max(20, min(2 * n_components, 40))
        return min(-(-(least + 1) // _BLAS_STEP) * _BLAS_STEP - 1, n_pixels, n_features)
    return min(n_components + oversampling, n_pixels, n_features)


def cost_of(
    name: Name,
    n_pixels: int,
    n_features: int,
    n_components: int,
    oversampling: int | None = None,
    *,
    share: bool = False,
) -> SolverChoice:
    """What a solver will cost.

    Parameters
    ----------
    name : {"scatter", "subspace", "incremental"}
        The solver.
    n_pixels, n_features, n_components : int
        Sizes.
    oversampling : int, optional
        Columns beyond the components.
    share : bool
        Whether a share of the variance is asked for, so that the number of components is not known beforehand.

    Returns
    -------
    SolverChoice
        Its sweeps, bytes and operations.

    Examples
    --------
    >>> cost_of("scatter", 65_536, 4_096, 20).flops
    1099511627776
    """
    values = n_pixels * n_features
    if name == "scatter":
        # half of the matrix in float64, and the rows and the product of a panel in float32
        tile = max(256, min(2048, 4 * n_features))
        state = 4 * n_features * (n_features + 2 * min(_PANEL, n_features) + tile) + 48 * n_features
        return SolverChoice("scatter", 1, state, values * n_features)
    width = subspace_width(min(n_components, _GUESS) if share else n_components, n_pixels, n_features, oversampling)
    if name == "incremental":
        return SolverChoice("incremental", 1, 8 * 3 * n_features * width, 12 * values * width, width)
    state = n_features * (36 * width + 4 * 1056)  # a table of three widths, reduced in float64; a tile of rows
    flops = 4 * values * (_START + (_SWEEPS - 1) * width)
    return SolverChoice("subspace", _SWEEPS, state, flops, width)


def choose_solver(
    n_pixels: int,
    n_features: int,
    n_components: int,
    memory_bytes: int,
    in_flight: int,
    *,
    share: bool = False,
    oversampling: int | None = None,
    rates: Rates = FALLBACK,
) -> SolverChoice:
    """Choose between the scatter matrix and subspace iteration.

    Parameters
    ----------
    n_pixels, n_features, n_components : int
        Sizes.
    memory_bytes : int
        What all states may take together.
    in_flight : int
        States alive at once: partitions in flight, and one more for the merge.
    share : bool
        Whether a share of the variance is asked for, so that the number of components is not known beforehand.
    oversampling : int, optional
        Columns of the subspace beyond the components.
    rates : Rates
        Of the machine. They are rounded coarsely first, so that the choice is the same whenever they were measured.

    Returns
    -------
    SolverChoice
        The scatter matrix where it fits in memory and is the cheaper one (or the number of components is not known);
        else subspace iteration.

    Examples
    --------
    >>> choose_solver(65_536, 256, 20, 10**9, 3).name, choose_solver(65_536, 4_096, 20, 10**9, 3).name
    ('scatter', 'subspace')
    """
    scatter = cost_of("scatter", n_pixels, n_features, n_components, oversampling)
    subspace = cost_of("subspace", n_pixels, n_features, n_components, oversampling, share=share)
    # Merging and solving hold one matrix more in float64.
    fits = scatter.state_bytes * in_flight + 8 * n_features**2 <= memory_bytes
    reading = rates.products_per_value * n_pixels * n_features
    formed = (scatter.flops + n_pixels * n_features * _PANEL) / rates.fat
    cheap = formed + reading <= subspace.flops + reading * subspace.sweeps
    if fits and (share or cheap or n_features <= _MANY):
        return scatter
    return subspace


def incremental_choice(n_features: int, n_components: int, oversampling: int | None = None) -> SolverChoice:
    """What is kept of data seen once: the scatter matrix while features are few, else a thin table.

    Parameters
    ----------
    n_features, n_components : int
        Sizes.
    oversampling : int, optional
        Columns beyond the components.

    Returns
    -------
    SolverChoice
        For each pixel seen, one.

    Examples
    --------
    >>> incremental_choice(500, 20).name, incremental_choice(50_000, 20).name
    ('scatter', 'incremental')
    """
    return cost_of(
        "scatter" if n_features <= _EXACT else "incremental", 1 << 62, n_features, n_components, oversampling
    )


def cost_of_noise(n_pixels: int, n_features: int) -> SolverChoice:
    """What minimum noise fraction costs: the scatter of the data and that of their differences, in one sweep.

    Parameters
    ----------
    n_pixels, n_features : int
        Sizes.

    Returns
    -------
    SolverChoice
        Of one sweep.

    Examples
    --------
    >>> cost_of_noise(1000, 10).flops
    200000
    """
    scatter = cost_of("scatter", n_pixels, n_features, n_features)
    return SolverChoice("noise", 1, 2 * scatter.state_bytes, 2 * scatter.flops)


def cost_of_factors(n_pixels: int, n_features: int, n_components: int, sweeps: int) -> SolverChoice:
    """What a factorisation by alternating updates costs, a sweep for each.

    Parameters
    ----------
    n_pixels, n_features, n_components : int
        Sizes.
    sweeps : int
        How many are expected.

    Returns
    -------
    SolverChoice
        Of all sweeps.

    Examples
    --------
    >>> cost_of_factors(1000, 10, 2, sweeps=30).sweeps
    30
    """
    state = 8 * n_components * (n_components + n_features)
    return SolverChoice("factors", sweeps, state, 4 * n_pixels * n_features * n_components * sweeps, n_components)
