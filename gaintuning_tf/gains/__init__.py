"""Gains into any network and out again: one number per channel of every convolution and dense layer.

May import: `support`. In `graphs/` are networks that are known as a TensorFlow graph only.

- `channels_last`: networks whose channels come first, with their channels last.
- `contrast`: the contrast at which a network sees the image.
- `convolutions`: what Keras's convolutions and dense layers have in common.
- `custom_layers`: gains inside layers that call convolutions of their own.
- `gain_files`: gains in a file.
- `interfaces`: one image in, one image out, whatever holds them.
- `keras_types`: names for what Keras has no types for.
- `layer_copies`: a layer copied so that it runs at open sizes, in a graph.
- `layers`: `Gain`, the per-channel layer.
- `normalization_layers`: what a network's numbers mean, as layers around it.
- `places`: where gains go by default.
- `rewriting`: a copy of a model with a say in what stands for each layer.
- `surgery`: gains inserted, found, folded.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
