"""GainTuning where microscopists look at images: a dock in napari, its readers and its samples.

Named after what it is for, and not `napari`: a folder of that name on Python's path would be taken for the package.
What is asked for and what comes out of it is in modules that know nothing of windows; `dock` has the widgets, and
imports napari, magicgui and Qt when it is opened. TensorFlow is in a process of its own, see `process`.

May import: every room but `cli`.

- `dock`: the widgets.
- `layer_frames`: the pixels of a layer frame by frame, and how its result is shown.
- `napari`: the manifest, `napari.yaml`: what napari reads before anything is imported.
- `process`: TensorFlow in a process of its own.
- `readers`: files that napari does not read itself.
- `remote_run`: a run in that process, as napari's threads see it.
- `request`: what is asked for.
- `run`: one run over the frames of an array.
- `samples`: noisy images to try it on.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
