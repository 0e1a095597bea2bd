"""Lazy steps before anything is learnt: rebin, crop, mask, clip, log1p, normalise. They never change the source."""

from refold.prepare.cropping import crop
from refold.prepare.intensity import clip, log1p, normalise
from refold.prepare.masking import mask
from refold.prepare.rebinning import rebin

__all__ = ["clip", "crop", "log1p", "mask", "normalise", "rebin"]
