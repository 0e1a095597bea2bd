"""A set of edits written down: JSON that is checked in every part before any of it is used."""

from __future__ import annotations

import getpass
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn

from refold.editing.geometry import shortened
from refold.editing.history import MAX_OPERATIONS, History
from refold.editing.operations import Frame, Merge, Operation, Recolour, Rename, Reset, Split
from refold.editing.selections import Selection
from refold.errors import EditsError, ParameterError

FORMAT = 1
MAX_BYTES = 64_000_000
"""Largest file that is read, or written."""
_KIND = "refold edits"
_MAX_TEXT = 200
_MAX_REVISION = 2**53
_KEYS = {"kind", "format", "revision", "author", "time", "of", "operations", "cursor", "sha256"}
_KEEP = "the file stays as it is: restore it from a copy, or begin anew, as in edits(run, name='mine')"


@dataclass(frozen=True, slots=True)
class Origin:
    """Which labels edits are of.

    Parameters
    ----------
    clustering : str or None
        A saved clustering of the run; None for its own.
    fingerprint : str
        Of the stage that wrote the labels.
    """

    clustering: str | None
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Document:
    """A set of edits as it is saved.

    Parameters
    ----------
    origin : Origin
        Which labels it is of.
    history : History
        The edits.
    revision : int
        How often it was saved. It alone says what is newer: clocks differ, and are set back.
    author : str
        Who saved it.
    time : str
        When, by their clock, in UTC.
    """

    origin: Origin
    history: History
    revision: int
    author: str
    time: str

    @classmethod
    def now(cls, origin: Origin, history: History, revision: int, author: str | None = None) -> Document:
        """Write edits down, here and now.

        Raises
        ------
        ParameterError
            If the author's name is too long, or cannot be printed.
        """
        author = _user() if author is None else author
        if not _is_text(author):
            raise ParameterError(
                f"the author {shortened(author)}", f"up to {_MAX_TEXT} characters that can be printed", "shorten it"
            )
        return cls(origin, history, revision, author, datetime.now(UTC).isoformat(timespec="seconds"))

    def to_bytes(self) -> bytes:
        """Give it in its one canonical form, with its checksum: the same bytes wherever it is written.

        Raises
        ------
        ParameterError
            If it is larger than would be read again.
        """
        content = {
            "kind": _KIND,
            "format": FORMAT,
            "revision": self.revision,
            "author": self.author,
            "time": self.time,
            "of": {
                "clustering": self.origin.clustering,
                "labels": self.origin.fingerprint,
                "clusters": self.history.frame.clusters,
                "shape": list(self.history.frame.shape),
            },
            "operations": [_written(operation) for operation in self.history.operations],
            "cursor": self.history.cursor,
        }
        made = canonical({**content, "sha256": checksum(content)}) + b"\n"
        if len(made) > MAX_BYTES:
            raise ParameterError(
                f"edits of {len(made)} bytes", f"at most {MAX_BYTES}", "select by lasso or box instead of by pixels"
            )
        return made

    @classmethod
    def from_bytes(cls, data: bytes, origin: Origin, frame: Frame, where: str = "the file") -> Document:
        """Read a document, checking everything in it.

        Parameters
        ----------
        data : bytes
            The file.
        origin : Origin
            Which labels it must be of.
        frame : Frame
            What its edits must be possible in.
        where : str
            Which file it is, for errors.

        Raises
        ------
        EditsError
            If it is anything else than what `to_bytes` makes.
        """
        content = _checked(data, where)
        try:
            return _read(content, origin, frame, where)
        except (ParameterError, RecursionError) as error:
            found = error.found if isinstance(error, ParameterError) else "something nested too deep"
            _refuse(f"{found} in {where}", getattr(error, "wanted", "edits"), error)


def canonical(content: Mapping[str, Any]) -> bytes:
    """Write JSON in its one canonical form: keys sorted, no spaces, ASCII, the shortest decimals of each float."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def checksum(content: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical form of everything but the checksum itself."""
    return hashlib.sha256(canonical({key: content[key] for key in content if key != "sha256"})).hexdigest()


def _refuse(found: str, wanted: str, cause: BaseException | None = None) -> NoReturn:
    raise EditsError(found, wanted, _KEEP) from cause


# --- the envelope -----------------------------------------------------------------------------------------------------


