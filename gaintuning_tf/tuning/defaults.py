"""The default recipe: how many steps, how far, on how much of an image."""

from __future__ import annotations

# PRIOR is the standard deviation of a gain about one. It lies between what suits UNets
# and what suits the DnCNN, measured in docs/log/2026-11-23-width-of-the-prior.md.
PRIOR = 0.08
# RATE is the first step's learning rate, which then falls to zero. A rate of one gains
# less (docs/log/2026-11-23-gauss-newton-steps.md), a smaller one no more
# (docs/log/2026-11-25-smaller-steps-and-more-rows-of-the-curvature.md).
RATE = 0.6
# A network that is far from the image gains more, in further rounds, with a wider prior
# and longer steps:
# docs/log/2026-11-25-further-rounds-for-networks-far-from-the-image.md.
WIDE_PRIOR = 0.5
WIDE_LIMIT = 0.5
# ADAM_RATE is the learning rate of the paper's plain method. A larger one harms some
# images, a smaller one needs more steps:
# docs/log/2026-11-23-learning-rate-of-the-default-recipe.md.
ADAM_RATE = 3e-3
# Beyond this side, a step sees as many pixels as a square of this side has. Fewer cost
# decibels (docs/log/2026-11-24-smaller-windows.md), more take their time for little
# (docs/log/2026-11-25-what-keeps-unet-tem-below-all-weights.md).
WINDOW = 512
# A network is far from the image where a round has lowered the risk by the share FAR
# beyond what fitting the noise accounts for; then another round follows, up to ROUNDS
# in all. A third brings less, a fourth hardly anything:
# docs/log/2026-11-25-further-rounds-for-networks-far-from-the-image.md.
ROUNDS = 3
# Where bfloat16 is multiplied in hardware, steps that keep so many bytes of activations in
# float32 compute in it; shorter ones would not make up for the copy of the network.
PRECISIONS = ("auto", "float32", "bfloat16")
ROUNDED_BYTES = 2e8
# Gauss-Newton steps need a fifth of Adam's, and more of them gain little
# (docs/log/2026-11-27-fewer-steps-crops-and-probes.md).
STEPS = 8
# The paper's plain method takes so many, as do optimizers that the caller brings; its
# learning rate was measured with them, in
# docs/log/2026-11-23-learning-rate-of-the-default-recipe.md.
PLAIN_STEPS = 40
