"""What can be done to clusters by hand, as data, and what clusters there are after it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from refold.colours import palette
from refold.editing.geometry import shortened
from refold.editing.selections import Selection
from refold.errors import ParameterError

MAX_NAME = 200
"""Characters of a name."""
_COLOUR = re.compile(r"#[0-9a-f]{6}")
_RESERVED = re.compile(r"cluster \d+")
_AT_ONCE = 32  # colours of the palette are found so many at a time
_COLOURS = 512  # then they begin again; long before, no eye tells them apart


@dataclass(frozen=True, slots=True)
class Merge:
    """Make one of several clusters; the smallest id stays.

    Parameters
    ----------
    clusters : tuple of int
        Two or more.
    name : str, optional
        Its name from now on; else it is called by its id.
    """

    clusters: tuple[int, ...]
    name: str | None = None

    def __str__(self) -> str:
        return f"merge {', '.join(map(str, self.clusters))}"


@dataclass(frozen=True, slots=True)
class Split:
    """Make a new cluster of selected pixels.

    Parameters
    ----------
    selection : Selection
        Which.
    clusters : tuple of int, optional
        Only pixels of these; by default of any cluster.
    noise : bool
        Whether pixels that are noise are taken in as well.
    name : str, optional
        Of the new cluster.
    """

    selection: Selection
    clusters: tuple[int, ...] | None = None
    noise: bool = False
    name: str | None = None

    def __str__(self) -> str:
        of = "" if self.clusters is None else f" of {', '.join(map(str, self.clusters)) or 'noise'}"
        return f"split{of}" + (" with noise" if self.noise and self.clusters != () else "")


@dataclass(frozen=True, slots=True)
class Rename:
    """Give a cluster a name, or take it away.

    Parameters
    ----------
    cluster : int
        Which.
    name : str or None
        None to call it by its id again.
    """

    cluster: int
    name: str | None

    def __str__(self) -> str:
        return f"rename {self.cluster} to {self.name or default_name(self.cluster)}"


@dataclass(frozen=True, slots=True)
class Recolour:
    """Give one or more clusters a colour, or the palette's own again.

    Parameters
    ----------
    colours : tuple of (int, str or None)
        ``#rrggbb`` of each.
    """

    colours: tuple[tuple[int, str | None], ...]

    def __str__(self) -> str:
        return f"recolour {', '.join(str(cluster) for cluster, _ in self.colours)}"


@dataclass(frozen=True, slots=True)
class Reset:
    """Go back to the clusters as the run found them; a step like any other, which can be undone."""

    def __str__(self) -> str:
        return "reset"


Operation = Merge | Split | Rename | Recolour | Reset


@dataclass(frozen=True, slots=True)
class Frame:
    """What edits are made in.

    Parameters
    ----------
    clusters : int
        Clusters that the run found; their ids are 0 to this, less one.
    shape : tuple of int
        Its navigation shape.
    latent : int
        Dims of its latent space; 0 where it has none.
    """

    clusters: int
    shape: tuple[int, ...]
    latent: int


@dataclass(slots=True)
class Look:
    """How a cluster is shown.

    Parameters
    ----------
    name, colour : str, optional
        None where nobody has chosen one.
    place : int, optional
        Of the palette's colours, the one that a cluster has of itself; by default that of its id.
    """

    name: str | None = None
    colour: str | None = None
    place: int | None = None

    def shown(self, cluster: int) -> tuple[str, str]:
        """Name and colour as the cluster of this id is shown."""
        own = default_colour(cluster if self.place is None else self.place)
        return self.name or default_name(cluster), self.colour or own


@dataclass
class Table:
    """The clusters there are after some operations.

    Parameters
    ----------
    frame : Frame
        What the edits are made in.

    Attributes
    ----------
    looks : dict of int to Look
        By id.
    next_id : int
        Id of the next cluster that is split off; none is ever used twice.
    """

    frame: Frame
    looks: dict[int, Look] = field(init=False)
    next_id: int = field(init=False)

    def __post_init__(self) -> None:
        self._begin()
        self.next_id = self.frame.clusters

    def _begin(self) -> None:
        self.looks = {number: Look() for number in range(self.frame.clusters)}

    @classmethod
    def after(cls, frame: Frame, operations: Iterable[Operation]) -> Table:
        """Do operations one after the other, checking each.

        Raises
        ------
        ParameterError
            If one of them cannot be done.
        """
        table = cls(frame)
        for operation in operations:
            table.do(operation)
        return table

    def do(self, operation: Operation) -> int | None:
        """Do one operation.

        Returns
        -------
        int or None
            Id of the cluster that it made, if it made one.

        Raises
        ------
        ParameterError
            If it cannot be done; then nothing is.
        """
        match operation:
            case Merge():
                return self._merge(operation)
            case Split():
                return self._split(operation)
            case Rename():
                (cluster,) = self._known((operation.cluster,))
                self._check_name(operation.name, but={cluster})
                self.looks[cluster].name = operation.name
            case Recolour():
                self._recolour(operation)
            case Reset():
                self._begin()
        return None

    def _merge(self, merge: Merge) -> int:
        clusters = self._known(merge.clusters)
        if len(clusters) < 2:
            raise ParameterError(f"clusters {list(clusters)} to merge", "two or more", "name those that are to be one")
        self._check_name(merge.name, but=set(clusters))
        kept = min(clusters)
        for cluster in clusters:
            if cluster != kept:
                del self.looks[cluster]
        self.looks[kept].name = merge.name
        return kept

    def _split(self, split: Split) -> int:
        if split.clusters is not None:
            self._known(split.clusters)
        if split.clusters == () and not split.noise:
            raise ParameterError("a split of no clusters and no noise", "some of them", "name clusters or noise=True")
        split.selection.check(self.frame.latent, self.frame.shape)
        self._check_name(split.name, but=set())
        number = self.next_id
        self.looks[number] = Look(split.name, place=self._free_place(number))
        self.next_id += 1
        return number

    def _free_place(self, number: int) -> int | None:
        """The palette's first colour, from that of an id on, that nobody has given to another cluster."""
        chosen = {look.colour for look in self.looks.values() if look.colour is not None}
        chosen |= {default_colour(look.place) for look in self.looks.values() if look.place is not None}
        if default_colour(number) not in chosen:
            return None
        return next((place for place in range(number, number + _COLOURS) if default_colour(place) not in chosen), None)

    def _recolour(self, recolour: Recolour) -> None:
        if not recolour.colours:
            raise ParameterError("no colours", "one or more clusters with theirs", "pass {cluster: '#rrggbb'}")
        self._known(tuple(cluster for cluster, _ in recolour.colours))
        for _, colour in recolour.colours:
            if colour is not None and not (isinstance(colour, str) and _COLOUR.fullmatch(colour)):
                raise ParameterError(f"the colour {shortened(colour)}", "a text as #0072b2", "write it in hexadecimal")
        for cluster, colour in recolour.colours:
            self.looks[cluster].colour = colour

    def _known(self, clusters: tuple[int, ...]) -> tuple[int, ...]:
        for cluster in clusters:
            if type(cluster) is not int or cluster not in self.looks:
                raise ParameterError(
                    "noise, -1, as a cluster" if cluster == -1 else f"cluster {shortened(cluster)}",
                    f"one of {', '.join(map(str, self.looks)) or 'none: there are no clusters'}",
                    "split noise off with noise=True first" if cluster == -1 else "see edits.clusters",
                )
        if len(set(clusters)) < len(clusters):
            raise ParameterError(f"clusters {list(clusters)}", "each of them once", "name it once")
        return clusters

    def _check_name(self, name: str | None, but: set[int]) -> None:
        """Check that a name can be shown, and is no other cluster's."""
        if name is None:
            return
        sound = isinstance(name, str) and 1 <= len(name) <= MAX_NAME and name.isprintable() and name == name.strip()
        if not sound:
            raise ParameterError(
                f"the name {shortened(name)}",
                f"1 to {MAX_NAME} characters that can be printed, without spaces around",
                "choose another",
            )
        if _RESERVED.fullmatch(name):
            raise ParameterError(
                f"the name {name!r}", "another: so clusters without a name are called", "leave the name out"
            )
        same = [number for number, look in self.looks.items() if look.name == name and number not in but]
        if same:
            raise ParameterError(
                f"the name {name!r}, which cluster {same[0]} has", "another name", "merge them if they are one"
            )


def default_name(cluster: int) -> str:
    """Name a cluster that nobody has named.

    Examples
    --------
    >>> default_name(3)
    'cluster 3'
    """
    return f"cluster {cluster}"


def default_colour(cluster: int) -> str:
    """Colour of a cluster that nobody has coloured: the palette's, by its id.

    Examples
    --------
    >>> default_colour(1)
    '#e69f00'
    """
    place = cluster % _COLOURS
    return palette(-(-(place + 1) // _AT_ONCE) * _AT_ONCE)[place]
