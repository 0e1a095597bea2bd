"""What README and the documentation say is so: names, options and links exist, and recipes are recipes."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

import refold
from refold.cli import app
from refold.recipe import Recipe
from tests.conftest import ROOT

PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md")])
SOURCES = [page for page in PAGES if "_build" not in page.parts]


def _blocks(language: str) -> list[tuple[str, str]]:
    """Code blocks of one language in all pages, with the name of the page."""
    pattern = re.compile(rf"^```{language}\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)
    return [(page.name, block) for page in SOURCES for block in pattern.findall(page.read_text(encoding="utf-8"))]


@pytest.mark.parametrize(("page", "code"), _blocks("python"))
def test_python_is_python_and_names_exist(page: str, code: str):
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in {"rf", "refold"}:
            assert hasattr(refold, node.attr), f"{page}: refold.{node.attr}"


@pytest.mark.parametrize(("page", "code"), _blocks("toml"))
def test_toml_is_a_recipe(page: str, code: str):
    recipe = Recipe.from_toml(code)
    assert Recipe.from_toml(recipe.to_toml()) == recipe


def _command_lines() -> Iterator[tuple[str, list[str]]]:
    for page, block in [*_blocks("sh"), *_blocks("bash"), *_blocks("console")]:
        for line in block.splitlines():
            for part in line.removeprefix("$ ").split("&&"):
                words = shlex.split(part, comments=True)
                if words and Path(words[0]).name == "refold":
                    yield page, words[1:]


@pytest.mark.parametrize(("page", "words"), list(_command_lines()))
def test_commands_and_their_options_exist(page: str, words: list[str]):
    commands = typer.main.get_command(app).commands
    assert words[0] in commands, f"{page}: refold {words[0]}"
    options = {
        option for parameter in commands[words[0]].params for option in parameter.opts + parameter.secondary_opts
    }
    for word in words[1:]:
        if word.startswith("-"):
            assert word.split("=")[0] in options, f"{page}: refold {words[0]} {word}"


@pytest.mark.parametrize("page", SOURCES, ids=lambda page: page.name)
def test_links_within_the_repository_lead_somewhere(page: Path):
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        if not re.match(r"[a-z]+:", target):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_public_name_is_in_the_reference():
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^   (\w+)$", text, flags=re.MULTILINE))
    public = {name for name in refold.__all__ if not name.startswith("_")} - {"synthetic", "figures"}  # modules
    public -= {
        name
        for name in public
        if isinstance(getattr(refold, name), type) and issubclass(getattr(refold, name), Exception)
    }
    assert public - listed == set()