def _checked(data: bytes, where: str) -> dict[str, Any]:
    """Take a file apart: JSON of our kind and format, complete and unchanged."""
    if len(data) > MAX_BYTES:
        _refuse(f"{len(data)} bytes in {where}", f"at most {MAX_BYTES}")
    try:
        content = json.loads(data.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:  # no UTF-8, no JSON, a number of thousands of digits, too deep
        _refuse(f"no whole JSON in {where}: {error}", "edits as refold saves them", error)
    if not isinstance(content, dict) or content.get("kind") != _KIND:
        _refuse(f"something else in {where}", "edits as refold saves them")
    form = content.get("format")
    if type(form) is int and form > FORMAT:
        raise EditsError(
            f"edits of format {form} in {where}",
            f"format {FORMAT} or older",
            "open it with the newer Refold that wrote it; the file stays as it is",
        )
    if form != FORMAT or type(form) is not int or set(content) != _KEYS:
        _refuse(f"edits with other entries than theirs in {where}", ", ".join(sorted(_KEYS)))
    try:
        same = content["sha256"] == checksum(content)
    except (ValueError, RecursionError) as error:
        _refuse(f"something that was never written in {where}", "edits as refold saves them", error)
    if not same:
        _refuse(f"{where}, which was changed or damaged", "edits with the checksum that they were saved with")
    return content


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("an entry twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name}, which is no number")


# --- the content ------------------------------------------------------------------------------------------------------


def _read(content: Mapping[str, Any], origin: Origin, frame: Frame, where: str) -> Document:
    revision, cursor = (_whole(content[key], key) for key in ("revision", "cursor"))
    author, time = (_text(content[key], key) for key in ("author", "time"))
    _check_time(time)
    _check_origin(_entries(content["of"], {"clustering", "labels", "clusters", "shape"}), origin, frame, where)
    written = content["operations"]
    if not isinstance(written, list) or len(written) > MAX_OPERATIONS:
        raise ParameterError(f"operations {shortened(written)}", f"a list of at most {MAX_OPERATIONS}", "")
    history = History(frame, tuple(_operation(one) for one in written), cursor)
    history.check()
    if not 1 <= revision <= _MAX_REVISION:
        raise ParameterError(f"revision {revision}", "1 or more", "")
    return Document(origin, history, revision, author, time)


def _check_origin(of: Mapping[str, Any], origin: Origin, frame: Frame, where: str) -> None:
    if of["clustering"] != origin.clustering:
        raise ParameterError(f"edits of the clustering {shortened(of['clustering'])}", f"of {origin.clustering}", "")
    shape = list(frame.shape)
    if (of["labels"], of["clusters"], of["shape"]) != (origin.fingerprint, frame.clusters, shape):
        raise EditsError(
            f"edits of other labels in {where}: the run was done again since, with other options",
            f"edits of the labels that are there now, {frame.clusters} clusters on a grid of {frame.shape}",
            "begin anew under another name, as in edits(run, name='mine'); the file stays, for a run as it was",
        )


def _entries(data: Any, keys: set[str]) -> dict[str, Any]:
    if not isinstance(data, dict) or set(data) != keys:
        raise ParameterError(f"{shortened(data)}", f"the entries {', '.join(sorted(keys))}", "")
    return data


def _whole(value: Any, what: str) -> int:
    if type(value) is not int:
        raise ParameterError(f"{what} {shortened(value)}", "a whole number", "")
    return value


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _MAX_TEXT and value.isprintable()


def _text(value: Any, what: str) -> str:
    if not _is_text(value):
        raise ParameterError(f"{what} {shortened(value)}", f"up to {_MAX_TEXT} characters that can be printed", "")
    return str(value)


def _check_time(time: str) -> None:
    try:
        aware = datetime.fromisoformat(time).utcoffset() is not None
    except ValueError:
        aware = False
    if not aware:
        raise ParameterError(f"the time {shortened(time)}", "a time of ISO 8601 with its zone", "")


# --- operations -------------------------------------------------------------------------------------------------------


def _written(operation: Operation) -> dict[str, Any]:
    match operation:
        case Merge():
            return {"do": "merge", "clusters": list(operation.clusters), "name": operation.name}
        case Split():
            only = None if operation.clusters is None else list(operation.clusters)
            selection = operation.selection.to_dict()
            return {
                "do": "split",
                "selection": selection,
                "clusters": only,
                "noise": operation.noise,
                "name": operation.name,
            }
        case Rename():
            return {"do": "rename", "cluster": operation.cluster, "name": operation.name}
        case Recolour():
            return {"do": "recolour", "colours": [list(pair) for pair in operation.colours]}
        case Reset():
            return {"do": "reset"}


def _merge(data: Mapping[str, Any]) -> Merge:
    return Merge(_clusters(data["clusters"]), data["name"])


def _split(data: Mapping[str, Any]) -> Split:
    if type(data["noise"]) is not bool:
        raise ParameterError(f"noise {shortened(data['noise'])}", "true or false", "")
    only = None if data["clusters"] is None else _clusters(data["clusters"])
    return Split(Selection.from_dict(data["selection"]), only, data["noise"], data["name"])


def _rename(data: Mapping[str, Any]) -> Rename:
    return Rename(_whole(data["cluster"], "cluster"), data["name"])


def _recolour(data: Mapping[str, Any]) -> Recolour:
    pairs = data["colours"]
    if not isinstance(pairs, list) or any(not isinstance(pair, list) or len(pair) != 2 for pair in pairs):
        raise ParameterError(f"colours {shortened(pairs)}", "pairs of a cluster and its colour", "")
    return Recolour(tuple((_whole(cluster, "cluster"), colour) for cluster, colour in pairs))


def _reset(data: Mapping[str, Any]) -> Reset:
    return Reset()


_READERS: dict[str, tuple[set[str], Callable[[Mapping[str, Any]], Operation]]] = {
    "merge": ({"clusters", "name"}, _merge),
    "split": ({"selection", "clusters", "noise", "name"}, _split),
    "rename": ({"cluster", "name"}, _rename),
    "recolour": ({"colours"}, _recolour),
    "reset": (set(), _reset),
}


def _operation(data: Any) -> Operation:
    word = data.get("do") if isinstance(data, dict) else None
    if not isinstance(word, str) or word not in _READERS:
        raise ParameterError(f"the operation {shortened(data)}", f"one of {', '.join(_READERS)}", "")
    keys, read = _READERS[word]
    return read(_entries(data, {"do", *keys}))


def _clusters(data: Any) -> tuple[int, ...]:
    if not isinstance(data, list):
        raise ParameterError(f"clusters {shortened(data)}", "a list of ids", "")
    return tuple(_whole(one, "cluster") for one in data)


def _user() -> str:
    try:
        return getpass.getuser()[:_MAX_TEXT]
    except (OSError, KeyError, ImportError):  # no name of this user is known, as in some containers
        return "somebody"
