"""The browser app: the latent space beside the map beside the signals. Panel is imported only when it is shown."""

from refold.explore.choice import Choice
from refold.explore.explorer import Explorer
from refold.explore.serving import serve, show

__all__ = ["Choice", "Explorer", "serve", "show"]
