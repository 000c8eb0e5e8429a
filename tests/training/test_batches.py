"""Training batches: reproducible, resumable, and with the noise they claim."""

import numpy as np
import pytest

from gaintuning_tf import InputError
from gaintuning_tf.training.batches import MASKED, Batches, DrawnNoise


def images():
    rng = np.random.default_rng(0)
    return [rng.integers(0, 255, shape, dtype="uint8") for shape in ((16, 30, 1), (25, 17, 1), (40, 40, 1))]


def batches(noise=None, **options):
    return Batches(
        images(), **{"crop": 16, "batch": 4, "noise": noise or DrawnNoise(sigma=(0, 50)), "seed": 3, **options}
    )


def test_a_batch_depends_on_its_number_and_the_seed_alone():
    whole, rest = list(batches().between(0, 5)), list(batches().between(3, 5))
    assert len(whole) == 5
    for again, once in zip(rest, whole[3:], strict=True):
        for a, b in zip(again, once, strict=True):
            np.testing.assert_array_equal(a, b)
    assert np.any(whole[0][0] != whole[1][0])
    assert np.any(whole[0][0] != batches(seed=4)[0][0])


@pytest.mark.parametrize("objective", ["supervised", "masking"])
def test_the_tf_dataset_is_the_same_batches(objective):
    plain = batches(objective=objective)
    for expected, found in zip(plain.between(2, 5), plain.as_dataset(2, 5), strict=True):
        for a, b in zip(expected, found, strict=True):
            np.testing.assert_array_equal(a, b.numpy())


def test_clean_crops_are_pieces_of_the_images_turned_or_mirrored():
    known = set()
    for image in images():
        for top in range(image.shape[0] - 15):
            for left in range(image.shape[1] - 15):
                piece = image[top : top + 16, left : left + 16, 0]
                known |= {np.rot90(p, k).tobytes() for k in range(4) for p in (piece, piece.T)}
    turned = set()
    for _, clean in batches().between(0, 5):
        for crop in clean:
            data = np.rint(crop[..., 0] * 255).astype("uint8")
            assert data.tobytes() in known
            turned.add(data.tobytes())
    assert len(turned) == 20


def test_noise_levels_are_uniform_over_their_range():
    levels = np.array([255 * np.std(noisy - clean, axis=(1, 2, 3)) for noisy, clean in batches().between(0, 100)])
    # 400 draws of a uniform variable: mean 25 with standard error 50 / sqrt(12 * 400).
    assert levels.mean() == pytest.approx(25, abs=4 * 50 / np.sqrt(12 * 400))
    assert levels.min() < 3
    assert levels.max() > 45


def test_poisson_noise_has_mean_x_and_variance_x_over_dose():
    clean = np.full((300, 300, 1), 0.4, np.float32)
    noisy, sigma = DrawnNoise("poisson", dose=(2, 2)).draw(np.random.default_rng(0), clean)
    assert sigma == 0
    assert noisy.dtype == np.float32
    variance = 0.4 / 2
    assert noisy.mean() == pytest.approx(0.4, abs=4 * np.sqrt(variance / clean.size))
    # The sample variance of counts with mean 0.8 has a relative standard error of sqrt((2 + 1 / 0.8) / n).
    assert noisy.var() == pytest.approx(variance, rel=4 * np.sqrt((2 + 1 / 0.8) / clean.size))
    np.testing.assert_allclose(noisy * 2, np.rint(noisy * 2), atol=1e-6)


def test_poisson_gaussian_noise_adds_the_variances():
    clean = np.full((300, 300, 1), 0.4, np.float32)
    noise = DrawnNoise("poisson-gaussian", sigma=(51, 51), dose=(10, 10))
    noisy, sigma = noise.draw(np.random.default_rng(0), clean)
    assert sigma == pytest.approx(0.2)
    assert noisy.var() == pytest.approx(0.4 / 10 + 0.2**2, rel=4 * np.sqrt(2.3 / clean.size))


def test_doses_are_uniform_in_their_logarithm():
    clean, rng = np.full((64, 64, 1), 0.5, np.float32), np.random.default_rng(0)
    noise = DrawnNoise("poisson", dose=(1, 100))
    doses = np.array([0.5 / noise.draw(rng, clean)[0].var() for _ in range(300)])
    # Half of the draws below the geometric mean, 10: a standard error of 0.5 / sqrt(300).
    assert np.mean(doses < 10) == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(300))


def test_integers_of_16_bits_are_scaled_by_their_full_scale():
    image = np.full((20, 20, 1), 32768, np.uint16)
    _, clean = Batches([image], crop=8, batch=2, noise=DrawnNoise(sigma=(0, 0)))[0]
    np.testing.assert_allclose(clean, 32768 / 65535, rtol=1e-6)


