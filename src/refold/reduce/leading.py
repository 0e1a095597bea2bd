"""What every solver hands over, and how many components it keeps."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from refold.errors import ParameterError

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Leading:
    """Leading eigenpairs of a scatter matrix.

    Parameters
    ----------
    values : numpy.ndarray
        Shape (component,): eigenvalues, that is squared singular values of the rows, largest first.
    vectors : numpy.ndarray
        Shape (feature, component), orthonormal.
    total : float
        Trace of the scatter matrix.
    angles : numpy.ndarray
        Shape (component,): sine of the angle by which each component still moved; 0 where the solver is exact.
    n_sweeps : int
        Sweeps that the solver made.
    """

    values: Vector
    vectors: Vector
    total: float
    angles: Vector
    n_sweeps: int = 0

    def keep(self, count: int) -> Leading:
        """The first ones."""
        return replace(self, values=self.values[:count], vectors=self.vectors[:, :count], angles=self.angles[:count])

    def after(self, sweeps: int) -> Leading:
        """As found after some more sweeps."""
        return replace(self, n_sweeps=self.n_sweeps + sweeps)


def check_count(n_components: float | None, n_pixels: int, n_features: int) -> int:
    """Largest number of components that may be needed.

    Parameters
    ----------
    n_components : int, float or None
        A number; a share of the variance; or None for all.
    n_pixels, n_features : int
        Of the scan.

    Returns
    -------
    int
        The number asked for, or all that there are.

    Raises
    ------
    ParameterError
        If there are not so many, or the share is not between 0 and 1.

    Examples
    --------
    >>> check_count(0.9, 100, 30), check_count(5, 100, 30)
    (30, 5)
    """
    most = min(n_pixels, n_features)
    if n_components is None:
        return most
    if isinstance(n_components, float | np.floating):
        if not 0 < n_components < 1:
            raise ParameterError(
                f"n_components={n_components}",
                "a whole number, or a share of variance between 0 and 1",
                "write 20, or 0.99",
            )
        return most
    if isinstance(n_components, bool) or not isinstance(n_components, int | np.integer) or n_components < 1:
        raise ParameterError(
            f"n_components={n_components!r}", "a whole number of 1 or more", "write 20, or 0.99 for a share"
        )
    if n_components > most:
        raise ParameterError(
            f"n_components={n_components} for {n_pixels} valid pixels of {n_features} features",
            f"at most {most}",
            f"ask for {most} or fewer, or for a share of the variance, as in n_components=0.99",
        )
    return int(n_components)


def share_count(values: Vector, total: float, share: float) -> int | None:
    """How many components explain a share of the variance; None if those given do not.

    Examples
    --------
    >>> share_count(np.array([6.0, 3.0]), 10.0, 0.8), share_count(np.array([6.0, 3.0]), 10.0, 0.95)
    (2, None)
    """
    reached = np.cumsum(values) >= share * total
    return int(np.argmax(reached)) + 1 if reached.any() else None


def completed(leading: Leading, count: int) -> Leading:
    """Fill up with directions along which nothing varies, as where more components than the rank are wanted.

    Parameters
    ----------
    leading : Leading
        What was found.
    count : int
        Components wanted.

    Returns
    -------
    Leading
        With that many; those added have eigenvalue 0, and are orthonormal to the others.
    """
    features, found = leading.vectors.shape
    if found >= count:
        return leading.keep(count)
    missing = count - found
    fill = np.random.default_rng(0).standard_normal((features, missing))
    for _ in range(2):
        fill = np.linalg.qr(fill - leading.vectors @ (leading.vectors.T @ fill))[0]
    nothing = np.zeros(missing)
    return replace(
        leading,
        values=np.concatenate([leading.values, nothing]),
        vectors=np.hstack([leading.vectors, fill]),
        angles=np.concatenate([leading.angles, nothing]),
    )


def fix_signs(vectors: Vector) -> Vector:
    """Turn each component so that its largest loading, the first of equals, is positive.

    Examples
    --------
    >>> fix_signs(np.array([[0.6, -0.6], [-0.8, 0.6]])).tolist()
    [[-0.6, 0.6], [0.8, -0.6]]
    """
    largest = np.argmax(np.abs(vectors), axis=0)
    turned: Vector = vectors * np.where(vectors[largest, np.arange(vectors.shape[1])] < 0, -1.0, 1.0)
    return turned
