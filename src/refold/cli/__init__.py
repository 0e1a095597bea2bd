"""The command line. Each command delegates to one call."""

from refold.cli.app import app, main
from refold.cli.clusterings import compare, estimate_clusters, stability
from refold.cli.looking import demo, info, report
from refold.cli.recipes import recipes
from refold.cli.running import convert, plan, run

for command in (run, plan, convert, info, report, estimate_clusters, stability, compare, demo):  # as they are listed
    app.command()(command)
app.add_typer(recipes, name="recipe")

__all__ = ["app", "main"]
