"""Which network is chosen for an image."""

import numpy as np
import pytest

from gaintuning_tf import InputError
from gaintuning_tf.denoising.network_choice import (
    LARGE,
    choose_network,
    is_colour_picture,
    network_for,
    network_for_stack,
)
from gaintuning_tf.denoising.recipe import Recipe
from gaintuning_tf.images.stack_files import open_stack
from gaintuning_tf.networks.pretrained import CHOSEN, list_denoisers
from gaintuning_tf.noise.models import GaussianNoise, PoissonGaussianNoise, PoissonNoise
from helpers.correlations import gaussian

SMALL = {"pixels": 10_000}


def smooth(*shape):
    y, x = np.mgrid[: shape[0], : shape[1]] / max(shape)
    image = 100 + 80 * y - 40 * x * y
    return image if len(shape) == 2 else np.stack([image * (1 - 0.1 * c) for c in range(shape[2])], axis=-1)


def noisy(*shape):
    return (smooth(*shape) + np.random.default_rng(0).normal(0, 12, shape)).clip(0, 255).astype("uint8")


def test_all_that_can_be_chosen_ship():
    kinds = [None, GaussianNoise(1.0), PoissonNoise(1.0)]
    chosen = {
        choose_network(wanted, noise, colour=colour, pixels=pixels).name
        for wanted in CHOSEN
        for noise in kinds
        for colour in (False, True)
        for pixels in (10_000, 2 * LARGE)
    }
    known = list_denoisers()
    assert chosen <= set(known) and len(chosen) == 3
    assert known["drunet-color"].channels == 3 and known["drunet-grey"].channels == 1


@pytest.mark.parametrize(
    ("noise", "colour", "name"),
    [
        (GaussianNoise(0.1), False, "drunet-grey"),
        (GaussianNoise(0.1), True, "drunet-color"),
        (GaussianNoise(0.1, correlation=gaussian(1.0)), True, "drunet-color"),
        (PoissonGaussianNoise(0.01, 0.1, correlation=gaussian(1.0)), False, "drunet-grey"),
        (PoissonGaussianNoise(0.01, 0.1), False, "unet-bf-natural"),
        (PoissonNoise(1.0), False, "unet-bf-natural"),
        (None, False, "unet-bf-natural"),
    ],
)
def test_gaussian_and_correlated_noise_get_a_drunet_and_all_else_what_adapts_furthest(noise, colour, name):
    assert choose_network("auto", noise, colour=colour, **SMALL).name == name


def test_large_images_get_the_fastest_unless_the_best_is_asked_for():
    options = {"colour": True, "pixels": LARGE + 1}
    assert choose_network("auto", GaussianNoise(0.1), **options).name == "unet-bf-natural"
    assert choose_network("best", GaussianNoise(0.1), **options).name == "drunet-color"
    assert choose_network("fast", GaussianNoise(0.1), colour=True, **SMALL).name == "unet-bf-natural"


def test_the_noise_is_seen_in_the_image_and_so_is_colour():
    assert network_for(noisy(96, 96, 3), Recipe()).name == "drunet-color"
    counts = np.random.default_rng(0).poisson(np.tile(np.linspace(2, 60, 128), (128, 1))).astype("uint16")
    choice = network_for(counts, Recipe())
    assert choice.name == "unet-bf-natural" and "counting" in choice.why


def test_noise_that_is_given_is_taken_as_it_is():
    # The image has none: nothing is looked for.
    assert network_for(smooth(70, 70), Recipe(sigma=10)).name == "drunet-grey"
    assert network_for(smooth(70, 70), Recipe(noise="poisson")).name == "unet-bf-natural"


def test_unrelated_channels_are_no_colours():
    assert is_colour_picture("YXC", (9, 9, 3)) and not is_colour_picture("YXC", (9, 9, 2))
    assert network_for(noisy(96, 96, 3).transpose(2, 0, 1), Recipe(), axes="CYX").name == "drunet-grey"


def test_hot_pixels_do_not_make_noise_signal_dependent():
    image = noisy(96, 96).astype("float32")
    image[20, 30] = 1e6
    assert network_for(image, Recipe()).name == "drunet-grey"


def test_a_stack_is_seen_by_its_first_frame_and_its_size(tmp_path, monkeypatch):
    np.save(tmp_path / "movie.npy", np.stack([noisy(96, 96)] * 3))
    with open_stack(tmp_path / "movie.npy", axes="TYX") as stack:
        assert network_for_stack(stack, Recipe()).name == "drunet-grey"
        monkeypatch.setattr("gaintuning_tf.denoising.network_choice.LARGE", 2 * 96 * 96)
        choice = network_for_stack(stack, Recipe())
        assert choice.name == "unet-bf-natural" and "best" in choice.why
        assert network_for_stack(stack, Recipe(), wanted="best").name == "drunet-grey"


def test_an_image_without_noise_is_left_to_who_tunes_it():
    assert network_for(np.zeros((80, 80)), Recipe()).name == "unet-bf-natural"


def test_another_name_is_refused():
    with pytest.raises(InputError, match="'quick'"):
        choose_network("quick", None, colour=False, **SMALL)


def half_striped():
    """White noise, and in the masked half counts that are far stronger."""
    image = noisy(128, 128).astype("float32")
    image[:, 64:] = 200 * np.random.default_rng(1).poisson(np.tile(np.linspace(2, 60, 64), (128, 1)))
    mask = np.zeros((128, 128), bool)
    mask[:, 64:] = True
    return image, mask


def test_masked_pixels_have_no_say_in_the_choice(monkeypatch):
    from gaintuning_tf.denoising import pipeline

    seen = []

    def stop(image, *_, **__):
        seen.append(image)
        raise InputError("seen")

    image, mask = half_striped()
    assert network_for(np.ma.array(image, mask=mask), Recipe()).name == "drunet-grey"
    monkeypatch.setattr(pipeline, "network_for", stop)
    with pytest.raises(InputError, match="seen"):
        pipeline.gaintune(image, mask=mask)
    np.testing.assert_array_equal(np.ma.getmaskarray(seen[0]), mask)
