"""Recipes that come with the package: one TOML file each, its first comment says what it is for."""

from __future__ import annotations

from importlib.resources import files

from refold.errors import RecipeError
from refold.recipe.checking import nearest


def shipped() -> dict[str, str]:
    """Recipes that come with the package.

    Returns
    -------
    dict of str to str
        Name to text, in TOML with comments.

    Examples
    --------
    >>> list(shipped())
    ['broad-classes', 'correlative-4dstem-eds']
    """
    found = {item.name: item for item in files(__name__).iterdir() if item.name.endswith(".toml")}
    return {name.removesuffix(".toml"): found[name].read_text(encoding="utf-8") for name in sorted(found)}


def shipped_text(name: str) -> str:
    """One of them.

    Parameters
    ----------
    name : str
        Its name.

    Returns
    -------
    str
        In TOML with comments.

    Raises
    ------
    RecipeError
        If there is none of that name.

    Examples
    --------
    >>> shipped_text("correlative-4dstem-eds").splitlines()[0][:35]
    '# Diffraction and X-rays recorded t'
    """
    known = shipped()
    if name not in known:
        raise RecipeError(f"recipe {name!r}", f"one of {', '.join(known)}, or a file", nearest(name, known))
    return known[name]
