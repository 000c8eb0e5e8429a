#!/usr/bin/env python
"""How a network of white noise sees correlated noise best: as it is, in strides, or with noise added; no tuning.

    python scripts/benchmarks/noise_whitening.py --shared FOLDER [--model NAME]

PSNR on the real images of FOLDER/data/real, whole, of colour pictures the green channel. The noise is as
`gaintune` finds it. For a stride of s, the s^2 interleaved sub-images are denoised one by one, and put
together again (Zhou et al., "When AWGN-based denoiser meets real noises", AAAI 2020).
"""

import argparse
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf
from skimage import io

from gaintuning_tf import CoupledBootstrap, GainTuner, load_denoiser, psnr
from gaintuning_tf.noise.automatic import examine_noise
from gaintuning_tf.noise.residual_variance import refined_noise
from gaintuning_tf.noise.tensors import noise_of_batch

SHARES = (0.25, 0.5, 1.0)
COPIES = (1, 2, 4, 8)


def in_strides(denoise, image, stride):
    padded = np.pad(image, [(0, -side % stride) for side in image.shape], mode="symmetric")
    denoised = np.empty_like(padded)
    for y in range(stride):
        for x in range(stride):
            part = np.s_[y::stride, x::stride]
            denoised[part] = denoise(padded[part][None, ..., None])[0, ..., 0]
    return denoised[: image.shape[0], : image.shape[1]]


def rows(folder, model):
    tuner = GainTuner(load_denoiser(model), CoupledBootstrap())
    for path in sorted((folder / "noisy").glob("*.png")):
        noisy, clean = (io.imread(folder / kind / path.name).astype(np.float32) / 255 for kind in ("noisy", "clean"))
        noisy, clean = (image[..., 1] if image.ndim == 3 else image for image in (noisy, clean))
        batch = noisy[None, ..., None]

        def score(image, clean=clean):
            return psnr(clean, np.clip(image[: clean.shape[0], : clean.shape[1]], 0, 1), data_range=1.0)

        scores = {"as it is": score(tuner.denoise(batch)[0, ..., 0])}
        for stride in (2, 3):
            scores[f"stride {stride}"] = score(in_strides(tuner.denoise_once, noisy, stride))
        noise = examine_noise(noisy).noise
        if noise.correlation is not None:
            noise, _ = refined_noise(noise, [tuner.first_result(batch, noise)])
            scores |= with_noise_added(tuner, batch, noise, score)
        yield path.stem, scores


def with_noise_added(tuner, batch, noise, score):
    scores, images = {}, tf.constant(batch)
    for share in SHARES:
        known = noise_of_batch(noise, 1, tf.float32)._replace(whitening=tf.constant([share]))
        copies = [known.shown(tf.identity, images, (0, number))(images) for number in range(max(COPIES))]
        denoised = [tuner.denoise_once(copy)[0, ..., 0] for copy in copies]
        for count in COPIES if share == 1 else COPIES[-1:]:
            scores[f"share {share:g}, {count} copies"] = score(np.mean(denoised[:count], 0))
    return scores


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True, help="folder with data/")
    parser.add_argument("--model", default="unet-bf-natural")
    options = parser.parse_args()
    for name, scores in rows(options.shared / "data" / "real", options.model):
        print(f"| {name} |", "; ".join(f"{key}: {value:.2f}" for key, value in scores.items()), flush=True)


if __name__ == "__main__":
    main()
