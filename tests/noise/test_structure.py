"""Stripes and waves are seen, and nothing that pictures have is taken for them."""

import json

import numpy as np
import pytest
from skimage import io

from gaintuning_tf.noise.automatic import examine_noise
from gaintuning_tf.noise.models import GaussianNoise
from gaintuning_tf.noise.structure import structure_of
from helpers import correlations

SIGMA, SIDE = 20.0, 192
Y, X = np.mgrid[:SIDE, :SIDE]


@pytest.fixture
def noisy():
    """A smooth picture with an edge, and white noise."""
    clean = 100 + 40 * np.sin(Y / 60) + 50 * (X > 80) * (Y > 50)
    return clean + np.random.default_rng(0).normal(0, SIGMA, (SIDE, SIDE))


def found_in(image):
    return structure_of(image[..., None] if image.ndim == 2 else image, SIGMA**2)


@pytest.mark.parametrize(("kind", "shape"), [("rows", (SIDE, 1)), ("columns", (1, SIDE))])
@pytest.mark.parametrize("share", [0.1, 0.5])
def test_stripes_are_seen_with_their_share(noisy, kind, shape, share):
    stripes = np.random.default_rng(1).normal(0, SIGMA * (share / (1 - share)) ** 0.5, shape)
    found = found_in(noisy + stripes)
    assert found.kind == kind
    # Of 192 stripes, their variance is known to a tenth; cut off at two deviations, it is less.
    assert 0.6 * share < found.share < 1.3 * share


@pytest.mark.parametrize(("y", "x"), [(1 / 13.3, 0), (0, 1 / 9), (1 / 15, 1 / 40), (-1 / 7, 1 / 11), (0.5, 0)])
def test_waves_are_seen_with_their_period(noisy, y, x):
    wave = SIGMA * np.cos(2 * np.pi * (y * Y + x * X))
    found = found_in(noisy + wave)
    if found.kind == "waves":
        # The frequency is known to a tenth of a bin, and a half in both directions at most.
        assert 1 / found.period == pytest.approx(np.hypot(y, x), abs=0.15 / SIDE)
    else:
        # A fast wave along an axis is both.
        assert found.kind == ("columns" if y == 0 else "rows") and max(abs(y), abs(x)) > 1 / 10
    power = np.mean(wave**2)
    assert 0.5 < found.share / (power / (power + SIGMA**2)) < 1.2


def test_stripes_in_a_part_of_the_image_are_its_content(noisy):
    inside = X < SIDE // 2
    assert found_in(noisy + inside * np.random.default_rng(1).normal(0, SIGMA, (SIDE, 1))) is None
    assert found_in(noisy + inside * SIGMA * np.cos(2 * np.pi * Y / 13)) is None


@pytest.mark.parametrize("correlation", [None, correlations.GREY, correlations.BLURRED])
def test_noise_that_models_fit_has_no_structure(correlation):
    for seed in range(5):
        noise = GaussianNoise(SIGMA, correlation=correlation)
        image = noise.sample(np.full((SIDE, SIDE, 1), 100.0), np.random.default_rng(seed))
        assert structure_of(image, SIGMA**2) is None


def test_what_is_found_is_said_with_what_to_do(noisy):
    assert examine_noise(noisy).structure == examine_noise(noisy).unfit == ""
    found = examine_noise(noisy + np.random.default_rng(1).normal(0, SIGMA, (SIDE, 1)))
    assert found.words.endswith("of its variance, which no model fits")
    assert found.unfit.startswith("the noise has stripes along the rows, ")
    assert "nothing was tuned" in found.unfit and "--sigma" in found.unfit
    assert json.loads(json.dumps(found.to_json()))["structure"] == found.structure
    # What does not count has no say, whatever is there.
    mask = Y >= SIDE - 8
    filled = np.where(mask, 1e6 * (Y % 2), noisy)
    assert examine_noise(filled[..., None], mask[..., None]).structure == ""


def test_volumes_are_looked_at_in_their_middle_plane(noisy):
    """What is alike in all planes is the volume's content, and no stripes."""
    rng = np.random.default_rng(0)
    rows = rng.normal(0, SIGMA, (1, SIDE, 1, 1))
    volume = noisy[None, :, :, None] + rng.normal(0, SIGMA, (5, SIDE, SIDE, 1))
    assert examine_noise(volume).structure == ""
    volume[2] += rows[0]
    assert examine_noise(volume).structure.startswith("stripes along the rows")


def test_small_images_are_not_looked_at():
    image = np.random.default_rng(0).normal(0, SIGMA, (48, 48)) + np.random.default_rng(1).normal(0, SIGMA, (48, 1))
    assert examine_noise(image).structure == ""


def test_pictures_micrographs_and_real_noise_have_none(shared):
    """One level each, of which the others were checked: see the log."""
    rng = np.random.default_rng(0)
    folders = [("set12", 12, 10), ("train400", 50, 5), ("real/noisy", 8, 0)]
    for folder, count, sigma in folders:
        paths = sorted((shared / "data" / folder).glob("*.png"))[:count]
        assert len(paths) == count
        for path in paths:
            image = io.imread(path).astype(float)
            image = image[..., None] if image.ndim == 2 else image
            image = image + sigma * rng.standard_normal(image.shape)
            assert structure_of(image, max(sigma, 1.0) ** 2) is None, path
    for path in sorted((shared / "data" / "tem").glob("*.tif")):
        clean = io.imread(path).astype(float)[..., None]
        for dose in (1, 100):
            counts = rng.poisson(dose * clean).astype(float)
            assert structure_of(counts, dose * clean.mean()) is None, path
