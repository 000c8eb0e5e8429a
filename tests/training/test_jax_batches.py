"""Batches that are made on the device: the distribution of those that NumPy makes."""

import numpy as np
import pytest

from gaintuning_tf import InputError
from gaintuning_tf.training.batches import Batches, DrawnNoise
from gaintuning_tf.training.jax_batches import JaxBatches

pytest.importorskip("jax", reason="needs JAX: pip install -e '.[jax]'")
GREY = np.full((60, 80, 1), 128, "uint8")


def noise_of(batches, numbers=1):
    return np.concatenate([255 * np.asarray(batches[k][0] - batches[k][1]) for k in range(numbers)])


def of_neighbours(noise):
    """The correlation of vertical neighbours in each crop."""
    return np.mean(noise[:, 1:] * noise[:, :-1], axis=(1, 2, 3)) / np.mean(noise**2, axis=(1, 2, 3))


def test_crops_are_pieces_of_the_images_in_all_eight_symmetries():
    image = np.random.default_rng(0).integers(0, 256, (9, 12, 1), dtype=np.uint8)
    batches = Batches([image], crop=8, batch=500, noise=DrawnNoise(sigma=(0, 0)))
    pieces = {
        np.ascontiguousarray(np.rot90(piece.transpose(1, 0, 2) if turn >= 4 else piece, turn)).tobytes(): (
            *corner,
            turn,
        )
        for corner in np.ndindex(2, 5)
        for turn in range(8)
        for piece in [image[corner[0] : corner[0] + 8, corner[1] : corner[1] + 8]]
    }
    crops = np.rint(255 * np.asarray(JaxBatches(batches)[0][1])).astype("uint8")
    found = [pieces[crop.tobytes()] for crop in crops]  # a KeyError is a crop that is none
    # Each of the 80 is drawn 6.25 times on average: none at all has a probability of 80 * exp(-6.25), 0.15.
    assert len(set(found)) >= 78


def test_images_of_several_sizes_are_drawn_equally_often():
    images = [np.full((8 + 4 * k, 30 - 5 * k, 3), 60 * k, "uint8") for k in range(4)]
    batches = Batches(images, crop=8, batch=400, noise=DrawnNoise(sigma=(0, 0)))
    clean = 255 * np.asarray(JaxBatches(batches)[0][1])
    assert np.ptp(clean, axis=(1, 2, 3)).max() == 0, "no crop reaches into another image"
    counts = np.bincount(np.rint(clean[:, 0, 0, 0] / 60).astype(int), minlength=4)
    assert np.abs(counts - 100).max() < 5 * (400 * 3 / 16) ** 0.5


@pytest.mark.parametrize("kind", ["gaussian", "poisson", "poisson-gaussian"])
def test_white_noise_has_the_level_of_numpys(kind):
    batches = Batches([GREY], crop=48, batch=50, noise=DrawnNoise(kind, sigma=(25, 25), dose=(10, 10)))
    ours, theirs = noise_of(JaxBatches(batches)), noise_of(batches)
    # The standard error of a standard deviation of n draws is about 1 / sqrt(2 n) of it.
    assert abs(ours.std() / theirs.std() - 1) < 5 / (theirs.size) ** 0.5
    assert abs(of_neighbours(ours).mean()) < 5 / theirs.size**0.5


@pytest.mark.parametrize("channels", [1, 3])
def test_camera_noise_has_the_level_and_the_correlations_of_numpys(channels):
    images = [np.full((30, 30, channels), 128, "uint8")]
    batches = Batches(images, crop=24, batch=200, noise=DrawnNoise("camera", sigma=(25, 25), white=0.3))
    ours, theirs = noise_of(JaxBatches(batches), 2), noise_of(batches, 2)
    assert abs(ours.std() / 25 - 1) < 0.03 and abs(theirs.std() / 25 - 1) < 0.03
    first, second = of_neighbours(ours), of_neighbours(theirs)
    # 400 crops each, whose correlations scatter by about 0.27.
    assert abs(first.mean() - second.mean()) < 4 * 0.27 * (2 / 400) ** 0.5
    assert abs(np.mean(np.abs(first) < 0.08) - np.mean(np.abs(second) < 0.08)) < 0.14
    between = [np.corrcoef(noise[..., 0].ravel(), noise[..., -1].ravel())[0, 1] for noise in (ours, theirs)]
    assert abs(between[0] - between[1]) < 0.1


def test_signal_dependent_noise_follows_the_line():
    image = np.repeat(np.array([0, 255], "uint8"), 16)[None, :, None] * np.ones((32, 1, 1), "uint8")
    batches = Batches([image], crop=32, batch=300, noise=DrawnNoise("camera", sigma=(20, 20), white=0.0))
    for made in (JaxBatches(batches), batches):
        noisy, clean = (np.asarray(part) for part in made[0])
        dark, bright = (np.square(255 * (noisy - clean))[clean == value].mean() for value in (0.0, 1.0))
        # The tilt of two thirds of the crops is uniform from -0.5 to 1, a quarter on average: the mean variances
        # are 400 * (1 -+ 2/3 * 0.25); they scatter by 400 * 0.36 / sqrt(300) over the crops.
        assert abs(dark - 400 * (1 - 1 / 6)) < 4 * 400 * 0.36 / 300**0.5
        assert abs(bright - 400 * (1 + 1 / 6)) < 4 * 400 * 0.36 / 300**0.5


def test_a_batch_depends_on_seed_and_number_alone():
    batches = Batches([GREY], crop=16, batch=2, noise=DrawnNoise("camera"))
    first, again = JaxBatches(batches), JaxBatches(batches)
    noisy = np.asarray(first[3][0])
    np.testing.assert_array_equal(noisy, again[3][0])
    assert np.abs(noisy - np.asarray(first[4][0])).max() > 0
    np.testing.assert_array_equal(noisy, next(iter(first.between(3, 5)))[0])


def test_weights_are_those_of_the_host():
    batches = Batches([GREY], crop=16, batch=3, noise=DrawnNoise(sigma=(10, 10)), sigma_weighting=1.2)
    ours, theirs = np.asarray(JaxBatches(batches)[0][2]), batches[0][2]
    assert ours.shape == theirs.shape == (3, 1, 1)
    np.testing.assert_allclose(ours, ((10**2 + 4**2) / (30**2 + 4**2)) ** -0.6, rtol=1e-5)
    np.testing.assert_allclose(theirs, ours, rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "named"), [({"objective": "masking"}, "'masking'"), ({"targets": [GREY]}, "and pairs")]
)
def test_what_is_made_on_the_host_alone_is_refused(options, named):
    with pytest.raises(InputError, match=named):
        JaxBatches(Batches([GREY], crop=16, batch=2, **options))


def test_volumes_are_made_on_the_host_alone():
    with pytest.raises(InputError, match="volumes"):
        JaxBatches(Batches([np.zeros((20, 20, 20, 1), "uint8")], crop=8, batch=2))
