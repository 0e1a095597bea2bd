"""How the documentation is built: `sphinx-build -W docs docs/_build/html`. Needs the docs extra and no network."""

from __future__ import annotations

import re
from typing import Any

import refold

project = "Refold"
author = "Refold developers"
copyright = author
release = version = refold.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "numpydoc",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "generated/.*"]
nitpicky = False  # names of other libraries would need their inventories, and so the network

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "auto"  # notebooks are kept without outputs
nb_execution_raise_on_error = True
nb_execution_timeout = 120

autosummary_generate = True
autodoc_typehints = "none"  # numpydoc sections say the types, in words
autodoc_member_order = "bysource"
numpydoc_show_class_members = False  # the class template lists them
numpydoc_xref_param_type = False
default_role = "code"

html_theme = "pydata_sphinx_theme"
html_title = f"Refold {release}"
html_theme_options = {
    "show_prev_next": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_show_sourcelink = False

# Methods that scikit-learn puts on every estimator; they are documented there.
_OF_SCIKIT_LEARN = re.compile(r"set_\w+_request|get_metadata_routing|get_params|set_params|set_output")


def _skip(app: Any, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:
    return True if _OF_SCIKIT_LEARN.fullmatch(name) else None


def _escape_stars(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Shapes such as (*navigation, *signal) are written as they are read, and are no emphasis."""
    for index, line in enumerate(lines):
        if ">>>" not in line:
            parts = line.split("``")  # literals are every second part
            parts[::2] = [re.sub(r"(?<=[( ])\*(?=\w)", r"\\*", part) for part in parts[::2]]
            lines[index] = "``".join(parts)


def setup(app: Any) -> None:
    """Connect to Sphinx."""
    app.connect("autodoc-skip-member", _skip)
    app.connect("autodoc-process-docstring", _escape_stars, priority=100)  # before numpydoc
