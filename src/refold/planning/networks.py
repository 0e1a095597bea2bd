"""What training an autoencoder costs: how often the scan is read, the operations, and the memory."""

from __future__ import annotations

from refold.planning.solver import SolverChoice

# Resident, of importing PyTorch and starting its threads.
TORCH_MEMORY = 300_000_000
_WHOLE = 2  # share of the memory in which all pixels are kept, if they fit
_COPIES = 6  # of the weights: themselves, their gradients, two moments of these, the best so far, a copy being saved
_PASSES = 3  # of a pixel through the network: there, back, and once more for the gradients of the weights
_STEP = 100_000_000  # operations that could be done while one step is called for, whatever its size


def streams(n_pixels: int, n_features: int, memory_bytes: int) -> bool:
    """Whether every epoch reads the scan, since its pixels do not fit in memory.

    Parameters
    ----------
    n_pixels, n_features : int
        Sizes.
    memory_bytes : int
        What may be used.

    Returns
    -------
    bool
        True where float32 rows of all pixels take more than half.

    Examples
    --------
    >>> streams(65_536, 100, 10**9), streams(10**7, 100, 10**9)
    (False, True)
    """
    return 4 * n_pixels * n_features > memory_bytes // _WHOLE


def cost_of_network(
    n_pixels: int, n_features: int, n_weights: int, epochs: int, memory_bytes: int, batch: int = 256
) -> SolverChoice:
    """What training a network costs, if it takes all of its epochs.

    Parameters
    ----------
    n_pixels, n_features : int
        Sizes.
    n_weights : int
        Numbers that are learnt.
    epochs : int
        How often each pixel is seen.
    memory_bytes : int
        What may be used.
    batch : int
        Pixels of a step.

    Returns
    -------
    SolverChoice
        Sweeps: the one for the sums, and one for all epochs or, where the pixels do not fit, for each.

    Examples
    --------
    >>> cost_of_network(65_536, 100, 20_000, epochs=50, memory_bytes=10**9).sweeps
    2
    """
    read = epochs if streams(n_pixels, n_features, memory_bytes) else 1
    flops = epochs * (2 * _PASSES * n_weights * n_pixels + _STEP * -(-n_pixels // batch))
    return SolverChoice("network", 1 + read, training_bytes(n_pixels, n_features, n_weights, memory_bytes), flops)


def training_bytes(n_pixels: int, n_features: int, n_weights: int, memory_bytes: int) -> int:
    """Bytes of data that training holds: pixels, within the memory allowed, and copies of the weights.

    Examples
    --------
    >>> training_bytes(1000, 100, 20_000, memory_bytes=10**9)
    1280000
    """
    pixels = 4 * n_pixels * n_features
    return (2 * pixels if not streams(n_pixels, n_features, memory_bytes) else memory_bytes) + 4 * _COPIES * n_weights
