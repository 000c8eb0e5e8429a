"""Networks as other programs write them: recognised, loaded, and what their numbers mean.

- `archives`: zip files, unpacked with care.
- `csbdeep`: folders of CSBDeep and Noise2Void, and what they export.
- `csbdeep_config`: what the configuration of such a model says.
- `csbdeep_unet`: its network, from its weights.
- `keras2`: files of Keras 2, by `tf_keras`.
- `keras_json`: architectures in JSON, with weights beside.
- `bioimageio`: packages of bioimage.io.
- `bioimageio_processing`: what those do before and after the network.
- `hugging_face`: networks on the hub of Hugging Face.
- `recognition`: which module reads a file or folder.
- `torch_pickle`: PyTorch's files of tensors, without PyTorch.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