def test_masking_hides_few_pixels_behind_neighbours_and_counts_there_alone():
    # Each pixel has a value of its own, so that it shows where a value came from.
    image = np.arange(32 * 32, dtype=np.float32).reshape(32, 32, 1) / 1024
    masked, noisy, weights = Batches([image], crop=32, batch=8, noise=DrawnNoise("none"), objective="masking")[0]
    assert weights.mean() == pytest.approx(1)
    hidden = weights > 0
    assert hidden.mean() == pytest.approx(MASKED, abs=1 / 1024)
    np.testing.assert_array_equal(masked[~hidden], noisy[~hidden])
    assert np.all(masked[hidden] != noisy[hidden])
    for old, new, where in zip(noisy[..., 0], masked[..., 0], hidden, strict=True):
        for row, column in np.argwhere(where):
            source = np.argwhere(old == new[row, column])[0]
            assert np.abs(source - [row, column]).max() <= 2


def test_blind_spot_and_sure_batches():
    noisy, target = batches(objective="blind-spot")[0]
    np.testing.assert_array_equal(noisy, target)
    noisy, target = batches(DrawnNoise(sigma=(51, 51)), objective="sure")[0]
    assert target.shape == (4, 16, 16, 2)
    np.testing.assert_allclose(target[..., 1], 0.2, rtol=1e-6)
    assert target[..., 0].std() == pytest.approx(1, abs=0.1)
    _, target = batches(DrawnNoise("none"), objective="sure", sigmas=[0.1, 0.1, 0.1])[0]
    np.testing.assert_allclose(target[..., 1], 0.1)


def test_pairs_are_cut_alike():
    clean = images()
    noisy = [255 - image for image in clean]
    pairs = Batches(noisy, crop=16, batch=4, noise=DrawnNoise("none"), targets=clean)
    x, y = pairs[0]
    np.testing.assert_allclose(x + y, 1, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"crop": 17}, "at least 17x17"),
        ({"objective": "guess"}, "received 'guess'"),
        ({"noise": DrawnNoise("none")}, "nothing to learn"),
        ({"noise": DrawnNoise("none"), "targets": [np.zeros((16, 30, 1))]}, "3 and 1 images"),
        ({"noise": DrawnNoise("none"), "targets": [np.zeros((16, 16, 1))] * 3}, r"\(16, 30, 1\).*number 0"),
    ],
)
def test_what_cannot_be_trained_on_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        batches(**options)


@pytest.mark.parametrize("options", [{"kind": "salt"}, {"sigma": (3, 1)}, {"dose": (0, 1)}, {"sigma": (1,)}])
def test_noise_that_is_none_is_refused(options):
    with pytest.raises(InputError, match=r"received .*(salt|3|0|1)"):
        DrawnNoise(**options)


def volumes(count=2):
    return [np.random.default_rng(number).integers(0, 256, (9, 20, 24, 1), np.uint8) for number in range(count)]


def test_crops_of_volumes_are_pieces_of_them_turned_within_their_planes_or_upside_down():
    batches = Batches(volumes(1), crop=8, batch=32, noise=DrawnNoise(sigma=(0, 0)), crop_depth=5)
    noisy, clean = batches[0]
    assert clean.shape == (32, 5, 8, 8, 1)
    np.testing.assert_array_equal(noisy, clean)
    pieces = np.lib.stride_tricks.sliding_window_view(volumes(1)[0][..., 0], (5, 8, 8)).reshape(-1, 5, 8, 8)
    known = {piece.tobytes() for piece in pieces}
    seen = set()
    for crop in np.rint(255 * clean[..., 0]).astype(np.uint8):
        turned = {
            (up, turn, swap): np.rot90(part.swapaxes(1, 2) if swap else part, turn, (1, 2))
            for up, part in ((False, crop), (True, crop[::-1]))
            for turn in range(4)
            for swap in (False, True)
        }
        found = [how for how, part in turned.items() if np.ascontiguousarray(part).tobytes() in known]
        assert len(found) == 1
        seen |= set(found)
    # Of 32 draws out of 16, all but 16 (15/16)^32 = 2 are seen.
    assert len(seen) > 8


def test_masking_hides_pixels_behind_neighbours_of_their_plane():
    batches = Batches(volumes(), crop=16, batch=2, noise=DrawnNoise("none"), objective="masking", crop_depth=4)
    masked, noisy, weights = batches[0]
    assert masked.shape == noisy.shape == (2, 4, 16, 16, 1) and weights.shape == (2, 4, 16, 16)
    assert ((weights > 0).sum((2, 3)) == 4).all() and weights.mean() == pytest.approx(1)
    assert not (masked != noisy)[..., 0][weights == 0].any()


def test_crops_of_volumes_weigh_by_their_noise():
    noise = DrawnNoise(sigma=(30, 30))
    *_, weights = Batches(volumes(), crop=8, batch=2, noise=noise, sigma_weighting=1.2)[0]
    assert weights.shape == (2, 1, 1, 1) and weights == pytest.approx(1)


def test_volumes_flatter_than_the_crop_are_refused():
    with pytest.raises(
        InputError, match=r"at least 16 planes, the depth of the crops, received one of 9.*--crop-depth"
    ):
        Batches(volumes(), crop=16, batch=1)
