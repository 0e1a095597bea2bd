"""Edits written down: the same bytes each time, and nothing but a clear error for whatever else is read."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from refold import RefoldError, Selection
from refold.editing.document import FORMAT, MAX_BYTES, Document, Origin, canonical, checksum
from refold.editing.history import MAX_OPERATIONS, History
from refold.editing.operations import Frame, Merge, Recolour, Rename, Reset, Split
from refold.errors import EditsError, ParameterError
from tests.editing.made_edits import FRAME, histories, junk

ORIGIN = Origin(None, "0" * 32)
LASSO = Selection.lasso([(0.1, 0), (1, 1 / 3), (0, 2)], "map") | ~Selection.pixels([3, 4, 9])
HISTORY = History(
    FRAME,
    (
        Merge((0, 2), "quartz"),
        Split(LASSO, (1,), noise=True),
        Rename(4, "Fe₂O₃"),
        Recolour(((4, "#aa3377"), (0, None))),
        Reset(),
    ),
    4,
)


def document(history: History = HISTORY) -> Document:
    return Document(ORIGIN, history, 3, "anna", "2026-01-02T03:04:05+00:00")


def read(data: bytes, origin: Origin = ORIGIN, frame: Frame = FRAME) -> Document:
    return Document.from_bytes(data, origin, frame)


def sealed(**changes: Any) -> bytes:
    """A document changed by somebody who knows how to make its checksum."""
    content = {**json.loads(document().to_bytes()), **changes}
    return canonical({**content, "sha256": checksum(content)})


@given(history=histories(most=8))
def test_a_document_comes_back_and_is_the_same_bytes(history: History) -> None:
    written = document(history).to_bytes()
    again = read(written)
    assert again == document(history)
    assert again.to_bytes() == written


def test_its_form_stays() -> None:
    before = (
        b'{"author":"anna","cursor":1,"format":1,"kind":"refold edits","of":{"clustering":null,"clusters":4,'
        b'"labels":"00000000000000000000000000000000","shape":[6,7]},'
        b'"operations":[{"clusters":[0,2],"do":"merge","name":"quartz"}],"revision":3'
    )
    after = b',"time":"2026-01-02T03:04:05+00:00"}'
    seal = hashlib.sha256(before + after).hexdigest().encode()
    made = document(History(FRAME, (Merge((0, 2), "quartz"),), 1)).to_bytes()
    assert made == before + b',"sha256":"' + seal + b'"' + after + b"\n"


def test_time_is_that_of_the_clock_in_utc() -> None:
    made = Document.now(ORIGIN, HISTORY, 1)
    assert made.time.endswith("+00:00")
    assert made.author
    assert read(made.to_bytes()) == made
    with pytest.raises(ParameterError, match="author"):
        Document.now(ORIGIN, HISTORY, 1, "a\nb")


def test_a_clock_that_was_set_back_changes_nothing() -> None:
    assert read(sealed(time="1970-01-01T00:00:00+00:00")).revision == 3


# --- whatever else it is ----------------------------------------------------------------------------------------------


@given(data=st.binary(max_size=200))
@example(b"")
@example(b"null")
@example(b"\xff\xfe")
@example(b"[" * 100_000)
@example(b'{"kind":' + b"9" * 5000 + b"}")
@example(b'{"kind":"refold edits","kind":"refold edits"}')
@example(b'{"kind":"refold edits","format":NaN}')
@example(document().to_bytes().replace(b'"cursor":4', b'"cursor":Infinity'))
@example(document().to_bytes().replace(b'"cursor":4', b'"cursor":1e999'))
def test_bytes_that_are_no_edits_are_refused(data: bytes) -> None:
    with pytest.raises(EditsError):
        read(data)


@given(data=junk())
def test_json_that_is_no_edits_is_refused(data: Any) -> None:
    with pytest.raises(EditsError):
        read(json.dumps(data).encode())


@given(place=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_no_changed_bit_goes_unnoticed(place: int, bit: int) -> None:
    data = bytearray(document().to_bytes().rstrip())
    data[place % len(data)] ^= 1 << bit
    with pytest.raises(EditsError):
        read(bytes(data))


@given(end=st.integers(0, 10**6))
def test_a_truncated_document_is_refused(end: int) -> None:
    data = document().to_bytes().rstrip()
    with pytest.raises(EditsError):
        read(data[: end % len(data)])


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a document where something else could stand."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, part in inner for place in _places(part, (*path, key)))]


_CONTENT = json.loads(document().to_bytes())
_PLACES = [place for place in _places(_CONTENT) if place and place != ("sha256",)]


@given(place=st.sampled_from(_PLACES), what=junk(), drop=st.booleans())
@example(("operations", 1, "selection"), {"pixels": [[0, 2**70]]}, False)
@example(("operations", 1, "noise"), 1, False)
@example(("operations", 0, "clusters"), [0, [2]], False)
@example(("operations", 0, "name"), {"a": 1}, False)
@example(("operations", 0, "do"), ["merge"], False)
@example(("operations", 3, "colours"), [[4, ["#aa3377"]]], False)
@example(("of", "shape"), [6.0, 7.0], False)
@example(("revision",), 10**400, False)
@example(("cursor",), True, False)
@example(("time",), "2026-01-02", False)
def test_a_changed_document_with_a_new_checksum_is_sound_or_refused(place: Any, what: Any, drop: bool) -> None:
    content = json.loads(document().to_bytes())
    inner = content
    for key in place[:-1]:
        inner = inner[key]
    if drop:
        del inner[place[-1]]
    else:
        inner[place[-1]] = what
    try:
        found = read(canonical({**content, "sha256": checksum(content)}))
    except RefoldError:
        return
    found.history.check()
    assert read(found.to_bytes()) == found


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (sealed(format=FORMAT + 1), "the newer Refold that wrote it"),
        (sealed(format=True), "other entries"),
        (sealed(extra=1), "other entries"),
        (sealed(kind="something"), "something else"),
        (sealed(cursor=9), "cursor 9"),
        (sealed(cursor=-1), "cursor -1"),
        (sealed(revision=0), "revision 0"),
        (sealed(author="a\x00"), "author"),
        (sealed(operations=[{"do": "reset"}] * (MAX_OPERATIONS + 1)), "at most 10000"),
        (sealed(operations=[{"do": "merge", "clusters": [0, 9], "name": None}], cursor=1), "cluster 9"),
        (sealed(of={"clustering": "gmm5", "labels": "0" * 32, "clusters": 4, "shape": [6, 7]}), "clustering 'gmm5'"),
        (sealed(of={"clustering": None, "labels": "1" * 32, "clusters": 4, "shape": [6, 7]}), "done again since"),
        (document().to_bytes().replace(b"quartz", b"quarts"), "changed or damaged"),
        (document().to_bytes()[:-30], "no whole JSON"),
        (b" " * (MAX_BYTES + 1), "at most 64000000"),
    ],
)
def test_what_is_wrong_is_said(data: bytes, said: str) -> None:
    with pytest.raises(EditsError, match=said) as told:
        read(data)
    assert "the file stays" in str(told.value)


def test_other_spaces_are_no_other_document() -> None:
    content = json.loads(document().to_bytes())
    assert read(json.dumps(content, indent=4).encode()) == document()


def test_what_could_not_be_read_again_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("refold.editing.document.MAX_BYTES", 100)
    with pytest.raises(ParameterError, match="by lasso or box"):
        document().to_bytes()
