"""The command line. Each command delegates to one call."""

from refold.cli.app import app, main
from refold.cli.clusterings import compare, estimate_clusters, stability
from refold.cli.looking import demo, export, info, report
from refold.cli.recipes import recipes
from refold.cli.running import convert, plan, run

# In the order in which they are listed.
for command in (run, plan, convert, info, report, export, estimate_clusters, stability, compare, demo):
    app.command()(command)
app.add_typer(recipes, name="recipe")

__all__ = ["app", "main"]
