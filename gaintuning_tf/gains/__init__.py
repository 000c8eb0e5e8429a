"""Gains into any network and out again: one number per channel of every convolution and dense layer.

May import: `support`.

- `channels_last`: networks whose channels come first, with their channels last.
- `contrast`: the contrast at which a network sees the image.
- `convolutions`: what Keras's convolutions and dense layers have in common.
- `custom_layers`: gains inside layers that call convolutions of their own.
- `gain_files`: gains in a file.
- `graph_models`: networks that are known as a TensorFlow graph only.
- `graph_network`: such a graph as a Keras layer.
- `graph_nodes`: the graph, edited.
- `keras_types`: names for what Keras has no types for.
- `layers`: `Gain`, the per-channel layer.
- `normalization_layers`: what a network's numbers mean, as layers around it.
- `places`: where gains go by default.
- `rewriting`: a copy of a model with a say in what stands for each layer.
- `surgery`: gains inserted, found, folded.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
