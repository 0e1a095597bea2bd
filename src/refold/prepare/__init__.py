"""Lazy steps before anything is learnt: crop, bands, rebin, mask, clip, log1p, normalise; and what EELS needs."""

from refold.prepare.bands import bands
from refold.prepare.cropping import crop
from refold.prepare.intensity import clip, log1p, normalise
from refold.prepare.masking import mask
from refold.prepare.rebinning import rebin
from refold.prepare.zero_loss import Alignment, ZeroLoss, align_zero_loss, calibrate_zero_loss

__all__ = [
    "Alignment",
    "ZeroLoss",
    "align_zero_loss",
    "bands",
    "calibrate_zero_loss",
    "clip",
    "crop",
    "log1p",
    "mask",
    "normalise",
    "rebin",
]
