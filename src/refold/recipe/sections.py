"""The sections of a recipe: one for the source, one for each stage, and one for what it may use."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, Literal

from refold.errors import ParameterError, RecipeError
from refold.planning import parse_bytes
from refold.planning.landmarks import landmarks_of
from refold.recipe.checking import Section, option


@dataclass(frozen=True)
class Reduce(Section):
    """Components of the scan. See `refold.PCA`, `refold.MNF`, `refold.NMF`, `refold.ICA` and `refold.Autoencoder`.

    Parameters
    ----------
    method : {"pca", "mnf", "nmf", "ica", "autoencoder", "none"}
        What reduces the features; ``"none"`` takes these themselves as scores. Options of which nothing else is said
        are those of principal components alone.
    n_components : int or float
        Number of components; or, for principal ones, the fraction of variance that they explain together.
    center : bool
        Subtract the mean of each feature.
    scaling : {"standard", "poisson"}, optional
        Weighting of the features; none by default, or where ``"none"`` is given.
    solver : {"auto", "scatter", "subspace", "incremental"}
        How the components are found; by cost by default.
    oversampling : int, optional
        Directions that the subspace solver carries beyond the components.
    tol : float
        Angle between iterates at which the subspace solver stops.
    max_sweeps : int
        Sweeps after which the subspace solver stops anyway.
    outliers : int
        Pixels with the most unexpected residual among which a rare phase is looked for that no component carries; what
        they share becomes a component, and they become landmarks. 0 does not look; see `refold.promote_outliers`.
    random_state : int
        Seed, of any method that has one.
    parameters : dict
        Any other parameter of the method's class.
    """

    method: Literal["pca", "mnf", "nmf", "ica", "autoencoder", "none"] = "pca"
    n_components: int | float = option(20, fraction=True, example="20, or 0.99 of the variance")
    center: bool = True
    scaling: Literal["none", "standard", "poisson"] | None = None
    solver: Literal["auto", "scatter", "subspace", "incremental"] = "auto"
    oversampling: int | None = option(None, least=1, example="10")
    tol: float = option(1e-2, least=0, example="1e-2")
    max_sweeps: int = option(12, least=1, example="12")
    outliers: int = option(0, least=0, example="256")
    random_state: int = option(0, least=0)
    parameters: dict[str, Any] = option({}, example='{ direction = "right" }')

    def arguments(self) -> dict[str, Any]:
        """Arguments of the model that the method names."""
        if self.method in _PRINCIPAL:
            own = {name: value for name, value in super().arguments().items() if name != "outliers"}
        else:
            seed = {} if self.method == "mnf" else {"random_state": self.random_state}
            own = {"n_components": self.n_components, **seed}
        return {**own, **self.parameters}

    def __post_init__(self) -> None:
        """Check each field; a command line can only say that it wants no scaling by a word for it."""
        if self.scaling == "none":
            object.__setattr__(self, "scaling", None)
        super().__post_init__()
        if self.outliers and self.method == "none":
            raise RecipeError("reduce.outliers without components", "a method that leaves a residual", "leave it out")
        if self.method not in _PRINCIPAL and isinstance(self.n_components, float):
            raise RecipeError(
                f"reduce.n_components = {self.n_components} with reduce.method = {self.method!r}",
                "a whole number: only principal components are kept by their share of the variance",
                "write n_components = 5",
            )
        for item in fields(self) if self.method not in _PRINCIPAL else ():
            if item.name in _OF_PCA and getattr(self, item.name) != item.default:
                raise RecipeError(
                    f"reduce.{item.name} with reduce.method = {self.method!r}",
                    "options that this method has",
                    "leave it out, or write what its class takes under [reduce.parameters]",
                )


_PRINCIPAL = ("pca", "none")
_OF_PCA = ("center", "scaling", "solver", "oversampling", "tol", "max_sweeps", "outliers")


@dataclass(frozen=True)
class Landmarks(Section):
    """Pixels on which the embedding and the clustering are fitted. See `refold.Landmarks`.

    Parameters
    ----------
    n : int or float, optional
        How many, or a share of the pixels; all pixels where there are no more than this. By default 5 000 to 20 000, by
        the size of the scan.
    random_state : int
        Seed.
    """

    n: int | float | None = option(None, share=True, example="20000, or 0.1 of the pixels")
    random_state: int = option(0, least=0)

    def count(self, n_pixels: int) -> int:
        """Landmarks that a scan of so many pixels will have.

        Examples
        --------
        >>> Landmarks(n=0.1).count(5000), Landmarks(n=800).count(500)
        (500, 500)
        """
        if self.n is None:
            return landmarks_of(n_pixels)
        wanted = math.ceil(self.n * n_pixels) if isinstance(self.n, float) else self.n
        return min(wanted, n_pixels)


@dataclass(frozen=True)
class Embed(Section):
    """Latent space of the landmarks. See `refold.UMAP`.

    Parameters
    ----------
    method : {"umap", "none"}
        ``"none"`` clusters the scores themselves.
    n_components : int
        Dimensions of the latent space.
    n_neighbors : int
        Neighbours of each landmark in the graph.
    min_dist : float
        How tightly landmarks may be packed.
    metric : str
        Distance in the space of scores.
    densmap : bool
        Keep local densities as well.
    random_state : int
        Seed.
    parameters : dict
        Any other parameter of umap-learn, passed through.
    """

    method: Literal["umap", "none"] = "umap"
    n_components: int = option(2, least=1, example="2")
    n_neighbors: int = option(30, least=2, example="30")
    min_dist: float = option(0.0, least=0, example="0.0")
    metric: str = "euclidean"
    densmap: bool = False
    random_state: int = option(0, least=0)
    parameters: dict[str, Any] = option({}, example="{ n_epochs = 500 }")


@dataclass(frozen=True)
class Cluster(Section):
    """Clusters of the latent space.

    See `refold.HDBSCAN`, `refold.KMeans`, `refold.GaussianMixture` and `refold.Agglomerative`.

    Parameters
    ----------
    method : {"hdbscan", "kmeans", "gaussian_mixture", "agglomerative"}
        What finds the clusters.
    n_clusters : int, optional
        How many; HDBSCAN finds their number itself, and agglomerative clusters with a ``distance_threshold`` need none.
        The others must be told.
    min_cluster_size : int, optional
        Fewest landmarks that are a cluster. By default 25, or an eighth of the landmarks where that is less.
    min_samples : int
        Neighbours that a dense landmark has; the higher, the more are noise.
    cluster_selection_method : {"eom", "leaf"}
        The most persistent clusters of the tree, or the finest.
    cluster_selection_epsilon : float, optional
        Clusters closer than this are not split. By default 0.3 in the latent space of UMAP, whose scale is always the
        same, and 0 in any other.
    max_cluster_size : int, optional
        Clusters larger than this are split.
    allow_single_cluster : bool
        Whether everything may be one cluster.
    soft_labels : bool
        Whether every landmark is given the cluster of its largest soft membership, so that none is noise.
    random_state : int
        Seed of the methods that have one.
    parameters : dict
        Any other parameter of the method's class.
    """

    method: Literal["hdbscan", "kmeans", "gaussian_mixture", "agglomerative"] = "hdbscan"
    n_clusters: int | None = option(None, least=1, example="5")
    min_cluster_size: int | None = option(None, least=2, example="25")
    min_samples: int = option(10, least=1, example="10")
    cluster_selection_method: Literal["eom", "leaf"] = "eom"
    cluster_selection_epsilon: float | None = option(None, least=0, example="0.3")
    max_cluster_size: int | None = option(None, least=2, example="5000")
    allow_single_cluster: bool = False
    soft_labels: bool = False
    random_state: int = option(0, least=0)
    parameters: dict[str, Any] = option({}, example="{ n_init = 4 }")

    def __post_init__(self) -> None:
        """Check each field, and that a method that needs a number of clusters has one."""
        super().__post_init__()
        free = self.method == "agglomerative" and "distance_threshold" in self.parameters
        if not free and (self.n_clusters is None) != (self.method == "hdbscan"):
            raise RecipeError(
                f"cluster.method = {self.method!r} with n_clusters = {self.n_clusters}",
                "no n_clusters with 'hdbscan', and a number with any other method",
                "write it as in [cluster] method = 'kmeans', n_clusters = 5; "
                "refold.estimate_clusters helps to find the number",
            )

    def arguments(self) -> dict[str, Any]:
        """Arguments of the model that the method names."""
        if self.method == "hdbscan":
            names = {item.name for item in fields(self)} - {"method", "n_clusters", "soft_labels", "random_state"}
            own = {name: getattr(self, name) for name in names - {"parameters"}}
        else:
            seed = {} if self.method == "agglomerative" else {"random_state": self.random_state}
            own = {**({} if self.n_clusters is None else {"n_clusters": self.n_clusters}), **seed}
        return {**own, **self.parameters}


@dataclass(frozen=True)
class Backproject(Section):
    """How landmarks' answers reach every pixel. See `refold.backproject`.

    Parameters
    ----------
    neighbours : int
        Landmarks that vote on a pixel.
    """

    neighbours: int = option(10, least=1, example="10")


@dataclass(frozen=True)
class Resources(Section):
    """What a run may use. It is in no fingerprint: nothing in the answer depends on it, but for the sample of NMF.

    Parameters
    ----------
    memory : str or int, optional
        Limit such as ``"2GB"``; a quarter of what is free by default.
    workers : int, optional
        Threads or processes; one for each core by default.
    features : bool, optional
        Whether the prepared scan is written, to be read by the sweeps that follow instead of the raw one; by default
        where it is prepared at all, or lies in a vendor's file, or its components take many sweeps to find.
    """

    memory: int | str | None = option(None, example='"2GB"')
    workers: int | None = option(None, least=1, example="4")
    features: bool | None = None

    def __post_init__(self) -> None:
        """Check each field, and that the memory is a size."""
        super().__post_init__()
        if self.memory is None:
            return
        try:
            parse_bytes(self.memory)
        except ParameterError as error:
            raise RecipeError(f"resources.memory = {self.memory!r}", error.wanted, error.remedy) from None

    @property
    def memory_bytes(self) -> int | None:
        """Limit in bytes, if there is one."""
        return None if self.memory is None else parse_bytes(self.memory)
