"""Lazy steps before anything is learnt: crop, bands, rebin, mask, clip, log1p, normalise; and what EELS needs."""

from refold.prepare.alignment import Alignment, align_zero_loss, calibrate_zero_loss
from refold.prepare.background import relative_thickness, remove_background
from refold.prepare.bands import bands
from refold.prepare.cropping import crop
from refold.prepare.intensity import clip, log1p, normalise
from refold.prepare.masking import mask
from refold.prepare.neighbours import neighbour_average
from refold.prepare.rebinning import rebin
from refold.prepare.spike_heights import spike_histogram
from refold.prepare.spikes import Despiked, Spikes, remove_spikes
from refold.prepare.standardising import softmax, zscore
from refold.prepare.zero_loss import ZeroLoss

__all__ = [
    "Alignment",
    "Despiked",
    "Spikes",
    "ZeroLoss",
    "align_zero_loss",
    "bands",
    "calibrate_zero_loss",
    "clip",
    "crop",
    "log1p",
    "mask",
    "neighbour_average",
    "normalise",
    "rebin",
    "relative_thickness",
    "remove_background",
    "remove_spikes",
    "softmax",
    "spike_histogram",
    "zscore",
]
