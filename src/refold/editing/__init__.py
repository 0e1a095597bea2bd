"""Clusters edited by hand: merged, split, named and coloured, undone and redone, and saved beside the labels."""

from refold.editing.following import Following
from refold.editing.saving import saved_edits
from refold.editing.selections import Selection
from refold.editing.session import EditedCluster, Edits, edits

__all__ = ["EditedCluster", "Edits", "Following", "Selection", "edits", "saved_edits"]
