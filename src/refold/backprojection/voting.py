"""What the nearest landmarks say of a pixel: sums over neighbours, in an order that no batch can change.

Only additions, products, quotients and square roots are used: IEEE 754 rounds these one way, in vector registers and
out of them, while exponentials in a vector may differ from one alone by a bit. Sums run neighbour by neighbour.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Singles = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers found on the landmarks.

    Parameters
    ----------
    labels : ndarray of int32, shape (landmarks,)
        Clusters; -1 is noise.
    n_clusters : int
        Clusters there are.
    probability : ndarray of float32, shape (landmarks,), optional
        Of belonging to the cluster.
    membership : ndarray of float32, shape (landmarks, clusters), optional
        Soft membership.
    embedding : ndarray of float32, shape (landmarks, latent), optional
        Latent coordinates.
    """

    labels: npt.NDArray[np.int32]
    n_clusters: int
    probability: Singles | None = None
    membership: Singles | None = None
    embedding: Singles | None = None

    def of(self, which: Integers) -> dict[str, npt.NDArray[Any]]:
        """The landmarks' own answers, as they are."""
        own: dict[str, npt.NDArray[Any]] = {"labels": self.labels[which]}
        for name in ("probability", "membership", "embedding"):
            table = getattr(self, name)
            if table is not None:
                own[name] = table[which]
        return own

    def missing(self, n: int) -> dict[str, npt.NDArray[Any]]:
        """The answers for pixels that have none."""
        nothing: dict[str, npt.NDArray[Any]] = {"labels": np.full(n, -1, np.int32)}
        if self.probability is not None:
            nothing["probability"] = np.zeros(n, np.float32)
        if self.membership is not None:
            nothing["membership"] = np.zeros((n, self.n_clusters), np.float32)
        if self.embedding is not None:
            nothing["embedding"] = np.full((n, self.embedding.shape[1]), np.nan, np.float32)
        return nothing


def vote_weights(distances: Doubles) -> Doubles:
    """Inverse distances; where some are zero, only those count.

    Examples
    --------
    >>> vote_weights(np.array([[1.0, 2.0], [0.0, 2.0]]))
    array([[1. , 0.5],
           [1. , 0. ]])
    """
    with np.errstate(divide="ignore"):
        weights = 1.0 / distances
    coincide = distances == 0
    return np.where(coincide.any(axis=1, keepdims=True), coincide.astype(np.float64), weights)


def vote(answers: Answers, neighbours: Integers, weights: Doubles) -> dict[str, npt.NDArray[Any]]:
    """Merge the answers of each row's neighbours.

    Parameters
    ----------
    answers : Answers
        Of all landmarks.
    neighbours : ndarray of int64, shape (rows, k)
        Landmarks of each row.
    weights : ndarray of float64, shape (rows, k)
        Their votes.

    Returns
    -------
    dict of str to ndarray
        One answer for each row, of the kinds that the landmarks have.
    """
    n, k = neighbours.shape
    every, total = np.arange(n), _sum(weights)
    # Noise is the last candidate: in a tie the larger cluster wins, and any cluster wins over noise.
    candidate = np.where(answers.labels < 0, answers.n_clusters, answers.labels)[neighbours]
    votes = np.zeros((n, answers.n_clusters + 1))
    for j in range(k):
        votes[every, candidate[:, j]] += weights[:, j]
    winner = votes.argmax(axis=1)
    for_winner = np.where(candidate == winner[:, None], weights, 0.0)
    result: dict[str, npt.NDArray[Any]] = {
        "labels": np.where(winner == answers.n_clusters, -1, winner).astype(np.int32)
    }
    if answers.probability is not None:
        strength = _sum(for_winner * answers.probability[neighbours]) / total
        result["probability"] = np.where(result["labels"] < 0, 0.0, strength).astype(np.float32)
    if answers.membership is not None:
        result["membership"] = _mean(answers.membership, neighbours, weights, total)
    if answers.embedding is not None:
        # Among the winner's landmarks only: a mean of two clusters would lie in neither.
        result["embedding"] = _mean(answers.embedding, neighbours, for_winner, _sum(for_winner))
    return result


def _sum(values: Doubles) -> Doubles:
    """Sum over neighbours, one after the other."""
    total = np.zeros(values.shape[0])
    for j in range(values.shape[1]):
        total += values[:, j]
    return total


def _mean(table: Singles, neighbours: Integers, weights: Doubles, total: Doubles) -> Singles:
    """Weighted mean of the neighbours' rows of a table."""
    mean = np.zeros((neighbours.shape[0], table.shape[1]))
    for j in range(neighbours.shape[1]):
        mean += weights[:, j, None] * table[neighbours[:, j]]
    return (mean / total[:, None]).astype(np.float32)
