# %% [markdown]
# # A network of your own, to TensorFlow Serving
#
# Train a small Keras network, tune it to one image, and export it as a SavedModel that
# tunes itself for each request. The whole takes half a minute on two cores.

# %%
import tempfile

import keras
import numpy as np
import tensorflow as tf
from skimage.data import brick, camera, coins, grass

from gaintuning_tf import export_saved_model, gaintune, psnr

keras.utils.set_random_seed(0)

# %% [markdown]
# Any network will do that takes (N, H, W, C) to the same shape. This one has four
# convolutions without biases, and returns the image less the noise that it finds:

# %%
image = keras.Input((None, None, 1))
features = image
for _ in range(3):
    features = keras.layers.Conv2D(24, 3, padding="same", activation="relu", use_bias=False)(features)
noise = keras.layers.Conv2D(1, 3, padding="same", use_bias=False)(features)
network = keras.Model(image, image - noise, name="small")

# %% [markdown]
# It learns from noise drawn on three textures that come with scikit-image, in [0, 1],
# for a few seconds:

# %%
rng = np.random.default_rng(0)


def crops(count, side=48):
    """Cut random crops from the textures."""
    textures = [picture().astype(np.float32) / 255 for picture in (brick, coins, grass)]
    for number in range(count):
        texture = textures[number % 3]
        y, x = rng.integers(0, texture.shape[0] - side), rng.integers(0, texture.shape[1] - side)
        yield texture[y : y + side, x : x + side, None]


targets = np.stack(list(crops(768)))
inputs = targets + rng.normal(0, 0.1, targets.shape).astype(np.float32)
network.compile(keras.optimizers.Adam(2e-3), "mse")
errors = network.fit(inputs, targets, batch_size=16, epochs=4, verbose=0).history["loss"]
print("squared error by epoch:", " ".join(f"{error:.5f}" for error in errors))

# %% [markdown]
# An image of another kind, with more noise. In Python, tuning is one call:

# %%
clean = camera()[60:156, 150:246].astype(np.float32) / 255
noisy = clean + rng.normal(0, 0.15, clean.shape).astype(np.float32)
result = gaintune(noisy, network, sigma=0.15, data_range=1, steps=10, progress=False)
for name, values in {"noisy": noisy, "before": result.pretrained, "tuned": result.denoised}.items():
    print(f"{name:6}: {psnr(clean, values, data_range=1):.2f} dB")

# %% [markdown]
# The export is a folder with a version in it, which TensorFlow Serving serves as it is:
#
#     docker run --rm -p 8501:8501 -e MODEL_NAME=small -v "$PWD/small:/models/small" tensorflow/serving

# %%
folder = export_saved_model(network, tempfile.mkdtemp() + "/small")
served = tf.saved_model.load(folder)
print("signatures:", ", ".join(sorted(served.signatures)))

# %% [markdown]
# The same signatures that a server calls can be called here. `serving_default` denoises,
# `gaintune` tunes the network to the image first, within the request:

# %%
batch = tf.constant(noisy[None, ..., None])
denoised = served.signatures["serving_default"](noisy=batch)["denoised"][0, ..., 0]
answer = served.signatures["gaintune"](noisy=batch, sigma=tf.constant([0.15]), steps=tf.constant(10))
tuned = answer["denoised"][0, ..., 0]
print(f"serving_default: {psnr(clean, denoised.numpy(), data_range=1):.2f} dB")
print(f"gaintune:        {psnr(clean, tuned.numpy(), data_range=1):.2f} dB")
print(f"largest difference from Python's result: {np.abs(tuned - result.denoised).max():.0e}")

# %% [markdown]
# From elsewhere, over gRPC or REST, `gaintuning_tf.serving.ServingClient` sends arrays and
# gets arrays of the same dtype and scale: see [serving](../guides/serving.md).
