from __future__ import annotations

import pytest

from refold.report import render_report
from tests.report.made import make_run


@pytest.fixture(scope="session")
def page() -> str:
    """The page of an ordinary run."""
    return render_report(make_run((24, 32), 3, invalid=5))
