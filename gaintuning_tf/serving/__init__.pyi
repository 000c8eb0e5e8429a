from .bioimageio_package import About as About, export_bioimageio as export_bioimageio
from .client import PROTOCOLS as PROTOCOLS, ServingClient as ServingClient
from .export import export_saved_model as export_saved_model
from .noise_in_graph import estimate_sigma as estimate_sigma
from .tuning_in_graph import TuningInGraph as TuningInGraph, tune_one as tune_one
from .warmup_requests import write_warmup as write_warmup
