"""Muon for kernels: orthogonal updates, Adam elsewhere, and a training that is better for it."""

import keras
import numpy as np

from gaintuning_tf.training.muon import ConvMuon, orthogonalised


def test_orthogonalised_is_close_to_the_polar_factor():
    rng = np.random.default_rng(0)
    for shape in ((72, 8), (8, 72), (9, 1), (16, 16)):
        matrix = rng.standard_normal(shape).astype("float32")
        u, values, v = np.linalg.svd(matrix, full_matrices=False)
        found = np.asarray(orthogonalised(matrix))
        # The iteration takes every singular value above a hundredth of the norm near one, and leaves the vectors.
        inner = np.diag(u.T @ found @ v.T)
        big = values > 0.02 * np.linalg.norm(matrix)
        assert np.all((inner[big] > 0.6) & (inner[big] < 1.3))
        np.testing.assert_allclose(u.T @ found @ v.T, np.diag(inner), atol=0.02)


def test_a_step_moves_kernels_orthogonally_and_biases_as_adam():
    model = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(8, 3)])
    layer = model.layers[0]
    kernel, bias = layer.kernel.numpy(), layer.bias.numpy()
    rng = np.random.default_rng(0)
    gradient = rng.standard_normal(kernel.shape).astype("float32")
    ConvMuon(0.01).apply([gradient, np.full(8, 5.0, "float32")], model.trainable_variables)
    update = (kernel - layer.kernel.numpy()).reshape(27, 8) / (0.01 * 0.2 * np.sqrt(27))
    values = np.linalg.svd(update, compute_uv=False)
    assert np.all((values > 0.6) & (values < 1.3))
    # Adam's first step has the size of the learning rate, whatever the gradient.
    np.testing.assert_allclose(bias - layer.bias.numpy(), 0.01, rtol=1e-3)


def test_it_survives_saving(tmp_path):
    model = keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(1, 3, padding="same")])
    model.compile(ConvMuon(0.01, momentum=0.8), "mse")
    x = np.random.default_rng(0).random((4, 8, 8, 1)).astype("float32")
    model.fit(x, x, verbose=0)
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    assert again.optimizer.momentum == 0.8
    for each in (model, again):
        each.fit(x, x, verbose=0, shuffle=False)
    for a, b in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
