"""What a request must hold: assertions in a graph, each with what was expected in clear words."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from gaintuning_tf.noise.colouring import nearest_of
from gaintuning_tf.noise.correlation import MOST_PROJECTED, ROUNDING


def checks_of_images(noisy: tf.Tensor, steps: tf.Tensor) -> list[Any]:
    """Refuse a request without images, with pixels that are not finite, or less than no steps.

    Args:
        noisy: (N, H, W, C).
        steps: (), integer.

    Returns:
        Assertions, to be waited for.
    """
    return [
        tf.debugging.assert_positive(tf.shape(noisy)[0], "expected at least one image"),
        tf.debugging.assert_non_negative(steps, "expected steps to be a whole number of at least 0"),
        _assert_all(tf.math.is_finite(noisy), "expected finite pixels, received NaN or infinite ones"),
    ]


def checks_of_numbers(noisy: tf.Tensor, **numbers: tf.Tensor) -> list[Any]:
    """Refuse what is not one finite number for each image.

    Args:
        noisy: (N, H, W, C).
        **numbers: By their names, (N,) each.

    Returns:
        Assertions, to be waited for.
    """
    checks = []
    for name, values in numbers.items():
        text = f"expected one {name} for each image: noisy [N, H, W, C] and {name} [N]"
        checks.append(tf.debugging.assert_equal(tf.shape(values), tf.shape(noisy)[:1], text))
        checks.append(_assert_all(tf.math.is_finite(values), f"expected finite {name}, received", values))
    return checks


def checks_of_levels(noisy: tf.Tensor, sigma: tf.Tensor) -> list[Any]:
    """Refuse what is no level of the noise for each image, where a network takes it as it is.

    Args:
        noisy: (N, H, W, C).
        sigma: (N,).

    Returns:
        Assertions, to be waited for.
    """
    positive = _assert_all(sigma > 0, "expected sigma above 0, which the network takes, received", sigma)
    return [*checks_of_numbers(noisy, sigma=sigma), positive]


def checks_of_slope(slope: tf.Tensor) -> list[Any]:
    """Refuse a variance that falls with the signal: no camera has one.

    Args:
        slope: (N,).

    Returns:
        Assertions, to be waited for.
    """
    return [_assert_all(slope >= 0, "expected slope of at least 0, received", slope)]


def checks_of_correlation(noisy: tf.Tensor, correlation: tf.Tensor) -> list[Any]:
    """Refuse what is no correlation of noise for each image, as `correlation.checked_correlation` does.

    Args:
        noisy: (N, H, W, C).
        correlation: (N, K, K).

    Returns:
        Assertions, to be waited for.
    """
    with tf.control_dependencies(_checks_of_shape(noisy, correlation)):
        # Only of the right shape has it a middle.
        correlation = tf.identity(correlation)
    middle = tf.shape(correlation)[-1] // 2
    zero, turned = correlation[:, middle, middle], tf.reverse(correlation, [1, 2])
    finite = tf.reduce_all(tf.math.is_finite(correlation))
    # Where values are not finite, that is what is said.
    return [
        _assert_all(finite, "expected finite correlation, received NaN or infinite values"),
        _assert_all(
            ~finite | (tf.abs(zero - 1) <= ROUNDING), "expected correlation to be one at lag zero, received", zero
        ),
        _assert_all(
            ~finite | (tf.abs(correlation - turned) <= ROUNDING),
            "expected correlation to be symmetric, the same at a lag and at minus that lag",
        ),
        _assert_all(
            ~finite | (tf.abs(correlation) <= 1 + ROUNDING),
            "expected correlation of at most one, received",
            tf.reduce_max(tf.abs(correlation)),
        ),
        _assert_all(
            ~finite | (tf.abs(nearest_of(correlation) - correlation) <= MOST_PROJECTED),
            "expected a correlation that noise can have, received one whose spectrum is negative; "
            "do not cut it off where it is large",
        ),
    ]


def _checks_of_shape(noisy, correlation):
    side = tf.shape(correlation)[-1]
    text = "expected one correlation for each image: noisy [N, H, W, C] and correlation [N, K, K]"
    return [
        tf.debugging.assert_equal(tf.shape(correlation), tf.stack([tf.shape(noisy)[0], side, side]), text),
        _assert_all(
            tf.math.floormod(side, 2) == 1,
            "expected correlation [N, K, K] with K odd, lag zero in the middle, received",
            side,
        ),
    ]


def _assert_all(condition, text, *values):
    return tf.debugging.Assert(tf.reduce_all(condition), [text, *values])
