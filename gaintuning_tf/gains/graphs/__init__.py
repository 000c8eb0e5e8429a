"""Networks that are known as a TensorFlow graph only, and their gains.

- `graph_constants`: what a graph computes from constants alone, computed once.
- `graph_models`: such networks as Keras models.
- `graph_network`: such a graph as a Keras layer.
- `graph_nodes`: the graph, edited.
- `graph_numbers`: graphs that take or return whole numbers, on floating point numbers.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
