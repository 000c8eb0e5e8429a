"""Gauss-Newton steps for about a thousand gains: the curvature from a few crops, a prior, a trust region."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import tensorflow as tf

from gaintuning_tf.tuning import windows

# A pass through the network takes CROPS crops of SIDE x SIDE pixels, fewer pixels than
# a small image has. Crops of 32 and 48 pixels do alike
# (docs/log/2026-11-27-smaller-crops-for-the-curvature.md).
CROPS = 16
SIDE = 32
# Where the network fixes larger sides, crops have these, and a pass takes fewer: so many
# pixels in all, eight times those of crops of 32, unless one crop alone has more.
PASS_PIXELS = 2**17
# Crops of volumes are shorter: all passes together then see 1.8 million voxels, as many as
# about two steps on a large volume.
VOLUME_SIDE = 24
# Twice as many passes gain nothing worth their time:
# docs/log/2026-11-25-smaller-steps-and-more-rows-of-the-curvature.md.
PASSES = 8
# 128 samples know little of a thousand gains but each one's own curvature, so the rest
# is shrunk by this share. Without that, steps went astray more often
# (docs/log/2026-11-23-gauss-newton-steps.md).
DIAGONAL = 0.3
# No gain moves further in one step, before the learning rate, for the quadratic model
# holds nearby only: docs/log/2026-11-23-gauss-newton-steps.md.
LIMIT = 0.1
# Crops and cotangents draw from this stream of random numbers, which tuning never uses.
STREAM = 1 << 29
# The trust region is found by growing the damping by this factor: small, so that a step
# is not much shorter than it may be, and 60 times is a factor of 1e12.
_GROWTH = 1.6


def curvature_samples(
    derivative: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    noisy: tf.Tensor,
    images: int | None,
    seed: windows.Integer,
    fixed: Sequence[int | None] = (),
) -> tf.Tensor:
    """Draw random samples whose products are the Gauss-Newton curvature of the mean squared error.

    `H = 2/n J^T J = 2 E[r r^T]` with `r = J^T v / sqrt(n)`, J the derivative of the denoised image by the gains and
    `v ~ N(0, 1)` (the sampled Fisher matrix of least squares: Martens, "New insights and perspectives
    on the natural gradient method", JMLR 2020, section 9). Each sample is of a crop of its own, so that a
    pass over fewer pixels than a small image has gives `CROPS` of them.

    Args:
        derivative: Crops (crops * images, h, w, C) and cotangents of the same shape to `J^T v` of
            each crop, (crops * images, gains), `crops_in_a_pass` of each image; item i belongs to image
            i modulo `images`.
        noisy: (N, H, W, C), or volumes.
        images: The number of images with gains of their own, N; None if they share them: then each
            crop is of one of them in turn.
        seed: The seed of the whole tuning, ().
        fixed: The sides that the network fixes, see `sizes.fixed_sides`.

    Returns:
        (images or 1, PASSES * CROPS, gains).
    """
    side = VOLUME_SIDE if len(noisy.shape) == 5 else SIDE
    size = windows.window_size(noisy, [one or side for one in fixed] or side)
    crops_each = crops_in_a_pass(fixed)
    shape = [crops_each * (images or 1), *noisy.shape[1:-1], noisy.shape[-1]]

    def crop(number):
        window = windows.random_window(noisy, windows.step_seed(seed, STREAM + number), size)
        return window if images else tf.gather(window, [tf.cast(number, tf.int32) % tf.shape(noisy)[0]])

    def one_pass(number):
        numbers = number * crops_each + tf.range(crops_each, dtype=tf.int64)
        crops = tf.map_fn(crop, numbers, fn_output_signature=noisy.dtype)
        crops = tf.reshape(crops, tf.concat([shape[:1], size, shape[-1:]], 0))
        key = windows.step_seed(seed, STREAM + PASSES * CROPS + number)
        # The same for each image, so that an image in a batch gets what it would get alone.
        one = tf.concat([[crops_each], tf.shape(crops)[1:]], 0)
        cotangents = tf.random.stateless_normal(one, key, dtype=crops.dtype, alg="philox")
        cotangents = tf.reshape(tf.repeat(cotangents[:, None], images or 1, axis=1), tf.shape(crops))
        pixels = tf.cast(tf.reduce_prod(tf.shape(crops)[1:]), crops.dtype)
        return derivative(crops, cotangents / tf.sqrt(pixels))

    samples = tf.map_fn(
        one_pass,
        tf.range(PASSES * CROPS // crops_each, dtype=tf.int64),
        fn_output_signature=tf.float32,
        parallel_iterations=1,
    )
    samples = tf.reshape(samples, [PASSES * CROPS, images or 1, samples.shape[-1]])
    return tf.transpose(samples, [1, 0, 2])


def crops_in_a_pass(fixed: Sequence[int | None]) -> int:
    """Choose how many crops of each image a pass takes, by the sides that the network fixes.

    Example:

    >>> crops_in_a_pass((None, None)), crops_in_a_pass((64, 64)), crops_in_a_pass((256, 256))
    (16, 16, 2)
    """
    if not any(fixed):
        return CROPS
    pixels = math.prod(side or (VOLUME_SIDE if len(fixed) == 3 else SIDE) for side in fixed)
    fitting = max(PASS_PIXELS // pixels, 1)
    return min(CROPS, 2 ** int(math.log2(fitting)))


def newton_step(
    samples: tf.Tensor, gradient: tf.Tensor, deviation: tf.Tensor, damping: tf.Tensor, limit: float = LIMIT
) -> tf.Tensor:
    """Find the step down to the minimum of the risk's quadratic model plus the prior, within a trust region.

    `-(H + damping I)^-1 (gradient + damping * deviation)`, the minimum of
    `gradient . d + d^T H d / 2 + damping |deviation + d|^2 / 2`. If a gain would move
    by more than `limit`, the quadratic is steepened by `mu |d|^2 / 2`, mu growing until none does
    (Nocedal and Wright, "Numerical optimization", section 10.3: Levenberg-Marquardt). H is
    `2/m samples^T samples`, its diagonal kept whole and the rest by `1 - DIAGONAL`; it is
    inverted in the space of the m samples.

    Args:
        samples: Samples of the curvature, (G, m, p).
        gradient: That of the risk, (G, p).
        deviation: That of the gains from one, (G, p).
        damping: (G,), positive.
        limit: Largest change of a gain.

    Returns:
        (G, p), of the dtype of `gradient`.

    Example:

    >>> samples = tf.sqrt([[[2.0, 0.0], [0.0, 8.0]]])  # H = samples^T samples = diag(2, 8)
    >>> step = newton_step(samples, tf.constant([[0.02, 0.08]]), tf.zeros((1, 2)), tf.constant([1e-9]))
    >>> step.numpy().astype(float).round(4).tolist()
    [[-0.01, -0.01]]
    """
    slope, deviation, damping = (tf.cast(part, tf.float64) for part in (gradient, deviation, damping))
    slope = slope + damping[:, None] * deviation
    samples, diagonal = _parts(samples)

    def step(mu):
        return -_solve(samples, diagonal + (damping + mu)[:, None], slope)

    def too_long(_, found):
        return tf.reduce_any(_longest(found) > limit)

    def damp(mu, found):
        mu = tf.where(_longest(found) > limit, _GROWTH * tf.maximum(mu, damping), mu)
        return mu, step(mu)

    mu = tf.zeros_like(damping)
    _, found = tf.while_loop(too_long, damp, (mu, step(mu)), maximum_iterations=60)
    # What is still too long after that has a gradient of no use: it is cut.
    found = found * (limit / tf.maximum(_longest(found), limit))[:, None]
    return tf.cast(found, gradient.dtype)


def freedom(samples: tf.Tensor, damping: tf.Tensor) -> tf.Tensor:
    """Count how many gains the image decides on, and not the prior: the effective number of parameters.

    `trace((H + damping I)^-1 H)`, H as in `newton_step` (Moody, "The effective number of parameters", NeurIPS 1991).
    Least squares with so many parameters lowers the risk estimate of an image of n pixels by `2 v freedom / n` by
    fitting noise of variance v alone, on average (Efron, "The estimation of prediction error", JASA 2004, eq. 2.11).

    Args:
        samples: Samples of the curvature, (G, m, p).
        damping: (G,), positive.

    Returns:
        (G,), float64, between 0 and p.

    Example:

    >>> samples = tf.sqrt([[[2.0, 0.0], [0.0, 8.0]]])  # H = diag(2, 8)
    >>> round(float(freedom(samples, tf.constant([2.0]))[0]), 3)  # 2 / (2 + 2) + 8 / (8 + 2)
    1.3
    """
    samples, diagonal = _parts(samples)
    damping = tf.cast(damping, tf.float64)
    diagonal += damping[:, None]
    scaled, cholesky = _woodbury(samples, diagonal)
    low = tf.linalg.trace(tf.linalg.cholesky_solve(cholesky, tf.matmul(scaled, scaled, transpose_b=True)))
    trace = tf.reduce_sum(1 / diagonal, -1) - low
    return tf.cast(tf.shape(samples)[-1], tf.float64) - damping * trace


def damping(variance: tf.Tensor, pixels: tf.Tensor, prior: tf.Tensor) -> tf.Tensor:
    """Compute the prior's curvature, by group: `2 v / (n prior^2)`.

    Under Gaussian noise of variance v, n pixels have the log-likelihood `-n risk / (2 v)`,
    gains the prior `-|gains - 1|^2 / (2 prior^2)`: their sum times `-2 v / n` is least where
    `risk + v / (n prior^2) |gains - 1|^2` is.

    Args:
        variance: v, (G,), float64.
        pixels: n, () or (G,): of correlated noise the effective number, for of the mean square
            of its n values the log-likelihood knows no more.
        prior: Its standard deviation, ().
    """
    width = tf.cast(prior, tf.float64)
    return tf.maximum(2 * variance / (tf.cast(pixels, tf.float64) * width**2), 1e-12)


def _parts(samples):
    """Find samples and diagonal of `H = samples^T samples + diag(diagonal)`: the diagonal is whole, the rest shrunk."""
    samples = tf.cast(samples, tf.float64)
    samples *= tf.sqrt(tf.constant(2, tf.float64) / tf.cast(tf.shape(samples)[1], tf.float64))
    return (1 - DIAGONAL) ** 0.5 * samples, DIAGONAL * tf.reduce_sum(tf.square(samples), 1)


def _longest(step):
    return tf.reduce_max(tf.abs(step), -1)


def _solve(samples, diagonal, right):
    """Compute `(samples^T samples + diag(diagonal))^-1 right` (Woodbury), (G, p)."""
    scaled, cholesky = _woodbury(samples, diagonal)
    projected = tf.matmul(scaled, right[..., None])
    solved = tf.linalg.cholesky_solve(cholesky, projected)
    return right / diagonal - tf.matmul(scaled, solved, transpose_a=True)[..., 0]


def _woodbury(samples, diagonal):
    """Compute what the inverse is made of: `samples D^-1`, the Cholesky factor of `I + samples D^-1 samples^T`."""
    scaled = samples / diagonal[:, None, :]
    inner = tf.eye(tf.shape(samples)[1], dtype=samples.dtype) + tf.matmul(scaled, samples, transpose_b=True)
    return scaled, tf.linalg.cholesky(inner)
