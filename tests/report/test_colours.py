from __future__ import annotations

import numpy as np
import pytest

from refold.report.colours import NOISE, ink_on, palette, separation, simulate, to_lab, to_rgb


@pytest.mark.parametrize("vision", ["normal", "deuteranopia", "protanopia"])
@pytest.mark.parametrize(("n", "least"), [(2, 35), (8, 17), (20, 14), (30, 10), (40, 8)])
def test_colours_and_noise_are_apart_for_every_eye(n, least, vision):
    assert separation((*palette(n), NOISE), vision) > least


def test_tritanopic_eyes_too():
    assert separation((*palette(8), NOISE), "tritanopia") > 12
    assert separation((*palette(40), NOISE), "tritanopia") > 5


def test_the_first_clusters_and_noise_are_apart_in_grey():
    lightness = to_lab(to_rgb([*palette(8), NOISE]))[:, 0]
    assert np.diff(np.sort(lightness[:3])).min() > 10
    assert np.abs(lightness[:8] - lightness[8]).min() > 6


def test_a_cluster_keeps_its_colour_when_more_are_found():
    assert all(palette(40)[:n] == palette(n) for n in range(41))


def test_any_number_of_colours():
    assert palette(0) == ()
    assert len(palette(500)) == len(set(palette(500))) == 500


def test_colours_show_on_black_and_on_white_paper():
    lightness = to_lab(to_rgb(palette(40)))[:, 0]
    assert lightness.min() > 35
    assert lightness.max() < 87


def test_grey_stays_grey_for_every_eye():
    grey = to_rgb(["#808080"])
    for vision in ("deuteranopia", "protanopia", "tritanopia"):
        np.testing.assert_allclose(simulate(grey, vision), grey, atol=5e-3)


def test_cielab_agrees_with_scikit_image():
    color = pytest.importorskip("skimage.color")
    rgb = to_rgb(palette(40))
    np.testing.assert_allclose(to_lab(rgb), color.rgb2lab(rgb), atol=0.05)


@pytest.mark.parametrize("colour", palette(40))
def test_numbers_read_on_their_colour(colour):
    linear = ((to_rgb([colour, ink_on(colour)]) + 0.055) / 1.055) ** 2.4
    dark, light = sorted(linear @ [0.2126, 0.7152, 0.0722])
    assert (light + 0.05) / (dark + 0.05) > 4.5
