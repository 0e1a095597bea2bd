"""Autoencoders of scans of any size: components that need not be straight."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import xarray as xr

from refold.cube import conform, n_features, n_pixels
from refold.engine import Moments, Sample, current_settings, sweep
from refold.planning.networks import cost_of_network
from refold.planning.solver import SolverChoice
from refold.reduce.neural.checkpoints import Checkpoints
from refold.reduce.neural.coding import Coding, Standard
from refold.reduce.neural.finishing import checked_weights, finished, seal_of, standard_of
from refold.reduce.neural.layers import Shape, first_weights, flattened, unflattened
from refold.reduce.neural.options import check_options, need_torch, seed_of
from refold.reduce.neural.pixels import PixelStream, Split
from refold.reduce.neural.progressing import Plan, Progressed
from refold.reduce.neural.training import Trainer, choose_device
from refold.reduce.projecting import Projecting
from refold.reduce.scaling import refuse_hopeless
from refold.reduce.together import Together

_SAMPLE_BYTES, _SHARE = 64 << 20, 32  # of pixels that judge: so many, or that share of the memory
_LEAST = 64
# Parameters that say how long and where to train, not what: a training may go on with others.
_NOT_OF_IDENTITY = ("device", "patience", "epochs")


class Autoencoder(Projecting):
    """A network that squeezes each pixel through a few numbers and learns to rebuild it from these.

    It is trained by PyTorch on a stream of blocks, so the scan need not fit in memory. What was trained is plain
    arrays: `transform`, `inverse_transform`, saved models and runs need no PyTorch.

    Parameters
    ----------
    n_components : int
        Latent coordinates.
    hidden_layers : sequence of int
        Widths of the layers from the data inwards; the decoder has the same, outwards. None at all leaves a linear
        map, whose components span what those of `PCA` do.
    activation : {"relu", "leaky_relu", "elu", "tanh", "silu", "gelu"}
        Between layers.
    scaling : {"standard", "poisson", None}
        What the network is shown: features less their mean and over their deviation, where features that do not vary
        say nothing; counts whose Poisson noise was made uniform (Keenan and Kotula 2004); or features less their mean.
        The last two are then all over one number, so that their mean variance is 1.
    dropout : float
        Share of the hidden values that are left out at random while training.
    noise : float
        Deviation of normal noise that is added to what the network is shown while training, while it is to rebuild the
        data without it.
    kl_weight : float
        0 for a plain autoencoder. Above, the variational form (Kingma and Welling 2014): the encoder gives a mean and a
        variance, and their divergence from a unit normal counts with this weight; 1 is the evidence bound for noise of
        variance 1 in what the network is shown. `transform` gives the mean.
    epochs : int
        How often each pixel is seen at most.
    patience : int, optional
        Epochs without a better loss after which training stops; None never does.
    tol : float
        By what share the loss must fall to be better.
    batch_size : int
        Pixels of a step.
    learning_rate : float
        Of the first epoch.
    learning_rate_schedule : {"plateau", "cosine", "constant"}
        Halved whenever a third of the patience has passed without a better loss; down to 0 along half a cosine; or
        always the same.
    weight_decay : float
        How much weights shrink at each step (Loshchilov and Hutter 2019).
    validation_fraction : float
        Share of the pixels that are not learnt from but judge each epoch. Which ones follows from a pixel's index and
        the seed. With 0 the loss in training judges.
    random_state : int, numpy.random.Generator or None
        Decides on everything that is drawn.
    device : {"auto", "cpu", "cuda"}
        Where to train; a GPU by default, if there is one.
    precision : {"float32", "mixed"}
        Of products in training; mixed is bfloat16 where PyTorch holds that to be safe.

    Attributes
    ----------
    loss_curve_ : numpy.ndarray
        Shape (epoch, 2): loss of the pixels that are learnt from, as it was while training, and of those that judge.
    best_epoch_ : int
        The epoch, counted from 0, whose weights were kept: that of the lowest loss in judging.
    weights_ : numpy.ndarray
        Shape (weight,): all weights and biases, float32.
    components_ : numpy.ndarray
        Shape (component, feature): by how much a pixel at the mean of the latent space changes along each coordinate
        with one deviation of the scores, in the units of what was scaled. In the order of these deviations; the largest
        number of each is positive.
    score_deviations_ : numpy.ndarray
        Shape (component,): root mean square of the scores.
    explained_variance_, explained_variance_ratio_ : numpy.ndarray
        Shape (component,): what all explain together of the pixels that judge, scaled as for the fit, shared out by
        the squares of the components. Coordinates are not independent, so that none has a share of its own.
    mean_, scale_ : numpy.ndarray
        Shape (feature,): what was taken off, and by what was multiplied.
    n_components_, n_samples_, n_features_in_, n_epochs_, n_sweeps_ : int
        Latent coordinates, valid pixels, features, epochs, and sweeps over the scan.
    converged_ : bool
        Whether patience ended the training, and not the number of epochs.
    device_ : str
        Where it was trained.

    Notes
    -----
    The same data, memory, workers and seed give the same weights bit for bit on one thread of a CPU (``workers=1``),
    also where training was interrupted and went on from a checkpoint. On several threads, or on a GPU, sums are formed
    in another order, and losses agree to some digits. What a trained model makes of a pixel depends on the pixel alone,
    to the last bit: not on the block or batch in which it comes, nor on threads.

    References
    ----------
    Hinton and Salakhutdinov (2006), Science 313, 504. Vincent et al. (2010), J. Mach. Learn. Res. 11, 3371. Kingma and
    Welling (2014), ICLR. Keenan and Kotula (2004), Surf. Interface Anal. 36, 203.

    Examples
    --------
    >>> import refold
    >>> phantom = refold.synthetic.eds((16, 16), channels=64, phases=2, counts=1000)
    >>> model = Autoencoder(2, hidden_layers=(16,), epochs=3, random_state=0)
    >>> scores = model.fit(phantom.cube).transform(phantom.cube)  # doctest: +SKIP
    >>> scores.dims  # doctest: +SKIP
    ('y', 'x', 'component')
    """

    _arrays: ClassVar = {
        "components": ("component", "feature"),
        "mean": ("feature",),
        "scale": ("feature",),
        "weights": ("weight",),
        "losses_learnt": ("epoch",),
        "losses_judged": ("epoch",),
        **dict.fromkeys(("explained_variance", "explained_variance_ratio", "score_deviations"), ("component",)),
    }
    _facts = (
        *("n_components_", "n_samples_", "n_features_in_", "n_epochs_", "n_sweeps_", "best_epoch_", "converged_"),
        *("device_", "seal_"),
    )

    def __init__(
        self,
        n_components: int = 8,
        *,
        hidden_layers: Any = (512, 256, 128),
        activation: str = "relu",
        scaling: Literal["standard", "poisson"] | None = "standard",
        dropout: float = 0.0,
        noise: float = 0.0,
        kl_weight: float = 0.0,
        epochs: int = 100,
        patience: int | None = 12,
        tol: float = 1e-4,
        batch_size: int = 256,
        learning_rate: float = 1e-3,
        learning_rate_schedule: Literal["plateau", "cosine", "constant"] = "plateau",
        weight_decay: float = 0.0,
        validation_fraction: float = 0.1,
        random_state: Any = 0,
        device: Literal["auto", "cpu", "cuda"] = "auto",
        precision: Literal["float32", "mixed"] = "float32",
    ) -> None:
        self.n_components = n_components
        self.hidden_layers = hidden_layers
        self.activation = activation
        self.scaling = scaling
        self.dropout = dropout
        self.noise = noise
        self.kl_weight = kl_weight
        self.epochs = epochs
        self.patience = patience
        self.tol = tol
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_schedule = learning_rate_schedule
        self.weight_decay = weight_decay
        self.validation_fraction = validation_fraction
        self.random_state = random_state
        self.device = device
        self.precision = precision

    def fit(self, X: Any, y: Any = None, *, moments: Any = None, checkpoint: str | Path | None = None) -> Self:
        """Train the network.

        Parameters
        ----------
        X : xarray.DataArray or array of shape (pixel, feature)
            A cube, lazy or not; or a table.
        y : None
            Not used.
        moments : result of `first_visitor`, optional
            From a sweep made before, so that the cube need not be read for it again.
        checkpoint : path-like, optional
            Folder in which training is kept after each epoch, in safetensors and JSON. What an interrupted training of
            the same data with the same parameters left there is gone on with; trainings with others have folders of
            their own in it. More epochs than before go on, too, unless the learning rate follows a cosine.

        Returns
        -------
        Autoencoder
            This model.

        Raises
        ------
        MissingDependencyError
            If PyTorch or safetensors is not installed.
        BackendError
            If a GPU is wanted and there is none.
        ParameterError
            If an option has a value that it cannot have.
        DataError
            If no pixel is valid, nothing varies, or the loss is no longer finite.
        StoreError
            If a checkpoint was cut short or changed.
        """
        check_options(self)
        device = choose_device(self.device)
        cube = self._enter(X, reset=True)
        seed, sweeps = seed_of(self.random_state), 0
        if moments is None:
            (moments,) = sweep(cube, self._first_visitor(cube, seed), label="moments")
            sweeps = 1
        sums, sample = moments
        refuse_hopeless(sums)
        standard = standard_of(sums, self.scaling, self._dtype)
        shape, split = self._shape(n_features(cube)), Split(self.validation_fraction, seed)
        good = standard.usable(sample.rows)
        shown = standard(sample.rows[good])
        judged = shown[split.judges(sample.pixels[good])]
        saved = self._checkpoints(checkpoint, shape, moments, seed)
        begun = (saved.load() if saved is not None else None) or Progressed.beginning(first_weights(shape, seed))
        stream, plan = PixelStream(cube, standard, split, self.batch_size), self._plan(seed)
        reached = Trainer(plan, stream, judged, device, self.precision).run(begun, saved)
        coding, found = finished(reached.best, standard, self.activation, shown, judged, centred=not self.kl_weight)
        self.n_samples_, self.n_epochs_, self.device_ = sums.count, len(reached.history), device
        self.n_sweeps_ = sweeps + (1 if stream.whole else self.n_epochs_)
        self.best_epoch_, self.converged_ = reached.best_epoch, plan.has_stalled(reached.history)
        self._learn(shape, coding, reached, found, sums.variance)
        return self

    def first_visitor(self, cube: xr.DataArray) -> Any:
        """Visitor for a sweep over the cube, whose result `fit` takes as `moments`.

        Parameters
        ----------
        cube : xarray.DataArray
            What will be fitted, lazily: its shape is looked at.

        Returns
        -------
        Visitor
            Means and deviations, and pixels among which are those that judge.
        """
        return self._first_visitor(cube, seed_of(self.random_state))

    def _first_visitor(self, cube: xr.DataArray, seed: int) -> Together:
        features = n_features(cube)
        memory = current_settings().budget.memory
        most = max(_LEAST, min(_SAMPLE_BYTES, memory // _SHARE) // (8 * features))
        weighting: Any = "poisson" if self.scaling == "poisson" else None
        sample = Sample(min(most, n_pixels(cube)), seed, n_features=features)
        return Together(Moments(weighting=weighting, n_features=features), sample)

    def cost(self, cube: xr.DataArray) -> SolverChoice:
        """Say what training on a cube will cost, if it takes all of its epochs; nothing is read.

        Parameters
        ----------
        cube : xarray.DataArray
            What will be fitted, lazily.

        Returns
        -------
        SolverChoice
            Its sweeps, bytes and operations.
        """
        pixels, features = n_pixels(cube), n_features(cube)
        memory = current_settings().budget.memory
        weights = self._shape(features).n_weights
        return cost_of_network(pixels, features, weights, self.epochs, memory, self.batch_size)

    @staticmethod
    def check_ready() -> None:
        """Raise if PyTorch is missing, before anything else is done.

        Raises
        ------
        MissingDependencyError
            If so.
        """
        need_torch()

    @property
    def loss_curve_(self) -> npt.NDArray[np.float64]:
        """Losses of each epoch: of the pixels that are learnt from, and of those that judge."""
        return np.column_stack([self.losses_learnt_, self.losses_judged_])

    def variables(self) -> xr.Dataset:
        """Components, their share of the variance, and the losses, as the declared variables of a run."""
        found = super().variables()
        for name, losses in (("loss_learnt", self.losses_learnt_), ("loss_judged", self.losses_judged_)):
            found[name] = conform(name, xr.DataArray(losses, dims="epoch"))
        return found

    def _shape(self, features: int) -> Shape:
        hidden = tuple(int(width) for width in np.atleast_1d(np.asarray(self.hidden_layers, int)))
        return Shape(features, hidden, self.n_components, variational=self.kl_weight > 0)

    def _plan(self, seed: int) -> Plan:
        same = ("epochs", "patience", "tol", "learning_rate", "weight_decay", "dropout", "noise", "kl_weight")
        told = {name: getattr(self, name) for name in same}
        return Plan(**told, schedule=self.learning_rate_schedule, activation=self.activation, seed=seed)

    def _checkpoints(self, folder: str | Path | None, shape: Shape, moments: Any, seed: int) -> Checkpoints | None:
        """Where training is kept."""
        if folder is None:
            return None
        told = {name: value for name, value in self.get_params(deep=False).items() if name not in _NOT_OF_IDENTITY}
        decides = {"cosine": "epochs", "plateau": "patience"}.get(self.learning_rate_schedule)  # on the learning rate
        told |= {decides: getattr(self, decides)} if decides else {}
        told |= {"hidden_layers": shape.hidden, "random_state": seed}
        return Checkpoints.of(folder, shape, told, moments, seed)

    def _learn(self, shape: Shape, coding: Coding, reached: Progressed, found: Any, variance: Any) -> None:
        """Keep what was trained."""
        flat = Shape(shape.features, shape.hidden, shape.latent)  # the spread is of no use any more
        self.weights_, self.n_components_ = flattened(flat, coding.weights), shape.latent
        self.mean_, self.scale_ = coding.standard.mean, coding.standard.factors
        self.components_, self.score_deviations_ = found.components, found.deviations
        self.explained_variance_ratio_ = found.shares
        self.explained_variance_ = found.shares * float(np.sum(variance * self.scale_**2))
        self.losses_learnt_, self.losses_judged_ = np.array(reached.history, np.float64).T.copy()
        self.seal_ = seal_of(self.weights_, self.mean_, self.scale_)
        self._projection = coding

    def _take_up(self, dataset: xr.Dataset) -> None:
        shape = self._shape(self.n_features_in_)
        flat = Shape(shape.features, shape.hidden, shape.latent)
        weights = checked_weights(self.weights_, flat, seal_of(self.weights_, self.mean_, self.scale_) == self.seal_)
        standard = Standard(self.mean_, self.scale_, weighted=self.scaling == "poisson")
        self._projection = Coding(unflattened(flat, weights), standard, self.activation)
