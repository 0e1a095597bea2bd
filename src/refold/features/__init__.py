"""What of a signal is learnt from: selected channels, descriptors of patterns, several cubes as one feature space."""

from refold.features.aligning import align
from refold.features.beam import Beam, find_beam
from refold.features.centre_of_mass import CentreOfMass, centre_of_mass
from refold.features.channels import ChannelSelection
from refold.features.detectors import virtual_detectors
from refold.features.deviation import DeviationSelection
from refold.features.fourier import cepstrum, log_fourier
from refold.features.fusing import Fusion
from refold.features.radial import angular_variance, radial_profile
from refold.features.scaling import Scaler
from refold.features.xrays import (
    Candidate,
    Peak,
    element_maps,
    line_energies,
    line_intensities,
    suggest_lines,
    xray_lines,
)

__all__ = [
    "Beam",
    "Candidate",
    "CentreOfMass",
    "ChannelSelection",
    "DeviationSelection",
    "Fusion",
    "Peak",
    "Scaler",
    "align",
    "angular_variance",
    "centre_of_mass",
    "cepstrum",
    "element_maps",
    "find_beam",
    "line_energies",
    "line_intensities",
    "log_fourier",
    "radial_profile",
    "suggest_lines",
    "virtual_detectors",
    "xray_lines",
]
