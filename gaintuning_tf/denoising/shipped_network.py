"""A network on its way to other processes, and what they keep of it: each loads and compiles it once."""

from __future__ import annotations

import dataclasses
import hashlib
import pickle
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gaintuning_tf.errors import InputError, reason_of

if TYPE_CHECKING:
    import keras
    import numpy as np

    from gaintuning_tf.denoising.frame_job import FrameJob, FrameResult
    from gaintuning_tf.denoising.frame_tuner import FrameTuner
    from gaintuning_tf.networks.network import Network

# Networks made ready that a process keeps.
KEPT = 2
_ready: dict[str, FrameTuner] = {}
_one_at_a_time = threading.Lock()


@dataclasses.dataclass(frozen=True)
class ShippedNetwork:
    """A Keras model as the bytes of a `.keras` file.

    Attributes:
        data: The file.
        digest: Of its weights and gains: what is ready of one serves all with the same.
    """

    data: bytes
    digest: str

    @classmethod
    def of(cls, model: Network | keras.Model | str | Path) -> ShippedNetwork:
        """Pack what `gaintune` takes for a model.

        Raises:
            InputError: It cannot be used.
        """
        from gaintuning_tf.networks.network import network_of

        model = network_of(model).whole()
        digest = hashlib.sha256(model.to_json().encode())
        for value in model.get_weights():
            digest.update(value.tobytes())
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "network.keras"
            model.save(file)
            return cls(file.read_bytes(), digest.hexdigest())

    def load(self) -> keras.Model:
        """Unpack the model.

        Raises:
            InputError: A class in it is not known here.
        """
        import keras

        from gaintuning_tf.networks.pretrained import register_classes

        register_classes()
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "network.keras"
            file.write_bytes(self.data)
            try:
                model: Any = keras.models.load_model(file, compile=False)
                return model
            except (TypeError, ValueError) as error:
                raise InputError(
                    f"the network cannot be loaded where frames are to be done; layers of your own must be registered "
                    f"with Keras in a module that is imported there: {reason_of(error)}"
                ) from error


def run_frame(
    network: ShippedNetwork, job: FrameJob, number: int, image: np.ndarray, shared: np.ndarray | None = None
) -> FrameResult:
    """Do one frame in this process, whichever it is; one at a time, whatever the number of threads.

    Args:
        network: The network.
        job: How.
        number: Which frame.
        image: It.
        shared: Gains that are to be applied as they are, see `FrameJob.run`.

    Raises:
        InputError: See `FrameJob.run`.
    """
    key = network.digest + hashlib.sha256(pickle.dumps(job)).hexdigest()
    with _one_at_a_time:
        if key not in _ready:
            while len(_ready) >= KEPT:
                _ready.pop(next(iter(_ready)))
            _ready[key] = job.tuner(network.load())
        return job.run(_ready[key], number, image, shared=shared)
