"""What is said of the pixel under the pointer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from refold.report.calibration import Axis, format_number
from refold.report.colours import INVALID, NOISE

if TYPE_CHECKING:
    from refold.explore.model import Model

__all__ = ["Described", "described"]


@dataclass(frozen=True, slots=True)
class Described:
    """A pixel in words.

    Attributes
    ----------
    text : str
        Its cluster, where it is, and how sure the cluster is.
    colour : str
        Of its cluster.
    """

    text: str
    colour: str


def described(model: Model, row: int) -> Described:
    """Describe a pixel.

    Parameters
    ----------
    model : Model
    row : int
        In memory.

    Returns
    -------
    Described
        Such as ``quartz · y 12.5 nm, x 40 nm · probability 0.97``.
    """
    piece = int(model.pieces.image[row])
    label = int(model.pieces.ids[piece])
    named = {cluster.id: cluster for cluster in model.clusters}
    if label >= 0:
        name, colour = named[label].name, named[label].colour
    else:
        name, colour = ("noise", NOISE) if piece else ("not usable", INVALID)
    parts = [name, ", ".join(_places(model, row))]
    if model.rows.probability is not None and label >= 0:
        parts.append(f"probability {model.rows.probability[row]:.2f}")
    return Described(" · ".join(parts), colour)


def _places(model: Model, row: int) -> list[str]:
    """Its coordinates, with units."""
    labels, thinning = model.navigation(), model.rows.thinning
    found = []
    for dim, at in zip(thinning.dims, thinning.index_of(row), strict=True):
        axis = Axis.of(labels, dim)
        found.append(f"{dim} {format_number(float(axis.values[at]))} {axis.unit}".rstrip())
    return found
