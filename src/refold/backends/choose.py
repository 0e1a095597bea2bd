"""Which backend runs. The only file that may import the GPU backend."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Literal

from refold.backends.cpu import CpuBackend
from refold.backends.protocol import Backend
from refold.errors import BackendError, ParameterError

Device = Literal["auto", "cpu", "gpu"]
_GPU_PACKAGES = ("cupy", "cuml")


def choose(device: Device | str = "auto") -> Backend:
    """Pick the backend of a run.

    Parameters
    ----------
    device : {"auto", "cpu", "gpu"}
        ``auto`` takes the best there is and says why in `Backend.reason`.

    Returns
    -------
    Backend
        A backend that works here.

    Raises
    ------
    BackendError
        If a GPU is asked for and cannot be used; it says what was looked for.
    ParameterError
        If the device has no such name.

    Examples
    --------
    >>> choose("cpu").name
    'cpu'
    """
    if device == "cpu":
        return CpuBackend("asked for")
    if device == "auto":
        return CpuBackend(f"the GPU backend cannot be used: {_looked_for()}")
    if device == "gpu":
        raise BackendError(_looked_for(), "a GPU backend", "use device='cpu', or 'auto' to take what there is")
    raise ParameterError(f"device={device!r}", "'auto', 'cpu' or 'gpu'", "name one of these")


def _looked_for() -> str:
    """What a GPU backend would need, and what of it is here."""
    packages = ", ".join(f"{name} {'is' if find_spec(name) else 'is not'} installed" for name in _GPU_PACKAGES)
    return f"this version of Refold has no GPU backend ({packages})"
