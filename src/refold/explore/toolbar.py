"""The bar of edits above the figures, and what is asked when somebody else has saved meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from refold.errors import EditConflictError
from refold.explore.controls import button, markup, plain, text, write
from refold.explore.style import FIELD

if TYPE_CHECKING:
    from refold.explore.model import Model

__all__ = ["Toolbar"]

Guard = Callable[[Callable[..., None]], Callable[..., None]]


class Toolbar:
    """Buttons for every edit.

    Parameters
    ----------
    model : Model
    guarded : callable
        Wraps what a button does, so that errors are told and not lost.
    """

    def __init__(self, model: Model, guarded: Guard) -> None:
        import panel as pn

        self.model, self.guarded = model, guarded

        def make(label: str, name: str, hint: str, does: Callable[[], None], **options: Any) -> Any:
            return button(label, name, hint, guarded(lambda _: does()), **options)

        self.name = write("", "name", 130, css_classes=["name"])
        self.noise = pn.widgets.Checkbox(
            label="with noise", value=False, css_classes=["with-noise"], stylesheets=[FIELD], margin=(6, 2, 4, 2)
        )
        self.colour = pn.widgets.ColorPicker(value="#0072b2", width=34, margin=0, stylesheets=[FIELD])
        self.merge = make("Merge", "merge", "Make one cluster of the ticked ones", model.merge)
        self.split = make("Split off", "split", "Make a cluster of what is drawn around", self._split)
        self.rename = make("Rename", "rename", "Give the ticked cluster the name written here", self._rename)
        self.recolour = make("Recolour", "recolour", "Give the ticked clusters this colour", self._recolour)
        self.undo = make("↶ Undo", "undo", "Ctrl+Z", model.undo)
        self.redo = make("↷ Redo", "redo", "Ctrl+Y", model.redo)
        self.reset = make("Reset", "reset", "Back to the clusters of the run; can be undone", model.reset)
        self.save = make("Save", "save", "Keep the edits with the run", self.store, color="primary")
        gap = {"styles": {"width": "1px", "height": "20px", "background": "var(--line)"}, "margin": (4, 3)}
        self.view: Any = pn.FlexBox(
            self.merge, self.split, self.noise, pn.Spacer(**gap), self.name, self.rename, self.colour, self.recolour,
            pn.Spacer(**gap), self.undo, self.redo, self.reset, pn.Spacer(**gap), self.save,
            align_items="center", gap="6px", sizing_mode="stretch_width", css_classes=["toolbar"], margin=0,
        )  # fmt: skip
        self.conflict = _Conflict(model, guarded)

    def show(self) -> None:
        """Offer what can be done now."""
        model = self.model
        ticked = [cluster for cluster in model.chosen if cluster >= 0]
        self.merge.disabled = len(ticked) < 2
        self.split.disabled = self.noise.disabled = model.outline is None
        self.rename.disabled = len(ticked) != 1
        self.recolour.disabled = not ticked
        self.undo.disabled, self.redo.disabled = not model.edits.can_undo, not model.edits.can_redo
        self.reset.disabled = not model.edits.steps
        self.save.disabled = model.edits.saved

    def take(self) -> None:
        """Take over the colour and the name of the one cluster that is ticked."""
        ticked = [cluster for cluster in self.model.clusters if cluster.id in self.model.chosen]
        if len(ticked) == 1:
            self.colour.value = ticked[0].colour
            self.name.value = ticked[0].name

    def _split(self) -> None:
        self.model.split(noise=self.noise.value)

    def _rename(self) -> None:
        self.model.rename(self.name.value.strip())

    def _recolour(self) -> None:
        self.model.recolour(self.colour.value)

    def store(self) -> None:
        """Save, or ask what to do where somebody else has."""
        try:
            self.model.save()
        except EditConflictError as error:
            self.conflict.ask(error)
        else:
            self.model.say(f"Saved as {self.model.edits.name!r}, revision {self.model.edits.revision}.")


class _Conflict:
    """Asks what to do where somebody else has saved: under which other name to save, or to open what they saved."""

    def __init__(self, model: Model, guarded: Guard) -> None:
        import panel as pn

        self.model = model
        self.said = text("p", "", sizing_mode="stretch_width", min_width=200)
        self.name = write("", "another name", 140, css_classes=["save-name"])
        self.view: Any = pn.FlexBox(
            self.said,
            self.name,
            button("Save under this name", "save-as", "Both stay", guarded(lambda _: self._save())),
            button("Open theirs", "open-theirs", "Yours since you opened are lost", guarded(lambda _: self._open())),
            button("Not now", "not-now", "Go on without saving", guarded(lambda _: self._close())),
            visible=False, align_items="center", gap="6px", sizing_mode="stretch_width", css_classes=["conflict"],
            styles={"border": "1px solid var(--wrong)", "border-radius": "6px", "padding": "6px 10px"},
        )  # fmt: skip

    def ask(self, error: EditConflictError) -> None:
        """Ask."""
        self.said.object = markup("p", f"Not saved: {plain(error.found, self.model.path)}.", kind="wrong")
        self.name.value = f"{self.model.edits.name}-2"
        self.view.visible = True

    def _save(self) -> None:
        self.model.save(self.name.value.strip())
        self._close()
        self.model.say(f"Saved as {self.model.edits.name!r}.")

    def _open(self) -> None:
        self._close()
        self.model.open(self.model.clustering, self.model.edits.name)

    def _close(self) -> None:
        self.view.visible = False
