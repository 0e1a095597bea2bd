"""From rows to latent coordinates and back through a trained network, one row at a time, without PyTorch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from refold.reduce.exact_product import ExactProduct
from refold.reduce.neural.layers import ACTIVATIONS, Weights
from refold.reduce.projection import only_scores
from refold.reduce.scaling import row_factors

Vector = npt.NDArray[np.float64]

_TILE_BYTES, _LEAST_ROWS = 8 << 20, 64


@dataclass(frozen=True)
class Standard:
    """What a network is shown of a row: z = (g x - mean) * factors.

    Parameters
    ----------
    mean : numpy.ndarray
        Shape (feature,).
    factors : numpy.ndarray
        Shape (feature,); 0 for a feature that says nothing.
    weighted : bool
        Whether rows are weighted by the inverse root of their sum (g), as for Poisson noise.
    """

    mean: Vector
    factors: Vector
    weighted: bool = False

    def __call__(self, rows: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Rows as the network is shown them; each depends on itself alone."""
        shown = rows.astype(np.float64)
        if self.weighted:
            shown *= row_factors(rows)[:, None]
        shown -= self.mean
        shown *= self.factors
        return shown.astype(np.float32)

    def usable(self, rows: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
        """Whether there is something to learn from rows: a row without counts has no weight."""
        if not self.weighted:
            return np.ones(len(rows), bool)
        return np.asarray(np.add.reduce(rows, axis=1, dtype=np.float64) > 0)

    def undone(self, shown: Vector, whole: Vector | None = None) -> Vector:
        """Rows, from what a network says of them; ``whole`` is what it says of all scores, where these are only some.

        A row that was divided by the root of its sum adds up to that root, so it tells by what to multiply.
        """
        rows = self._unscaled(shown)
        if self.weighted:
            rows *= np.maximum(np.add.reduce(rows if whole is None else self._unscaled(whole), axis=1), 0)[:, None]
        return rows

    def _unscaled(self, shown: Vector) -> Vector:
        rows: Vector = np.divide(shown, self.factors, out=np.zeros_like(shown), where=self.factors > 0) + self.mean
        return rows


@dataclass(frozen=True)
class Coding:
    """A trained network as a map of rows: `RowMap` for the models of this room.

    Parameters
    ----------
    weights : dict of str to numpy.ndarray
        By name, as in `Shape.sizes`.
    standard : Standard
        What the network is shown of a row.
    activation : str
        A name in `ACTIVATIONS`.

    Notes
    -----
    Products are those of `ExactProduct`, of float32 numbers with the weights, so the bits of a row do not depend on the
    batch in which it came, on threads or on the BLAS.
    """

    weights: Weights
    standard: Standard
    activation: str

    @property
    def divided(self) -> bool:
        """Whether scores stand for rows that were divided by the root of their sum."""
        return self.standard.weighted

    @cached_property
    def _encoder(self) -> tuple[tuple[ExactProduct, Vector], ...]:
        return _layers(self.weights, "encoder")

    @cached_property
    def _decoder(self) -> tuple[tuple[ExactProduct, Vector], ...]:
        return _layers(self.weights, "decoder")

    @cached_property
    def _step(self) -> int:
        widest: int = max(max(weight.shape) for weight in self.weights.values())
        return max(_LEAST_ROWS, _TILE_BYTES // (8 * widest))

    def encoded(self, shown: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Latent coordinates of rows as the network is shown them."""
        return self._through(self._encoder, shown).astype(np.float32)

    def decoded(self, latent: npt.NDArray[np.float32]) -> Vector:
        """What the network says that latent coordinates stand for."""
        return self._through(self._decoder, latent)

    def _through(self, layers: Sequence[tuple[ExactProduct, Vector]], rows: npt.NDArray[np.float32]) -> Vector:
        act = ACTIVATIONS[self.activation]
        values: Any = np.ascontiguousarray(rows)
        for product, bias in layers[:-1]:
            values = act(product(values)[0] + bias).astype(np.float32)
        product, bias = layers[-1]
        return product(values)[0] + bias

    def scores_valid(self, rows: npt.NDArray[Any], valid: npt.NDArray[np.bool_]) -> npt.NDArray[Any]:
        """Latent coordinates alone, in the dtype of the rows; NaN where a row is not valid."""
        scores = np.full((len(rows), self._encoder[-1][0].n_columns), np.nan, rows.dtype)
        for part in self._parts(valid):
            scores[part] = self.encoded(self.standard(rows[part]))
        return scores

    def forward_valid(
        self, rows: npt.NDArray[Any], valid: npt.NDArray[np.bool_]
    ) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Latent coordinates, and the root mean square of what they leave of each row as it was shown.

        Parameters
        ----------
        rows : numpy.ndarray
            Shape (pixel, feature).
        valid : numpy.ndarray
            Shape (pixel,).

        Returns
        -------
        scores, residual : numpy.ndarray
            Shapes (pixel, latent) and (pixel,), in the dtype of the rows; NaN where a row is not valid.
        """
        scores = np.full((len(rows), self._encoder[-1][0].n_columns), np.nan, rows.dtype)
        residual = np.full(len(rows), np.nan, rows.dtype)
        for part in self._parts(valid):
            shown = self.standard(rows[part])
            latent = self.encoded(shown)
            left = shown - self.decoded(latent)
            scores[part] = latent
            residual[part] = np.sqrt(np.einsum("ij,ij->i", left, left) / rows.shape[1])
        return scores, residual

    def backward(self, scores: npt.NDArray[Any], kept: tuple[int, ...] | None = None) -> npt.NDArray[Any]:
        """Rows that latent coordinates stand for, in the units of the data.

        Parameters
        ----------
        scores : numpy.ndarray
            Shape (pixel, latent).
        kept : tuple of int, optional
            Coordinates to build from, the others being 0; all by default.

        Returns
        -------
        numpy.ndarray
            Shape (pixel, feature), in the dtype of the scores; NaN where a score is.
        """
        some = scores if kept is None else only_scores(scores, kept)
        rows = np.full((len(scores), len(self.standard.mean)), np.nan, scores.dtype)
        for part in self._parts(np.isfinite(some).all(axis=1)):
            shown = self.decoded(some[part].astype(np.float32))
            partial = kept is not None and self.standard.weighted
            whole = self.decoded(scores[part].astype(np.float32)) if partial else None
            rows[part] = self.standard.undone(shown, whole)
        return rows

    def _parts(self, valid: npt.NDArray[np.bool_]) -> Iterator[Any]:
        """Valid rows, a tile at a time."""
        if valid.all():
            yield from (slice(start, start + self._step) for start in range(0, len(valid), self._step))
            return
        at = np.flatnonzero(valid)
        yield from (at[start : start + self._step] for start in range(0, len(at), self._step))


def _layers(weights: Weights, side: str) -> tuple[tuple[ExactProduct, Vector], ...]:
    count = sum(name.startswith(side) and name.endswith("weight") for name in weights)
    names = [f"{side}.{at}" for at in range(count)]
    return tuple(
        (ExactProduct(weights[f"{name}.weight"].T), weights[f"{name}.bias"].astype(np.float64)) for name in names
    )
