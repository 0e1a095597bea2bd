"""umap-learn, loaded so that only what is called is compiled, and compiled once.

``import umap`` imports pynndescent, which compiles a hundred functions as it is imported: 15 seconds in a new
environment. None of them is called where the neighbours are given. So umap-learn's modules are also loaded here, with
placeholders in pynndescent's stead. Of umap-learn's own functions three are called and take five seconds to compile, in
every process anew, for it does not ask Numba to keep them; for the copies Numba is asked. Whoever imports umap, before
or after, has the real one: the copies bear other names.
"""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import FunctionType, ModuleType
from typing import Any

_COMPILED = {
    "umap.umap_": ("smooth_knn_dist", "compute_membership_strengths"),
    "umap.layouts": (
        "_nb_optimize_layout_euclidean_single_epoch",
        "_nb_optimize_layout_euclidean_single_epoch_parallel",
    ),
}
_LOADING = threading.Lock()


class _NoSearch:
    """Stands for pynndescent's search, which is not called."""

    def __init__(self, *_: Any, **__: Any) -> None:
        raise NotImplementedError("umap-learn was loaded without pynndescent, for neighbours that are given")


def needs_no_search(parameters: Mapping[str, Any]) -> bool:
    """Whether a fit with given Euclidean neighbours never searches others.

    Parameters
    ----------
    parameters : mapping
        Of `umap.UMAP`.

    Examples
    --------
    >>> needs_no_search({"init": "random"}), needs_no_search({"init": "spectral"})
    (True, False)
    """
    # A spectral start measures distances between pieces of the graph; densities in the layout need its neighbours.
    start = parameters.get("init", "spectral")
    return not (isinstance(start, str) and "spectral" in start) and not parameters.get("output_dens", False)


def umap_class(*, searching: bool = True) -> Any:
    """The class `umap.UMAP`.

    Parameters
    ----------
    searching : bool
        Whether it will have to find neighbours. Without, it comes many seconds sooner in a new environment.
    """
    if not searching:
        with _LOADING:
            copy = _without_search()
        if copy is not None:
            return copy
    with warnings.catch_warnings():
        # It warns at import that TensorFlow, for its parametric variant, is not there.
        warnings.filterwarnings("ignore", "Tensorflow not installed", ImportWarning)
        return import_module("umap").UMAP


@cache
def _without_search() -> Any:
    """The class from the copies; None if this version of umap-learn wants more than the placeholders have."""
    from numba.core.dispatcher import Dispatcher

    try:
        with _in_place_of_umap():
            import_module("umap.umap_")
            copies = {name: module for name, module in sys.modules.items() if name.startswith("umap.")}
    except ImportError:
        return None
    for name, copy in copies.items():
        _rename(copy, f"{__name__}.{name.removeprefix('umap.')}")
    for module, names in _COMPILED.items():
        for name in names:
            function = getattr(copies[module], name, None)
            if isinstance(function, Dispatcher):
                function.enable_caching()
    return copies["umap.umap_"].UMAP


def _rename(module: ModuleType, name: str) -> None:
    """Enter a module under another name, for Numba looks up by name the modules of what it compiles.

    Only now, after the loading: what umap-learn compiles as it is loaded goes to Numba's cache, where umap-learn itself
    will look, and there it must bear umap-learn's name.
    """
    for value in list(vars(module).values()):
        function = getattr(value, "py_func", value)
        if isinstance(function, FunctionType) and function.__module__ == module.__name__:
            function.__module__ = name
    module.__name__ = name
    sys.modules[name] = module


@contextmanager
def _in_place_of_umap() -> Iterator[None]:
    """Let ``import umap`` find a package without content and ``import pynndescent`` placeholders."""
    spec = find_spec("umap")
    names = ("umap", "pynndescent", "pynndescent.distances", "pynndescent.sparse")
    stands_for = {name: ModuleType(name) for name in names}
    stands_for["umap"].__path__ = list(spec.submodule_search_locations or ()) if spec is not None else []
    vars(stands_for["pynndescent"])["NNDescent"] = _NoSearch
    vars(stands_for["pynndescent.distances"])["named_distances"] = {"euclidean": None}
    vars(stands_for["pynndescent.sparse"])["sparse_named_distances"] = {}
    real = _take_out()
    sys.modules.update(stands_for)
    try:
        yield
    finally:
        _take_out()
        sys.modules.update(real)


def _take_out() -> dict[str, ModuleType]:
    """Take umap and pynndescent out of the table of modules."""
    names = [name for name in sys.modules if name.partition(".")[0] in ("umap", "pynndescent")]
    return {name: sys.modules.pop(name) for name in names}
