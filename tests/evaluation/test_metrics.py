"""PSNR and SSIM."""

import numpy as np
import pytest

from gaintuning_tf import InputError, psnr, ssim


def test_psnr_is_its_formula():
    reference = np.random.default_rng(0).random((9, 9))
    image = reference + 0.05
    assert psnr(reference, image, data_range=2.0) == pytest.approx(10 * np.log10(4 / 0.05**2))
    assert psnr(reference, reference, data_range=1.0) == np.inf


def test_integers_do_not_wrap():
    assert psnr(np.zeros((8, 8), "uint8"), np.full((8, 8), 255, "uint8"), data_range=255) == pytest.approx(0)


def test_ssim_of_colour_takes_the_channel_axis():
    image = np.random.default_rng(0).random((9, 9, 3))
    assert ssim(image, image, data_range=1.0, channel_axis=-1) == pytest.approx(1)
    assert ssim(image, image[::-1], data_range=1.0, channel_axis=-1) < 0.9


def test_the_range_is_mandatory():
    for measure in (psnr, ssim):
        with pytest.raises(TypeError, match="data_range"):
            measure(np.zeros((8, 8)), np.zeros((8, 8)))


def test_refusals():
    with pytest.raises(InputError, match="one shape"):
        psnr(np.zeros((8, 8)), np.zeros((8, 9)), data_range=1)
    with pytest.raises(InputError, match="positive"):
        psnr(np.zeros((8, 8)), np.zeros((8, 8)), data_range=0)
    with pytest.raises(InputError, match="at least 7"):
        ssim(np.zeros((6, 8)), np.zeros((6, 8)), data_range=1)
