from .counts import count_unit as count_unit
from .estimation import estimate_noise as estimate_noise
from .models import (
    KINDS as KINDS,
    GaussianNoise as GaussianNoise,
    NoiseLevel as NoiseLevel,
    NoiseModel as NoiseModel,
    PoissonGaussianNoise as PoissonGaussianNoise,
    PoissonNoise as PoissonNoise,
    along_images as along_images,
    stacked as stacked,
)
from .tensors import (
    as_level as as_level,
    draw_noise as draw_noise,
    is_gaussian as is_gaussian,
    standard_error as standard_error,
)
