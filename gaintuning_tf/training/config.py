"""What a training run depends on; needs neither TensorFlow nor Keras."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from gaintuning_tf.errors import InputError
from gaintuning_tf.training.batches import NOISES, OBJECTIVES, DrawnNoise, check_objective

ARCHITECTURES = ("unet", "dncnn", "drunet", "blind-spot", "unet3d")
# Those of volumes, whose crops have a depth.
OF_VOLUMES = ("unet3d",)
MAKERS = ("host", "device")  # where batches are made
OPTIMIZERS = ("muon", "adam")
CHECKPOINT, RUN = "checkpoint.keras", "run.json"  # in the folder of a run
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")


_PACKAGE = Path(__file__).resolve().parents[1]
# In an installed package, then in the repository.
_FOLDERS = (_PACKAGE / "recipes", _PACKAGE.parent / "scripts" / "recipes")


def find_config(name_or_path: str | Path) -> Path:
    """Find a file of settings: a path, or the name of one that comes with the package, such as `unet-bf-natural`.

    A network that was trained in several stages has one for each: `unet-bf-natural-2` is the second.

    Raises:
        InputError: There is none.

    Example:

    >>> find_config("unet-bf-natural").name
    'unet-bf-natural.json'
    """
    if Path(name_or_path).is_file():
        return Path(name_or_path)
    folder = next((folder for folder in _FOLDERS if folder.is_dir()), None)
    known = {file.stem: file for file in sorted(folder.glob("*.json"))} if folder else {}
    if str(name_or_path) in known:
        return known[str(name_or_path)]
    raise InputError(f"expected a JSON file of settings, or one of {', '.join(known)}, received {str(name_or_path)!r}")


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """What a training run depends on, apart from the images.

    Attributes:
        architecture: `"unet"`, `"dncnn"`, `"drunet"` or `"blind-spot"`, of `models`; or `"unet3d"`, of volumes.
        architecture_options: Keyword arguments of the architecture.
        channels: Channels of the images, 1 or 3.
        objective: `"supervised"`, or, for images with noise and no clean ones, `"blind-spot"`, `"masking"` or
            `"sure"`; see `batches.Batches`.
        noise: What is drawn on the images: `"gaussian"`, `"poisson"`, `"poisson-gaussian"`, `"camera"` (white,
            correlated and signal-dependent noise); `"none"` if they are noisy already.
        sigma: Lowest and highest standard deviation of Gaussian noise, on the 0-255 scale; of camera noise at
            mid-grey.
        dose: Lowest and highest dose of Poisson noise, in counts per pixel where the image is 1.
        white: Share of the crops that get white Gaussian noise, where the noise is `"camera"`.
        sigma_weighting: Crops with more noise weigh less, by this power of its standard deviation; see
            `batches.Batches`.
        scales: Each image is learnt from at these sizes, at most 1 each; 0.7 shrinks it to 0.7 of its sides.
        batches: Where batches are made: `"host"`, by NumPy, or `"device"`, by JAX, see `jax_batches.JaxBatches`.
        crop: Side of the training crops, pixels.
        crop_depth: Depth of the training crops of volumes, voxels; by default as `crop`.
        batch: Crops per step.
        steps: Steps of the whole run; the learning rate falls to zero at its end, along a cosine.
        optimizer: `"muon"` or `"adam"`.
        learning_rate: Its peak.
        warmup: Steps of linear increase up to it.
        ema_momentum: Momentum of the average of the weights that is returned.
        precision: `"float32"`, `"mixed_bfloat16"` or `"mixed_float16"`; the weights are float32 in any case.
        steps_per_execution: Steps in one call: on two cores the loop around a step of 0.1 s costs as much again.
        checkpoint_every: Steps between checkpoints.
        seed: Seed of the initial weights and of the crops and noise.

    Raises:
        InputError: A value is not one of those above.
    """

    architecture: str = "unet"
    architecture_options: dict = dataclasses.field(default_factory=dict)
    channels: int = 1
    objective: str = "supervised"
    noise: str = "gaussian"
    sigma: tuple[float, float] = (0.0, 55.0)
    dose: tuple[float, float] = (1.0, 10.0)
    white: float = 0.5
    sigma_weighting: float = 0.0
    scales: tuple[float, ...] = (1.0,)
    batches: str = "host"
    crop: int = 64
    crop_depth: int | None = None
    batch: int = 8
    steps: int = 20_000
    optimizer: str = "muon"
    learning_rate: float = 2e-3
    warmup: int = 200
    ema_momentum: float = 0.995
    precision: str = "float32"
    steps_per_execution: int = 10
    checkpoint_every: int = 500
    seed: int = 0

    def __post_init__(self):
        choices = {
            "architecture": ARCHITECTURES,
            "objective": OBJECTIVES,
            "noise": NOISES,
            "optimizer": OPTIMIZERS,
            "precision": PRECISIONS,
            "channels": (1, 3),
            "batches": MAKERS,
        }
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise InputError(f"expected {name} in {list(known)}, received {getattr(self, name)!r}")
        numbers = ("crop", "batch", "steps", "steps_per_execution", "checkpoint_every")
        for name in numbers if self.crop_depth is None else (*numbers, "crop_depth"):
            if not (isinstance(getattr(self, name), int) and getattr(self, name) > 0):
                raise InputError(f"expected {name} to be a whole number above 0, received {getattr(self, name)!r}")
        check_objective(self.objective, self.noise)
        if self.objective == "blind-spot" and self.architecture != "blind-spot":
            raise InputError(
                f"the objective blind-spot needs the architecture blind-spot, received {self.architecture!r}: any "
                "other would learn to return its input; it can be trained by masking or sure"
            )
        if self.crop_depth is not None and self.dimensions != 3:
            known = ", ".join(OF_VOLUMES)
            raise InputError(f"crop_depth is for volumes, of the architecture {known}, received {self.architecture!r}")
        if not 0 <= self.warmup < self.steps:
            raise InputError(f"expected a warmup shorter than the {self.steps} steps, received {self.warmup}")
        if not 0 < self.learning_rate < 1:
            raise InputError(f"expected a learning rate between 0 and 1, received {self.learning_rate!r}")
        if not 0 <= self.sigma_weighting <= 4:
            raise InputError(f"expected a sigma_weighting from 0 to 4, received {self.sigma_weighting!r}")
        if not self.scales or not all(0 < scale <= 1 for scale in self.scales):
            raise InputError(f"expected scales above 0, at most 1, received {list(self.scales)}")
        if self.objective != "supervised" and (self.batches == "device" or tuple(self.scales) != (1.0,)):
            raise InputError(
                f"expected the objective supervised for scales and batches made on the device, received "
                f"{self.objective!r}: shrinking would average away noise that is in the images"
            )
        if self.dimensions == 3 and (self.batches == "device" or tuple(self.scales) != (1.0,)):
            raise InputError(
                f"expected an architecture of images for scales and batches made on the device, received "
                f"{self.architecture!r}, of volumes; leave them out"
            )
        self.drawn_noise()  # refuses what is no range

    @property
    def dimensions(self) -> int:
        """The spatial axes of what the network takes: 3 for volumes."""
        return 3 if self.architecture in OF_VOLUMES else 2

    @classmethod
    def read(cls, path: str | Path, **overrides: Any) -> TrainingConfig:
        """Read a JSON file whose keys are the attributes, or a run's; `overrides` take their place.

        Raises:
            InputError: The file is no such thing.
        """
        try:
            values = json.loads(Path(path).read_text())
        except (OSError, ValueError) as error:
            raise InputError(f"expected a JSON file of a training's configuration at {path}: {error}") from error
        if not isinstance(values, dict):
            raise InputError(f"expected a JSON object in {path}, found a {type(values).__name__}")
        if Path(path).name == RUN:
            values.pop("images", None)
        unknown = sorted(set(values) - {field.name for field in dataclasses.fields(cls)})
        if unknown:
            raise InputError(f"{path}: unknown keys {unknown}")
        try:
            return cls(**{**values, **overrides})
        except (InputError, TypeError) as error:
            raise InputError(f"{path}: {error}") from error

    def drawn_noise(self) -> DrawnNoise:
        """Make the noise that is drawn on each crop."""
        # Whether there are two of each is for `DrawnNoise` to check.
        sigma: Any = tuple(self.sigma)
        dose: Any = tuple(self.dose)
        return DrawnNoise(self.noise, sigma, dose, self.white)
