"""Leading components by block Krylov iteration: one sweep an iteration, and a thin state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt

from refold.reduce.leading import Leading, share_count

Vector = npt.NDArray[np.float64]
Operator = Callable[[Vector], tuple[Vector, Vector]]
"""Takes directions (feature, column), gives them as they were rounded, and their image."""

_AHEAD = 11  # residuals beyond those of the components wanted: half the work of a whole block, and nearly its use
_PARALLEL = 1e-5  # what is left of a unit direction inside the subspace when it counts as nothing new
_STEADY = 1e-5  # relative change of the captured variance below which it no longer pays to wait for angles in the noise
_FLAT = (
    1.1  # times the last eigenvalue of a block: components no larger lie in a plateau, where directions mean nothing
)


@dataclass
class Subspace:
    """All directions whose image is known: an orthonormal basis K and its image C K under the scatter matrix C."""

    basis: Vector
    image: Vector
    small: Vector = field(default_factory=lambda: np.zeros((0, 0)))

    @classmethod
    def empty(cls, features: int) -> Subspace:
        """Without directions."""
        return cls(np.zeros((features, 0)), np.zeros((features, 0)))

    @property
    def size(self) -> int:
        """Number of directions."""
        return int(self.basis.shape[1])

    def add(self, basis: Vector, image: Vector) -> None:
        """Take in more directions. The operator is linear, so images are combined as the directions are."""
        lengths = np.linalg.norm(basis, axis=0)
        some = lengths > 0
        basis, image = basis[:, some] / lengths[some], image[:, some] / lengths[some]
        for least in (_PARALLEL, 0.5):  # twice is enough: Giraud, Langou et al. (2005), Numer. Math. 101, 87
            inside = self.basis.T @ basis
            basis, image = basis - self.basis @ inside, image - self.image @ inside
            combined = _orthonormalising(basis, least)
            basis, image = basis @ combined, image @ combined
        cross = self.basis.T @ image
        corner = basis.T @ image
        self.small = np.block([[self.small, cross], [cross.T, (corner + corner.T) / 2]])
        self.basis = np.hstack([self.basis, basis])
        self.image = np.hstack([self.image, image])

    def ritz(self) -> tuple[Vector, Vector]:
        """Eigenvalues of the scatter matrix within the subspace, largest first, and coefficients of eigenvectors."""
        values, coefficients = np.linalg.eigh(self.small)
        return values[::-1], coefficients[:, ::-1]

    def refined(self, values: Vector, coefficients: Vector, count: int, floor: float) -> tuple[Vector, Vector]:
        """Leading eigenpairs by Nyström's approximation, half an iteration ahead of the Ritz pairs.

        Notes
        -----
        C is taken to be (C K) (K^T C K)^-1 (C K)^T: Gittens and Mahoney (2016), J. Mach. Learn. Res. 17, 117.
        """
        some = values > floor * values[0]
        factor = self.image @ (coefficients[:, some] / np.sqrt(values[some]))
        squares, inner = np.linalg.eigh(factor.T @ factor)
        squares, inner = squares[::-1], inner[:, ::-1]
        kept = squares[:count] > floor * squares[0]
        squares, inner = squares[:count][kept], inner[:, :count][:, kept]
        return squares, factor @ (inner / np.sqrt(squares))


@dataclass
class SubspaceSolver:
    """Block Krylov iteration with a Rayleigh-Ritz step in all directions seen so far.

    Parameters
    ----------
    operator : callable
        Makes one sweep.
    features : int
        Features of the scan.
    total : float
        Trace of the scatter matrix.
    most : int
        Components wanted; with a share, allowed.
    share : float or None
        Share of the trace that is to be explained.
    width : int
        Columns of a block.
    tol : float
        Sine of the angle below which a component counts as found.
    max_sweeps : int
        Sweeps after which to stop.
    floor : float
        Eigenvalues below this share of the largest are rounding.

    Notes
    -----
    Plain subspace iteration forgets all but the last block. Keeping every block costs no more reading, and converges as
    a Krylov method: Musco and Musco (2015), NeurIPS 28, 1396. The next block are the residuals of the Ritz pairs; those
    of converged pairs vanish and drop out.
    """

    operator: Operator
    features: int
    total: float
    most: int
    share: float | None
    width: int
    tol: float
    max_sweeps: int
    floor: float

    def solve(self, start: Vector) -> Leading:
        """Iterate.

        Parameters
        ----------
        start : numpy.ndarray
            Shape (feature, column): the first block.

        Returns
        -------
        Leading
            As many as wanted, or as were found if the share was not reached.
        """
        subspace = Subspace.empty(self.features)
        before: Vector | None = None
        captured = 0.0
        block = start
        for sweeps in count(1):
            subspace.add(*self.operator(block))
            values, coefficients = subspace.ritz()
            found = self._look(subspace, values, coefficients, before)
            if sweeps >= self.max_sweeps or self._done(found, captured):
                break
            block = self._next(subspace, values, coefficients)
            if not block.size:
                found = found.exact()
                break
            before, captured = found.moved, float(found.values.sum())
        return found.leading(self.total, sweeps)

    def _look(self, subspace: Subspace, values: Vector, coefficients: Vector, before: Vector | None) -> _Found:
        """Refine the leading pairs, and see how far they moved."""
        wanted = self._wanted(subspace.size)
        squares, vectors = subspace.refined(values, coefficients, max(wanted, self.width), self.floor)
        plateau = float(squares[-1]) if self.width > wanted and len(squares) >= self.width else 0.0
        squares, vectors = squares[:wanted], vectors[:, :wanted]
        reached = True
        if self.share is not None:
            needed = share_count(squares, self.total, self.share)
            reached = needed is not None
            wanted = min(needed or wanted, self.most)
            squares, vectors = squares[:wanted], vectors[:, :wanted]
        inside = (subspace.basis @ coefficients[:, :wanted]).T @ vectors
        moved = np.sqrt(np.clip(1 - np.sum(inside**2, axis=0), 0, None))
        # The refined pairs lie half an iteration beyond the step just seen; the rate of the last one tells how far.
        rate = np.ones(len(moved))
        if before is not None:
            both = min(len(moved), len(before))
            rate[:both] = np.sqrt(np.clip(moved[:both] / np.maximum(before[:both], 1e-300), 0, 1))
        return _Found(squares, vectors, moved, moved * rate, reached, plateau)

    def _wanted(self, size: int) -> int:
        """Components wanted; all that the subspace holds, where their number is not known."""
        return self.most if self.share is None else size

    def _done(self, found: _Found, captured: float) -> bool:
        """Whether all components are found; or all but those in the plateau, and these hold what variance they can."""
        if not found.reached:
            return False
        loose = found.angles > self.tol
        steady = abs(float(found.values.sum()) - captured) <= _STEADY * captured
        flat = found.values <= _FLAT * found.plateau
        return bool(not loose.any() or (steady and flat[loose].all()))

    def _next(self, subspace: Subspace, values: Vector, coefficients: Vector) -> Vector:
        """Residuals of the leading Ritz pairs: where the image leaves the subspace."""
        some = min(self.width, self._wanted(subspace.size) + _AHEAD, subspace.size, self.features - subspace.size)
        leading, scale = coefficients[:, :some], values[:some]
        residuals = subspace.image @ leading - subspace.basis @ (leading * scale)
        residuals -= subspace.basis @ (subspace.basis.T @ residuals)
        if not residuals.size:
            return residuals
        last = max(values[min(self.most, len(values)) - 1], self.floor * values[0])
        return residuals @ _orthonormalising(residuals, max(1e-2 * self.tol * last, self.floor * values[0]))


def _orthonormalising(block: Vector, least: float) -> Vector:
    """Combinations of columns that are orthonormal, without those that would come from lengths below the least one.

    Products of matrices are all it takes, where a QR decomposition with pivots would take many times as long.
    """
    squares, mixing = np.linalg.eigh(block.T @ block)
    some = squares[::-1] > least**2
    combined: Vector = mixing[:, ::-1][:, some] / np.sqrt(squares[::-1][some])
    return combined


@dataclass(frozen=True)
class _Found:
    """Leading pairs as they stand after a sweep; how far they moved, and may yet; the last eigenvalue of a block."""

    values: Vector
    vectors: Vector
    moved: Vector
    angles: Vector
    reached: bool
    plateau: float

    def exact(self) -> _Found:
        """Nothing is left outside of the subspace."""
        return _Found(self.values, self.vectors, self.moved, np.zeros_like(self.angles), self.reached, self.plateau)

    def leading(self, total: float, sweeps: int) -> Leading:
        return Leading(self.values, self.vectors, total, self.angles, sweeps)


def random_block(features: int, width: int, random_state: Any) -> Vector:
    """Orthonormal directions drawn at random.

    Parameters
    ----------
    features, width : int
        Shape.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None
        Seed or source of the draw.

    Returns
    -------
    numpy.ndarray
        Shape (feature, column).
    """
    if isinstance(random_state, np.random.RandomState):  # scikit-learn's convention
        random_state = int(random_state.randint(2**31 - 1))
    normal = np.random.default_rng(random_state).standard_normal((features, width))
    block: Vector = np.linalg.qr(normal)[0]
    return block
