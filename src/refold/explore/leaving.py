"""What is asked before edits that were not saved would be lost to others being opened."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from refold.errors import RefoldError
from refold.explore.controls import button, markup, text
from refold.store import OWN

if TYPE_CHECKING:
    from refold.explore.model import Model

__all__ = ["Leaving"]


class Leaving:
    """Opens other clusterings and sets of edits, and asks first where something was not saved.

    Parameters
    ----------
    model : Model
    guarded : callable
        Wraps what a button does, so that errors are told and not lost.
    save : callable
        Saves the edits, or asks what to do where somebody else has.
    stayed : callable
        Called where nothing else was opened.
    """

    def __init__(
        self,
        model: Model,
        guarded: Callable[[Callable[..., None]], Callable[..., None]],
        save: Callable[[], None],
        stayed: Callable[[], None],
    ) -> None:
        import panel as pn

        self.model, self._save, self._stayed = model, save, stayed
        self._wanted: tuple[str | None, str] = (None, "")
        self.said = text("p", "", sizing_mode="stretch_width", min_width=200)
        self.view: Any = pn.FlexBox(
            self.said,
            button("Save first", "save-first", "Then open the others", guarded(lambda _: self._keep())),
            button("Do not save", "not-saved", "These edits are lost", guarded(lambda _: self._go())),
            button("Stay", "stay", "Go on with these edits", guarded(lambda _: self._stay())),
            visible=False, align_items="center", gap="6px", sizing_mode="stretch_width", css_classes=["leaving"],
            styles={"border": "1px solid var(--wrong)", "border-radius": "6px", "padding": "6px 10px"},
        )  # fmt: skip

    def open(self, clustering: str | None, name: str) -> None:
        """Open other edits, or ask what becomes of these.

        Parameters
        ----------
        clustering : str or None
            Of the run; None, or the name of its own, for that.
        name : str
            Of the set of edits.
        """
        wanted, edits = (None if clustering == OWN else clustering, name), self.model.edits
        if wanted == (self.model.clustering, edits.name):
            self._stay()
            return
        self._wanted = wanted
        if edits.saved:
            self._go()
            return
        self.said.object = markup("p", f"The edits {edits.name!r} were changed and not saved.", kind="wrong")
        self.view.visible = True

    def _go(self) -> None:
        self.view.visible = False
        try:
            self.model.open(*self._wanted)
        except RefoldError:
            self._stayed()
            raise

    def _keep(self) -> None:
        self._save()
        if self.model.edits.saved:
            self._go()
        else:
            self._stay()

    def _stay(self) -> None:
        self.view.visible = False
        self._stayed()
