"""The model that turns features into scores, as a run drives it: asked what it will cost, fed, and settled."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from refold.cube import n_features, n_pixels
from refold.engine.visitor import AnyVisitor
from refold.errors import RecipeError
from refold.planning.networks import TORCH_MEMORY
from refold.planning.solver import SolverChoice, cost_of_factors, cost_of_noise
from refold.recipe import Reduce
from refold.reduce import ICA, MNF, NMF, PCA, Autoencoder, promote_outliers

_MODELS: dict[str, type[Any]] = {
    "pca": PCA,
    "mnf": MNF,
    "nmf": NMF,
    "ica": ICA,
    "autoencoder": Autoencoder,
    "none": PCA,
}
_SWEEPS_OF_NMF = 30  # that it takes, as a rule


class Reducer:
    """Whichever model a recipe names.

    Parameters
    ----------
    options : Reduce
        Its section of the recipe.
    """

    def __init__(self, options: Reduce) -> None:
        self.options = options
        self.reduces = options.method != "none"
        kind = _MODELS[options.method]
        known = set(kind._get_param_names()) - {"decomposition"}  # which is no plain value
        for name in options.arguments():
            if name not in known:
                raise RecipeError(
                    f"reduce.parameters.{name} with reduce.method = {options.method!r}",
                    f"one of {', '.join(sorted(known))}",
                    "rename it, or leave it out",
                )
        self.model = kind(**options.arguments())

    def cost(self, cube: xr.DataArray) -> SolverChoice:
        """What fitting the model is expected to take."""
        pixels, features = n_pixels(cube), n_features(cube)
        if isinstance(self.model, MNF):
            return cost_of_noise(pixels, features)
        if isinstance(self.model, NMF):
            return cost_of_factors(pixels, features, self.model.n_components, _SWEEPS_OF_NMF)
        if isinstance(self.model, ICA):  # loadings take one sweep more
            found = PCA(self.model.n_components, center=False).choose(cube)
            return replace(found, sweeps=found.sweeps + (self.model.on == "loadings"))
        if isinstance(self.model, Autoencoder):
            return self.model.cost(cube)
        choice: SolverChoice = self.model.choose(cube)
        return choice

    @property
    def process_bytes(self) -> int:
        """What the process itself grows by, beside its data, while the model is fitted."""
        return TORCH_MEMORY if isinstance(self.model, Autoencoder) else 0

    def check_ready(self) -> None:
        """Raise if a package that the model needs is missing, before hours go into what comes first."""
        if isinstance(self.model, Autoencoder):
            self.model.check_ready()

    def visitors(self, cube: xr.DataArray) -> tuple[AnyVisitor, ...]:
        """What a sweep over the features is to feed first."""
        if not self.reduces:
            return ()
        one = isinstance(self.model, PCA | NMF | Autoencoder)
        return (self.model.first_visitor(cube),) if one else tuple(self.model.visitors(cube))

    def settle(self, cube: xr.DataArray, results: tuple[Any, ...], training: Path | None = None) -> None:
        """Find the components from what that sweep gave, and, if need be, from more sweeps.

        ``training`` is a folder for what a network has learnt after each epoch, to go on with after an interruption.
        """
        if isinstance(self.model, Autoencoder):
            self.model.fit(cube, moments=results[0], checkpoint=training)
        elif isinstance(self.model, PCA | NMF):
            self.model.fit(cube, moments=results[0])
        else:
            self.model.settle(cube, results)
        if self.options.outliers:
            self.model = promote_outliers(self.model, cube, self.options.outliers)

    @property
    def deviations(self) -> npt.NDArray[np.float64]:
        """How far scores usually lie from 0, along each component."""
        own = getattr(self.model, "score_deviations_", None)  # components of length 1 need none
        return np.asarray(np.sqrt(self.model.explained_variance_) if own is None else own)

    def note(self) -> dict[str, Any]:
        """What was found, for the record of the run."""
        found = {"solver": getattr(self.model, "solver_", self.options.method), "sweeps": self.model.n_sweeps_}
        found["explained"] = float(self.model.explained_variance_ratio_.sum())
        if isinstance(self.model, Autoencoder):
            found |= {
                "epochs": self.model.n_epochs_,
                "best_epoch": self.model.best_epoch_,
                "device": self.model.device_,
            }
        if isinstance(self.model, PCA):
            found["converged"] = int(self.model.converged_.sum())
        if self.options.outliers:
            found["promoted"] = self.model.n_promoted_
        return found
