"""The numbers that a forecast is made from."""

from __future__ import annotations

from dataclasses import dataclass

from refold.planning.rates import FALLBACK, Rates


@dataclass(frozen=True)
class Sizes:
    """The numbers that a forecast is made from.

    Parameters
    ----------
    n_pixels, n_features : int
        Of what is learnt from.
    raw_bytes, raw_chunks : int
        Of the scan as it is stored, decoded.
    chunk_reads : int
        Chunk reads of one raw sweep; more than there are chunks where blocks split them.
    feature_bytes : int
        Bytes of what is learnt from: the prepared cube, or the features of all cubes, fused.
    block_memory : int
        Bytes in flight during a sweep: all workers' blocks.
    state_bytes : int
        Bytes of the visitors' states alive at once.
    n_components, n_landmarks, n_latent : int
        Sizes of the results; no latent dims if nothing is embedded.
    materialise : bool
        Whether the prepared features are written, so that the raw scan is read once.
    reduce_sweeps : int
        Sweeps of the reduction: the one for the sums it starts from not counted, the one for the scores counted.
    flops : int
        Of the reduction.
    tasks_per_sweep : int
        Partitions and merges.
    workers : int
        Partitions in flight.
    full_pixels : int
        Pixels of the scan before navigation binning.
    rates : Rates
        How fast this machine is.
    prepared_bytes : int
        Bytes of the prepared cubes, where features are made of them; else 0.
    fuse_sweeps : int
        Sweeps over the prepared cubes that fit and write these features; 0 without.
    prepared_sweeps, fuse_bytes : int
        Of these sweeps those over the prepared cubes, and not over what is kept of them; bytes that all of them read.
    kept_bytes : int
        Bytes of features that are written on the way, for steps that read them more than once.
    training_bytes, process_bytes : int
        Of data that training a network holds, and by what the process itself grows for it; else 0.
    reduces : bool
        Whether components are sought; else the features themselves are the scores.
    """

    n_pixels: int
    n_features: int
    raw_bytes: int
    raw_chunks: int
    chunk_reads: int
    feature_bytes: int
    block_memory: int
    state_bytes: int
    n_components: int
    n_landmarks: int
    n_latent: int
    materialise: bool
    reduce_sweeps: int
    flops: int
    tasks_per_sweep: int
    workers: int
    full_pixels: int
    rates: Rates = FALLBACK
    prepared_bytes: int = 0
    fuse_sweeps: int = 0
    prepared_sweeps: int = 0
    fuse_bytes: int = 0
    kept_bytes: int = 0
    training_bytes: int = 0
    process_bytes: int = 0
    reduces: bool = True

    @property
    def n_values(self) -> int:
        """Of what is learnt from."""
        return self.n_pixels * self.n_features

    @property
    def fuses(self) -> bool:
        """Whether features are made of the prepared cubes before anything is learnt."""
        return self.fuse_sweeps > 0

    @property
    def written_before(self) -> int:
        """Bytes that the first stage writes: the prepared cubes."""
        return self.prepared_bytes if self.fuses else self.feature_bytes

    @property
    def reread(self) -> int:
        """Bytes of one raw sweep, chunks that are read twice counted twice."""
        return self.raw_bytes * self.chunk_reads // max(1, self.raw_chunks)

    @property
    def scores_bytes(self) -> int:
        """Bytes of all scores and residuals."""
        return 4 * self.n_pixels * (self.n_components + 1)
