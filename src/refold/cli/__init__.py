"""The command line. Each command delegates to one call."""

from refold.cli.app import app, main
from refold.cli.clusterings import cluster, clusterings, compare, estimate_clusters, forget_clustering, stability
from refold.cli.exploring import explore
from refold.cli.exporting import export
from refold.cli.looking import demo, info, report
from refold.cli.recipes import recipes
from refold.cli.running import convert, plan, run

# In the order in which they are listed.
for command in (
    run,
    plan,
    convert,
    info,
    report,
    explore,
    export,
    cluster,
    clusterings,
    forget_clustering,
    estimate_clusters,
    stability,
    compare,
    demo,
):
    app.command()(command)
app.add_typer(recipes, name="recipe")

__all__ = ["app", "main"]
