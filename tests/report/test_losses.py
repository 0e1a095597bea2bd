"""The loss curve: from a run and from a model, in the page and among the files."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from refold.errors import VariableError
from refold.report import figures, write_report
from refold.report.canvas import png
from refold.report.gallery import _drawings
from refold.report.losses import has_losses
from refold.report.tally import Tally
from tests.report.made import make_run


def losses(epochs: int = 20) -> tuple[np.ndarray, np.ndarray]:
    at = np.arange(epochs)
    return 1 / (1 + at), 0.1 + (at - 12) ** 2 / 100


def trained_run(epochs: int = 20) -> xr.Dataset:
    learnt, judged = losses(epochs)
    return make_run().assign(loss_learnt=("epoch", learnt), loss_judged=("epoch", judged))


def test_both_losses_and_the_epoch_that_was_kept() -> None:
    figure = figures.loss_curve(trained_run())
    (axes,) = figure.axes
    learnt, judged = losses()
    np.testing.assert_allclose(axes.lines[0].get_ydata(), learnt)
    np.testing.assert_allclose(axes.lines[1].get_ydata(), judged)
    assert axes.lines[0].get_xdata()[0] == 1
    ring = next(line for line in axes.lines if line.get_markersize() > 8)
    assert (ring.get_xdata()[0], ring.get_ydata()[0]) == (13, pytest.approx(0.1))
    assert axes.get_yscale() == "log"
    model = SimpleNamespace(loss_curve_=np.column_stack(losses()))
    assert png(figures.loss_curve(model), 50) == png(figure, 50)


@pytest.mark.parametrize("epochs", [1, 2, 300])
def test_any_number_of_epochs(epochs: int) -> None:
    png(figures.loss_curve(trained_run(epochs)), 40)
    same = np.column_stack([losses(epochs)[0]] * 2)
    (axes,) = figures.loss_curve(SimpleNamespace(loss_curve_=same)).axes
    assert len(axes.get_legend().get_texts()) == 1


@pytest.mark.parametrize("what", [make_run(), SimpleNamespace(), SimpleNamespace(loss_curve_=None)])
def test_nothing_was_trained(what: object) -> None:
    with pytest.raises(VariableError, match="without losses"):
        figures.loss_curve(what)


def test_in_the_page_and_among_the_files(tmp_path: Path) -> None:
    small = make_run((6, 8), 2, side=4).assign(loss_learnt=("epoch", losses()[0]), loss_judged=("epoch", losses()[1]))
    assert 'id="losses"' in write_report(small, tmp_path / "run.html").read_text()
    assert has_losses(small)
    assert not has_losses(make_run((6, 8), 2, side=4))
    assert "losses" in _drawings(small, "light", Tally.of(small))
