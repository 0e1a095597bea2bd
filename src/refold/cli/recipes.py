"""Commands about recipes that come with the package: `refold recipe list`, `refold recipe show NAME`."""

from __future__ import annotations

from typing import Annotated

import typer

from refold.cli.options import AsJson
from refold.cli.printing import out, print_json
from refold.recipe import Recipe, shipped, shipped_text

recipes = typer.Typer(help="Recipes that come with Refold.", no_args_is_help=True, add_completion=False)


@recipes.command("list")
def list_recipes(json_: AsJson = False) -> None:
    """Name the recipes there are, and say what each is for."""
    found = {name: text.splitlines()[0].removeprefix("# ") for name, text in shipped().items()}
    if json_:
        print_json(found)
        return
    for name, purpose in found.items():
        out.print(f"{name}  {purpose}", markup=False, highlight=False, soft_wrap=True)


@recipes.command("show")
def show_recipe(
    name: Annotated[str, typer.Argument(help="Its name; see refold recipe list.")], json_: AsJson = False
) -> None:
    """Print a recipe, to be used by its name or saved and changed."""
    if json_:
        print_json(Recipe.load(name).to_dict())
        return
    out.print(shipped_text(name), markup=False, highlight=False, soft_wrap=True, end="")
