"""The command line. Each command delegates to one call."""

from refold.cli.app import app, main  # isort: split
from refold.cli import running  # isort: split  # commands are listed in this order
from refold.cli import looking  # isort: split
from refold.cli import agreeing, recipes

__all__ = ["agreeing", "app", "looking", "main", "recipes", "running"]
