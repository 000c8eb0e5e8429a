"""GainTuning for TensorFlow and Keras: adapt a trained denoiser to the one noisy image at hand.

Nothing heavy is imported before a name is used, so `import gaintuning_tf` is fast.
"""

from importlib import import_module as _import_module

__version__ = "0.1.0"

# The function `gaintune` lives in `pipeline`: a module of its name would take its place on import.
_HOMES = {
    "Gain": "layers",
    "insert_gains": "surgery",
    "gain_layers": "surgery",
    "fold_gains": "surgery",
    "save_gains": "gain_files",
    "load_gains": "gain_files",
    "NoiseModel": "noise",
    "GaussianNoise": "noise",
    "PoissonNoise": "noise",
    "PoissonGaussianNoise": "noise",
    "NoiseLevel": "noise",
    "estimate_noise": "noise",
    "RiskEstimate": "risk",
    "CountSplitting": "count_splitting",
    "CoupledBootstrap": "coupled_bootstrap",
    "MonteCarloSURE": "losses",
    "PoissonGaussianSURE": "losses",
    "UNSURE": "losses",
    "BlindSpotLoss": "losses",
    "NoiseResamplingLoss": "losses",
    "SupervisedLoss": "losses",
    "WeightedSum": "losses",
    "GainTuner": "tuning",
    "gaintune": "pipeline",
    "GainTuningResult": "pipeline",
    "analyse": "analysis",
    "gain_changes": "analysis",
    "equivalent_filter": "equivalent",
    "net_bias": "equivalent",
    "export_saved_model": "export",
    "load_denoiser": "pretrained",
    "list_denoisers": "pretrained",
    "psnr": "metrics",
    "ssim": "metrics",
    "InputError": "errors",
    "GainTuningWarning": "errors",
}
__all__ = [*_HOMES, "__version__"]


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(_import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted({*globals(), *__all__})
