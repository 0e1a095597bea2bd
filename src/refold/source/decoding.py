"""From a stored chunk's bytes to its values: straight to where they are wanted, in the thread that wants them.

The codecs are numcodecs', which decode into a given buffer and let other threads run meanwhile. What they cannot do is
left to zarr-python: `Decoder.of` then answers None.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import google_crc32c
import numcodecs
import numpy as np
from numcodecs.abc import Codec
from numpy.typing import NDArray

from refold.engine import buffers

Bytes = NDArray[np.uint8]

_BY_ID = {"blosc", "zstd", "lz4", "gzip", "zlib"}  # as numcodecs and Zarr v2 name them
_CRC_BYTES = 4


class WrongSizeError(ValueError):
    """Bytes that decode to more or fewer than a chunk has."""


@dataclass(frozen=True, slots=True)
class Crc32c:
    """The checksum of Zarr v3, which stands behind the bytes that it is of."""

    codec_id = "crc32c"

    def strip(self, stored: Bytes) -> Bytes:
        """Return the bytes without their checksum, or raise where it is another one."""
        body, told = stored[:-_CRC_BYTES], stored[-_CRC_BYTES:]
        found = google_crc32c.value(body.tobytes())
        if int.from_bytes(told.tobytes(), "little") != found:
            raise ValueError("the checksum is not that of the bytes")
        return body


@dataclass(frozen=True, slots=True)
class Decoder:
    """How the bytes of one stored chunk become its values.

    Parameters
    ----------
    shape : tuple of int
        Of a chunk.
    dtype : numpy.dtype
        As stored, byte order included.
    order : tuple of int
        Which dim of the chunk each stored dim is, slowest first.
    codecs : tuple of Codec or Crc32c
        From bytes to bytes, in the order in which they are undone.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    order: tuple[int, ...]
    codecs: tuple[Codec | Crc32c, ...]

    @classmethod
    def of_v2(cls, metadata: Mapping[str, Any], dtype: np.dtype[Any]) -> Decoder | None:
        """Make the decoder of an array of Zarr v2, from its metadata as the specification writes them."""
        compressor = metadata["compressor"]
        if metadata["filters"] or (compressor is not None and compressor["id"] not in _BY_ID):
            return None
        shape = tuple(metadata["chunks"])
        order = range(len(shape)) if metadata["order"] == "C" else reversed(range(len(shape)))
        codecs = () if compressor is None else (numcodecs.get_codec(dict(compressor)),)
        return cls(shape, dtype, tuple(order), codecs)

    @classmethod
    def of_v3(cls, codecs: Sequence[Mapping[str, Any]], shape: tuple[int, ...], dtype: np.dtype[Any]) -> Decoder | None:
        """Make the decoder of an array of Zarr v3, or of the chunks in its shards, from its list of codecs."""
        order = tuple(range(len(shape)))
        undone: list[Codec | Crc32c] = []
        for codec in codecs:
            name, options = codec["name"].removeprefix("numcodecs."), codec.get("configuration", {})
            if name == "transpose":
                order = tuple(order[dim] for dim in options["order"])
            elif name == "bytes":
                dtype = dtype.newbyteorder(">" if options.get("endian") == "big" else "<")
            elif name == "crc32c":
                undone.insert(0, Crc32c())
            elif name in _BY_ID:
                undone.insert(0, numcodecs.get_codec({"id": name}))
            else:
                return None
        return cls(shape, dtype, order, tuple(undone))

    @property
    def nbytes(self) -> int:
        """Bytes of a decoded chunk."""
        return math.prod(self.shape) * self.dtype.itemsize

    def decode(self, stored: Bytes, into: NDArray[Any] | None = None) -> NDArray[Any]:
        """Decode a chunk.

        Parameters
        ----------
        stored : numpy.ndarray
            Its bytes.
        into : numpy.ndarray, optional
            Where to put the values: of the chunk's shape and native dtype. On a buffer by default.

        Returns
        -------
        numpy.ndarray
            The values in native byte order: `into`, or a view of a buffer.

        Raises
        ------
        ValueError, RuntimeError
            If the bytes are not those of such a chunk.
        """
        straight = self.order == tuple(range(len(self.shape)))
        if straight and into is not None and into.flags.c_contiguous:
            self._fill(stored, into)
            return into
        values = buffers.empty([self.shape[dim] for dim in self.order], self.dtype.newbyteorder("="))
        self._fill(stored, values)
        values = values.transpose(np.argsort(self.order))
        if into is None:
            return values
        np.copyto(into, values)
        return into

    def _fill(self, stored: Bytes, values: NDArray[Any]) -> None:
        """Undo all codecs, the last of them into the values' own memory."""
        target: Bytes = values.reshape(-1).view(np.uint8)
        done = False
        for place, codec in enumerate(self.codecs):
            if isinstance(codec, Crc32c):
                stored = codec.strip(stored)
                continue
            announced = _announced(codec, stored)
            done = place == len(self.codecs) - 1 and announced == target.nbytes
            decoded = codec.decode(stored, out=target) if done else codec.decode(stored)
            stored = np.frombuffer(decoded, np.uint8)
        if not done:
            if stored.nbytes != target.nbytes:
                raise WrongSizeError(f"{stored.nbytes} bytes where a chunk has {target.nbytes}")
            target[:] = stored
        if not self.dtype.isnative:
            values.byteswap(inplace=True)


def _announced(codec: Codec, stored: Bytes) -> int | None:
    """How many bytes will come of decoding, as far as the stored ones say: only then can a buffer be handed to it."""
    if codec.codec_id == "zstd":
        return _zstd_size(stored[:18].tobytes())
    if codec.codec_id == "shuffle":
        return stored.nbytes
    if codec.codec_id == "lz4":
        return int.from_bytes(stored[:4].tobytes(), "little")  # numcodecs writes it there
    if codec.codec_id == "blosc":
        decoded, _, encoded = np.frombuffer(stored[4:16].tobytes().ljust(12, b"\0"), "<u4").tolist()
        if encoded != stored.nbytes:  # the library would read on behind them
            raise WrongSizeError(f"{stored.nbytes} bytes, of which its header says {encoded}")
        return int(decoded)
    return None


def _zstd_size(head: bytes) -> int | None:
    """Read the content size in the header of a Zstandard frame: RFC 8878, section 3.1.1.1."""
    if len(head) < 5 or head[:4] != b"\x28\xb5\x2f\xfd":
        return None
    told = head[4]
    single, flag = bool(told & 0x20), told >> 6
    width = (1 if single else 0) if flag == 0 else 1 << flag
    start = 5 + (not single) + (0, 1, 2, 4)[told & 3]
    if not width or len(head) < start + width:
        return None
    size = int.from_bytes(head[start : start + width], "little")
    return size + 256 if width == 2 else size
