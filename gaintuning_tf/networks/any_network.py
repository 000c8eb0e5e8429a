"""Whatever is given for a network, as a Keras model and the contrast that it has."""

from __future__ import annotations

import os

import keras
import numpy as np

from gaintuning_tf.gains.contrast import take_contrast
from gaintuning_tf.gains.graph_models import as_keras_model
from gaintuning_tf.networks.kept_networks import network_in
from gaintuning_tf.networks.sizes import check_denoiser


def network_of(model) -> tuple[keras.Model, np.ndarray]:
    """What `gaintune` takes for a model as a Keras model without contrast layers, and the contrast that those had.

    Raises:
        InputError: It cannot be used.
    """
    model = network_in(model) if isinstance(model, (str, os.PathLike)) else model
    network, contrast = take_contrast(as_keras_model(model))
    check_denoiser(network)
    return network, contrast
