"""How long the parts of a run take on a machine of known rates, as far as sizes tell."""

from __future__ import annotations

from dataclasses import dataclass

from refold.planning.rates import FALLBACK, Rates

# Measured with `python -m benchmarks --only forecast` on two cores whose thin products run at this rate; what is not
# bound by reading is taken to scale with it.
_REFERENCE = 120e9
_CODECS = 0.75  # of the rate of LZ4: Zstandard and others are slower, no compression is quicker
_FIRST_VISIT = 300  # bytes of a copy that take as long as preparing, summing up and encoding a value
_LATER_VISIT = 100  # the same for a value that was written
_FIRST_START, _START = 1.5, 0.7  # s: imports, and compiled code that is loaded, before the first sweep and others
_UMAP_START, _UMAP_LANDMARK = 2.2, 3.5e-4  # s
_DRAWN_PIXEL = 2e-5  # s, of landmarks that are drawn from more pixels
_TREE, _TREE_IN_SCORES = 3.5e-5, 1.75e-4  # s a landmark, of HDBSCAN in a latent space or in that of the scores
_PAGE_START, _PAGE_PIXEL = 4.0, 6e-6  # s, of the report
_VOTE = 4  # operations for each pixel, landmark and component


@dataclass(frozen=True)
class Clock:
    """Times of a run's parts, in seconds.

    Parameters
    ----------
    workers : int
        Partitions in flight.
    rates : Rates
        Of one core.

    Examples
    --------
    >>> Clock(workers=2).reading(3e9), Clock(workers=4).reading(3e9)
    (2.0, 1.0)
    """

    workers: int
    rates: Rates = FALLBACK

    @property
    def _slower(self) -> float:
        """How much longer than on the machine that was measured."""
        return _REFERENCE / self.rates.thin

    def reading(self, nbytes: float) -> float:
        """Decode so many bytes."""
        return nbytes / (_CODECS * self.rates.decode * self.workers)

    def first_sweep(self, nbytes: float, values: float) -> float:
        """Read the scan; prepare, sum up and write its values."""
        return _FIRST_START + self.reading(nbytes) + values * _FIRST_VISIT / (self.rates.memory * self.workers)

    def sweeps(self, count: float, nbytes: float, values: float, flops: float = 0.0) -> float:
        """Read and look at so many bytes and values, so many times, with so many operations in all."""
        once = self.reading(nbytes) + values * _LATER_VISIT / (self.rates.memory * self.workers)
        return _START + count * once + flops / (self.rates.thin * self.workers)

    def embedding(self, n_pixels: int, n_landmarks: int, n_latent: int) -> float:
        """Draw landmarks and, if there are latent dims, find their coordinates."""
        drawing = _DRAWN_PIXEL * n_pixels if n_landmarks < n_pixels else 0.0
        umap = _UMAP_START + _UMAP_LANDMARK * n_landmarks if n_latent else 0.0
        return 0.2 + self._slower * (drawing + umap)

    def clustering(self, n_landmarks: int, n_latent: int) -> float:
        """Cluster the landmarks."""
        return 0.1 + self._slower * n_landmarks * (_TREE if n_latent else _TREE_IN_SCORES)

    def voting(self, n_pixels: int, n_landmarks: int, n_components: int) -> float:
        """Give every pixel the answer of its nearest landmarks."""
        tried = _VOTE * n_pixels * n_landmarks * n_components if n_landmarks < n_pixels else 0
        return 0.2 + tried / (self.rates.thin * self.workers)

    def report(self, n_pixels: int) -> float:
        """Draw the page."""
        return self._slower * (_PAGE_START + _PAGE_PIXEL * n_pixels)
