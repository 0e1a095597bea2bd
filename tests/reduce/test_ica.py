"""Laws of blind source separation: sources found, row-pure, lazy, the same from any chunks."""

from __future__ import annotations

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from refold.reduce.ica import ICA


# Their tables of two to five features leave components too little to vary in, or to settle by.
@pytest.mark.filterwarnings("ignore:fastica still moved:sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:. components vary in:refold.errors.RefoldWarning")
@parametrize_with_checks([ICA(2, diff_order=0), ICA(2, algorithm="orthomax", on="loadings", diff_order=0)])
def test_scikit_learns_own_checks(estimator, check) -> None:
    check(estimator)
