"""One clustering of many: landmarks belong together where most clusterings put them together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from refold.trust.matching import match, tabulate

_MOST_PROFILES = 4096  # the matrix of these is 64 MiB; rarer ones join afterwards
_MAJORITY = 0.5
_BATCH = 1024

Labels = npt.NDArray[np.int32]
Singles = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Consensus:
    """What the clusterings agree on.

    Parameters
    ----------
    labels : ndarray of int32, shape (rows,)
        Cluster of each row; -1 is noise.
    probability : ndarray of float32, shape (rows,)
        How often a row is together with its cluster.
    """

    labels: Labels
    probability: Singles


def agree(votes: npt.ArrayLike, weights: npt.ArrayLike, named_as: npt.ArrayLike | None = None) -> Consensus:
    """Consensus of several clusterings of the same rows.

    Parameters
    ----------
    votes : array_like of int, shape (clusterings, rows)
        Labels, of any names; -1 is noise.
    weights : array_like, shape (rows,)
        What each row counts, such as the pixels a landmark stands for.
    named_as : array_like of int, shape (rows,), optional
        A clustering whose names the clusters get, as far as they match it. By default they are named by size.

    Returns
    -------
    Consensus
        Labels and probability of each row.

    Notes
    -----
    The co-association of two rows is the share of clusterings that put them into one cluster, among those in which
    neither is noise (A. L. N. Fred, A. K. Jain, IEEE TPAMI 27, 835 (2005); S. Monti et al., Machine Learning 52, 91
    (2003), whose rows that were not drawn are our noise). Average linkage joins what is together in more than half of
    the clusterings on average, so there is no number of clusters to choose. A row that is noise in at least half of
    them is noise. Rows on which all clusterings agree to the last one are treated as one, of their common weight, which
    changes nothing in the result and keeps the matrix small. A group lighter than every cluster of every clustering is
    noise as well.

    Examples
    --------
    >>> agree([[0, 0, 1, 1, 1], [4, 4, 2, 2, -1], [0, 1, 1, 1, 1]], np.ones(5)).labels
    array([1, 1, 0, 0, 0], dtype=int32)
    """
    votes, weights = np.asarray(votes, np.int32), np.asarray(weights, np.float64)
    profiles, of_row = np.unique(votes.T, axis=0, return_inverse=True)
    of_row = of_row.ravel()
    mass = np.asarray(np.bincount(of_row, weights, minlength=len(profiles)), np.float64)
    clustered = (profiles >= 0).mean(axis=1)
    by_mass = np.argsort(-mass, kind="stable")
    sure = by_mass[clustered[by_mass] > _MAJORITY]
    linked = sure[:_MOST_PROFILES]
    label = np.full(len(profiles), -1, np.int64)
    strength = np.zeros(len(profiles))
    if linked.size:
        label[linked] = average_linkage(co_association(profiles[linked], profiles[linked]), mass[linked], _MAJORITY)
        affinity = _affinity(profiles[sure], profiles[linked], label[linked], mass[linked])
        label[sure[_MOST_PROFILES:]] = affinity[_MOST_PROFILES:].argmax(axis=1)
        strength[sure] = affinity[np.arange(sure.size), label[sure]] * clustered[sure]
        label = _without_crumbs(label, mass, profiles)
        strength[label < 0] = 0
    names = _names(label[of_row], weights, named_as)
    return Consensus(names[label[of_row]], strength[of_row].astype(np.float32))


def co_association(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> Singles:
    """Share of clusterings that put a row of the one and a row of the other together, among those with both clustered.

    Parameters
    ----------
    one, other : ndarray of int, shape (rows, clusterings) and (other rows, clusterings)
        Labels; -1 is noise.

    Returns
    -------
    ndarray of float32, shape (rows, other rows)
        Between 0 and 1; 0 where no clustering has both.
    """
    sizes = np.maximum(one.max(axis=0, initial=-1), other.max(axis=0, initial=-1)) + 1
    together: Singles = _one_hot(one, sizes) @ _one_hot(other, sizes).T
    both = (one >= 0).astype(np.float32) @ (other >= 0).astype(np.float32).T
    np.divide(together, both, out=together, where=both > 0)
    return together


def _one_hot(labels: npt.NDArray[Any], sizes: npt.NDArray[Any]) -> Singles:
    """A column for each cluster of each clustering; products of such rows count the clusters that they share."""
    columns = labels + np.cumsum(sizes) - sizes
    rows, clusterings = np.nonzero(labels >= 0)
    table = np.zeros((len(labels), int(sizes.sum())), np.float32)
    table[rows, columns[rows, clusterings]] = 1
    return table


def average_linkage(similarity: npt.NDArray[Any], weights: npt.NDArray[Any], least: float) -> npt.NDArray[np.int64]:
    """Join the two most similar groups, on the average of their pairs, until none are more similar than `least`.

    Parameters
    ----------
    similarity : ndarray, shape (rows, rows)
        Symmetric.
    weights : ndarray, shape (rows,)
        How many equal rows each stands for.
    least : float
        Where to stop.

    Returns
    -------
    ndarray of int64, shape (rows,)
        Group of each row, numbered by their first rows.

    Notes
    -----
    By chains of nearest neighbours, in quadratic time (F. Murtagh, The Computer Journal 26, 354 (1983)). Joining never
    brings a third group nearer than the nearer of the two was, so a group without a neighbour above `least` is done.
    """
    near = np.array(similarity, np.float32)
    np.fill_diagonal(near, -1)
    weight = np.array(weights, np.float64)
    group = np.arange(len(near))
    alive = np.ones(len(near), bool)
    chain: list[int] = []
    while chain or alive.any():
        if not chain:
            chain.append(int(alive.argmax()))
        tip = chain[-1]
        best = int(near[tip].argmax())
        if len(chain) > 1 and near[tip, chain[-2]] == near[tip, best]:
            best = chain[-2]  # a tie must not lead in a circle
        if near[tip, best] <= least:
            alive[chain.pop()] = False
            near[tip, :] = near[:, tip] = -1  # whoever had it as a neighbour had it no nearer than this
            continue
        if len(chain) == 1 or best != chain[-2]:
            chain.append(best)
            continue
        del chain[-2:]
        _join(near, weight, tip, best)
        alive[best] = False
        group[group == best] = tip
    return np.unique(_first_of(group), return_inverse=True)[1].ravel().astype(np.int64)


def _join(near: Singles, weight: npt.NDArray[np.float64], one: int, other: int) -> None:
    """Let `one` stand for both."""
    total = weight[one] + weight[other]
    joined = ((weight[one] * near[one] + weight[other] * near[other]) / total).astype(np.float32)
    joined[(near[one] < 0) | (near[other] < 0)] = -1
    near[one, :] = near[:, one] = joined
    near[other, :] = near[:, other] = -1
    near[one, one] = -1
    weight[one] = total


def _first_of(group: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """For each row the first row of its group."""
    _, first, inverse = np.unique(group, return_index=True, return_inverse=True)
    return np.asarray(first[inverse.ravel()], np.int64)


def _affinity(
    profiles: npt.NDArray[Any], members: npt.NDArray[Any], group: npt.NDArray[np.int64], mass: npt.NDArray[np.float64]
) -> Singles:
    """Mean co-association of each profile with the members of each group."""
    groups = np.zeros((len(members), int(group.max()) + 1), np.float32)
    groups[np.arange(len(members)), group] = mass
    groups /= groups.sum(axis=0)
    parts = [co_association(profiles[at : at + _BATCH], members) @ groups for at in range(0, len(profiles), _BATCH)]
    return np.concatenate(parts)


def _without_crumbs(
    label: npt.NDArray[np.int64], mass: npt.NDArray[np.float64], profiles: npt.NDArray[Any]
) -> npt.NDArray[np.int64]:
    """What is left between the groups makes none of its own: a group lighter than any cluster voted for is noise."""
    least = min(_lightest(votes, mass) for votes in profiles.T)
    heavy = np.bincount(label[label >= 0], mass[label >= 0]) >= least
    kept = np.where(label >= 0, heavy[label], False)
    renumbered = np.cumsum(heavy) - 1
    return np.where(kept, renumbered[label], -1)


def _lightest(labels: npt.NDArray[Any], mass: npt.NDArray[np.float64]) -> float:
    """Weight of the lightest cluster of a clustering."""
    sizes = np.bincount(labels[labels >= 0], mass[labels >= 0])
    return float(sizes[sizes > 0].min()) if sizes.size else np.inf


def _names(labels: npt.NDArray[np.int64], weights: npt.NDArray[np.float64], named_as: npt.ArrayLike | None) -> Labels:
    """New name of each group, and of noise at the end."""
    n = int(labels.max(initial=-1)) + 1
    if named_as is not None:
        known = np.asarray(named_as)
        return match(tabulate(known, labels, int(known.max(initial=-1)) + 1, n, weights))
    sizes = np.bincount(labels[labels >= 0], weights[labels >= 0], minlength=n)
    names = np.full(n + 1, -1, np.int32)
    names[np.argsort(-sizes, kind="stable")] = np.arange(n)
    return names
