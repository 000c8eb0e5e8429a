"""From a network, a loss and an image to gains.

May import: `support`, `noise`, `losses`, `gains`, `networks`.

What holds what, from the inside out:

- `tunable_network`: a network as a pure function of what is tuned in it.
- `objective`: the risk of that, its slope and its held-out value, over windows.
- `steps`: a step down; what is prepared before the first and found before a further round.
- `compiled`: the steps, compiled, and the variables that they change.
- `rounds`: the loop in Python: rounds of steps, and which values are kept after each.
- `tuner`: `GainTuner`, which has the five.

What they are made of:

- `contrast_search`: the contrast of the lowest risk.
- `crop_derivatives`: derivatives of each crop by gains of its own.
- `defaults`: the default recipe.
- `gauss_newton`: curvature, prior, trust region.
- `round_inputs`: what does not change during a round.
- `selection`: which values to keep.
- `stateless_optimizer`: Keras optimizers as pure functions.
- `windows`: the parts of an image that a step sees, and the random numbers of each step.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
