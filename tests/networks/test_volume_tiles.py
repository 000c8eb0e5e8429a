"""Blocks of volumes: what a network of them sees is measured, and no seam is seen."""

import keras
import numpy as np
import pytest
from keras import layers

from gaintuning_tf import InputError
from gaintuning_tf.networks.network import network_of
from gaintuning_tf.networks.unet3d import unet3d
from gaintuning_tf.networks.volume_tiles import (
    block_size,
    denoise_in_blocks,
    receptive_field_of_volumes,
    total_stride,
)


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    model = unet3d(width=4, scales=3)
    # As begun, it returns its input: so that seams can be seen, it has to do something.
    model.get_layer("noise").kernel.assign(10 * model.get_layer("noise").kernel)
    return network_of(model)


def test_measures_field_and_stride(network):
    # At most: two convolutions at full, two at half and two at a quarter resolution, two at half, and three at full.
    assert network.receptive_field == 22 < 2 + 4 + 8 + 4 + 3 + 4
    assert network.stride == 4
    model = keras.Sequential([keras.Input((None, None, None, 2)), layers.Conv3D(2, (1, 7, 3), padding="same")])
    assert (receptive_field_of_volumes(model), total_stride(model, 3)) == (3, 1)


def test_a_network_that_sees_everything_is_refused():
    inputs = keras.Input((None, None, None, 1))
    model = keras.Model(inputs, inputs - layers.GlobalAveragePooling3D(keepdims=True)(inputs))
    with pytest.raises(InputError, match="cannot be tiled"):
        receptive_field_of_volumes(model)


@pytest.mark.parametrize(("size", "voxels"), [((22, 70, 61), 22 * 64 * 61), ((3, 9, 110), 3 * 9 * 56)])
def test_blocks_are_seamless(network, size, voxels):
    noisy = np.random.default_rng(0).random((1, *size, 1)).astype("float32")
    whole, seen = np.asarray(network.model(noisy)), []

    def denoise(piece):
        seen.append(piece[0].size)
        return np.asarray(network.model(piece))

    how = {"receptive_field": network.receptive_field, "alignment": network.stride, "voxels": voxels}
    tiled = denoise_in_blocks(denoise, noisy, **how)
    assert len(seen) > 1 and max(seen) <= voxels
    np.testing.assert_allclose(tiled, whole, atol=1e-5 * np.abs(whole).max())


@pytest.mark.parametrize(("field", "alignment"), [(12, 4), (22, 1)])
def test_a_margin_or_a_phase_that_is_wrong_shows(network, field, alignment):
    noisy = np.random.default_rng(0).random((1, 4, 8, 130, 1)).astype("float32")
    whole = np.asarray(network.model(noisy))
    how = {"receptive_field": field, "alignment": alignment, "voxels": 4 * 8 * 67}
    tiled = denoise_in_blocks(lambda piece: np.asarray(network.model(piece)), noisy, **how)
    assert np.abs(tiled - whole).max() > 1e-3 * np.abs(whole).max(), "the test above would pass whatever they are"


def test_the_blocks_with_the_fewest_voxels_in_all_are_taken():
    # In depth, the margins would be as large as the volume.
    assert block_size((16, 512, 512), 16, 16 * 160 * 160) == (16, 128, 128)
    # Where nothing fits, the smallest.
    assert block_size((16, 512, 512), 16, 1, 16) == (16, 32, 32)
