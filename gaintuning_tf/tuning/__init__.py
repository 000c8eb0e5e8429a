"""From a network, a loss and an image to gains.

May import: `noise`, `losses`, `gains`, `networks`.

- `contrast_search`: the contrast of the lowest risk.
- `crop_derivatives`: derivatives of each crop by gains of its own.
- `defaults`: the default recipe.
- `gauss_newton`: the steps: curvature, prior, trust region.
- `round_inputs`: what does not change during a round of steps.
- `rounds`: the loop: rounds of steps, and which gains are kept.
- `selection`: which gains to keep.
- `stateless_optimizer`: Keras optimizers as pure functions.
- `steps`: what tuning computes, shared by the loop in Python and that in a graph.
- `tuner`: `GainTuner`: the compiled optimisation.
- `windows`: the parts of an image that a step sees.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
