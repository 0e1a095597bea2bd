"""scikit-learn's Gaussian mixture with weights of rows: in the means of both steps, and nowhere else."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.mixture import GaussianMixture


class WeightedMixture(GaussianMixture):  # type: ignore[misc] # scikit-learn ships no types
    """A mixture in which a row of weight w counts as w equal rows.

    The two steps are scikit-learn's own, overridden where it takes means over rows. The start of each try is that of
    rows without weights. Covariances of the kind ``"tied"`` do not go through the responsibilities, so that step is
    taken here.
    """

    def fit_weighted(self, rows: npt.NDArray[np.float64], counts: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        """Fit, and return the likeliest Gaussian of each row."""
        self._counts = counts
        with np.errstate(divide="ignore"):
            self._log_counts = np.log(counts)[:, None]
        return np.asarray(self.fit_predict(rows), np.int64)

    def _e_step(self, X: npt.NDArray[np.float64], **options: Any) -> tuple[float, npt.NDArray[np.float64]]:
        log_likelihood, log_responsibility = self._estimate_log_prob_resp(X, **options)
        return float(np.average(log_likelihood, weights=self._counts)), log_responsibility

    def _m_step(self, X: npt.NDArray[np.float64], log_resp: npt.NDArray[np.float64], **options: Any) -> None:
        if self.covariance_type != "tied":
            super()._m_step(X, log_resp + self._log_counts, **options)
            return
        shares = np.exp(log_resp + self._log_counts)
        held = shares.sum(axis=0) + 10 * np.finfo(np.float64).eps
        self.means_ = shares.T @ X / held[:, None]
        self.weights_ = held / held.sum()
        scatter = (X.T * self._counts) @ X - (self.means_.T * held) @ self.means_
        self.covariances_ = scatter / held.sum() + self.reg_covar * np.eye(X.shape[1])
        self.precisions_cholesky_ = np.linalg.inv(np.linalg.cholesky(self.covariances_)).T
