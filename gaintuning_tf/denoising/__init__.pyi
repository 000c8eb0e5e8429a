from .clusters import cluster as cluster
from .dask_arrays import gaintune_array as gaintune_array
from .frame_job import FrameJob as FrameJob, FrameResult as FrameResult
from .frame_tuner import FrameTuner as FrameTuner, TunedFrame as TunedFrame
from .network_choice import NetworkChoice as NetworkChoice, choose_network as choose_network
from .pipeline import GainTuningResult as GainTuningResult, gaintune as gaintune
from .recipe import Recipe as Recipe
from .result_figure import difference as difference, draw_risk as draw_risk, risk_figure as risk_figure
from .shipped_network import ShippedNetwork as ShippedNetwork
from .stack_record import StackRecord as StackRecord
from .stack_run import StackResult as StackResult, denoise_stack as denoise_stack
from .stack_scores import stack_psnr as stack_psnr
