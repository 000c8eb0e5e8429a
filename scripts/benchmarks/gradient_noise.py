#!/usr/bin/env python
"""How noisy the gradient of each risk estimate is, and how near to that of the true error.

    python scripts/benchmarks/gradient_noise.py FOLDER/set12/01.png --model dncnn.keras --sigma 30 --draws 8

The gradient by all gains at one. Per loss: the mean risk (times 255^2), the squared length of the mean gradient
(the share of the draws' own variance taken off), the variance of one draw, and the cosine with the
gradient of the true error under fresh noise. The exact Jacobian's derivative is in the table too ("jacobian").
"""

import argparse

import numpy as np
import tensorflow as tf

from gaintuning_tf import CoupledBootstrap, MonteCarloSURE, SupervisedLoss, load_denoiser
from gaintuning_tf.evaluation.samples import noisy_version
from gaintuning_tf.images.files import load_image
from gaintuning_tf.losses.base import RiskEstimate
from gaintuning_tf.losses.divergence import draw_probe
from gaintuning_tf.noise.tensors import noise_tensors
from gaintuning_tf.tuning.steps import gain_steps


class JacobianSURE(RiskEstimate):
    """SURE with the divergence by forward differentiation: its own derivative does not see the kinks of ReLUs."""

    def __call__(self, denoise, noisy, noise=None, *, seed, reference=None):
        probe = draw_probe(tf.shape(noisy), seed, dtype=noisy.dtype)
        with tf.autodiff.ForwardAccumulator(noisy, probe) as accumulator:
            denoised = denoise(noisy)
        variance = self.known_noise(noise, noisy).intercept
        axes = [1, 2, 3]
        divergence = tf.reduce_mean(probe * accumulator.jvp(denoised), axes)
        return tf.reduce_mean(tf.square(denoised - noisy), axes) - variance + 2 * variance * divergence


def gradients(model, loss, image, sigma, draws):
    steps = gain_steps(model, loss, prior=None)
    start, _ = steps.initial()

    @tf.function(autograph=False)
    def one(number):
        gains, contrast = start[:-1], start[-1]
        seed = tf.stack([tf.constant(7, tf.int64), number])
        with tf.GradientTape() as tape:
            tape.watch(gains)
            risk = steps.objective.risk([*gains, contrast], image, noise_tensors(sigma), seed)
        return risk, tf.concat(tape.gradient(risk, gains), 0)

    found = [one(tf.constant(number, tf.int64)) for number in range(draws)]
    return np.array([float(risk[0]) for risk, _ in found]) * 255**2, np.stack([g.numpy() for _, g in found])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image", help="a clean 8-bit image")
    parser.add_argument("--model", default="unet-bf-natural", help="name or .keras file")
    parser.add_argument("--sigma", type=float, default=30.0, help="noise level, on the 0-255 scale")
    parser.add_argument("--draws", type=int, default=8, help="probes, or draws of noise, per loss")
    args = parser.parse_args()
    model, sigma = load_denoiser(args.model), np.float32(args.sigma / 255)
    clean = load_image(args.image).astype(np.float32) / 255
    clean, noisy = (tf.constant(x[None, ..., None]) for x in (clean, noisy_version(clean, args.sigma, 0)))
    losses = {"true error": SupervisedLoss(), "SURE": MonteCarloSURE(), "jacobian": JacobianSURE()}
    losses |= {f"width {w:g}": CoupledBootstrap(width=w) for w in (0.03, 0.1, 0.3, 0.5, 1.0)}
    fair = None
    for name, loss in losses.items():
        risks, found = gradients(model, loss, clean if fair is None else noisy, sigma, args.draws)
        mean, variance = found.mean(0), found.var(0, ddof=1).sum()
        fair = mean if fair is None else fair
        cosine = mean @ fair / np.linalg.norm(mean) / np.linalg.norm(fair)
        length = mean @ mean - variance / args.draws
        print(
            f"{name:>10}: risk {risks.mean():7.2f}, |mean|^2 {length:.2e}, variance {variance:.2e}, cosine {cosine:.2f}"
        )


if __name__ == "__main__":
    main()
