from .baselines import BASELINES as BASELINES, methods as methods
from .measure import MEASURES as MEASURES, evaluate as evaluate, summary as summary
from .metrics import psnr as psnr, ssim as ssim
from .oracle import Oracle as Oracle
from .samples import noisy_version as noisy_version
from .self2self import denoise_from_scratch as denoise_from_scratch
from .weight_tuning import WeightTuner as WeightTuner
