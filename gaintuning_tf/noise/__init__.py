"""What is assumed of the noise: its models, their estimation from one image, and the same
as tensors.

May import: `errors` only.

- `automatic`: which noise an image has: the simplest that it does not contradict.
- `autocovariance`: how far noise is correlated, estimated from flat places.
- `clipping`: where noise reaches an end of the range, at which it was clipped.
- `colouring`: correlated noise in a graph: its filter, and draws of it.
- `correlation`: what makes white noise correlated, and what that is worth.
- `details`: the finest details of an image, of which noise is nearly all; volumes as
  planes.
- `draws`: random numbers that each image of a batch gets alike.
- `estimation`: the noise of one image, estimated from itself.
- `models`: noise models, and the line of their variance.
- `residual_variance`: the level of noise once more, from the residual of a first result.
- `residuals`: what was taken out, beside the noise model.
- `structure`: noise that no model fits: stripes and waves.
- `tensors`: noise in a graph: its level, fresh draws, the standard error of a risk.
- `variance_line`: the variance as a line of the mean, estimated, and the unit of counts.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
