"""Synthetic images: of the kind they claim, and reproducible."""

import numpy as np
import pytest

from gaintuning_tf.training import synthetic


@pytest.mark.parametrize("kind", synthetic.KINDS)
def test_images_are_reproducible_differ_and_lie_in_the_unit_range(kind):
    first, again = synthetic.images(kind, 4, seed=1), synthetic.images(kind, 6, seed=1)
    for a, b in zip(first, again, strict=False):
        np.testing.assert_array_equal(a, b)
        assert a.shape == (256, 256, 1)
        assert a.dtype == np.float32
        assert a.min() >= 0
        assert a.max() <= 1
    assert np.any(first[0] != first[1])
    assert np.any(first[0] != synthetic.images(kind, 1, seed=2)[0])


def test_piecewise_constant_images_have_few_values_and_regions():
    for image in synthetic.images("piecewise-constant", 20):
        assert len(np.unique(image)) <= 17
        # Neighbours differ at edges only.
        edges = np.mean(np.diff(image[..., 0], axis=0) != 0) + np.mean(np.diff(image[..., 0], axis=1) != 0)
        assert edges < 0.12


def test_nanoparticles_are_periodic_on_an_even_vacuum():
    sharp = even = 0
    for image in synthetic.images("nanoparticles", 20):
        centred = image[..., 0] - image.mean()
        spectrum = np.abs(np.fft.fft2(centred * np.outer(np.hanning(256), np.hanning(256)))) ** 2
        # A lattice concentrates its power in few spatial frequencies, of a spacing of 10 pixels and more.
        power = np.sort(spectrum.ravel())[::-1]
        sharp += power[:200].sum() > 0.9 * power.sum()
        values = np.round(image, 3)
        even += np.unique(values, return_counts=True)[1].max() > 0.05 * image.size
    assert sharp >= 18
    assert even >= 10
