from .contrast_search import is_homogeneous as is_homogeneous, lowest_contrast as lowest_contrast
from .crop_derivatives import Twin as Twin
from .defaults import PLAIN_STEPS as PLAIN_STEPS, PRIOR as PRIOR, ROUNDS as ROUNDS, STEPS as STEPS, WINDOW as WINDOW
from .gauss_newton import curvature_rows as curvature_rows, freedom as freedom, newton_step as newton_step
from .round_inputs import Scene as Scene
from .rounds import Run as Run
from .selection import candidates as candidates, held_out as held_out, keep_best as keep_best, remember as remember
from .stateless_optimizer import stateless as stateless
from .steps import Core as Core
from .tuner import GainTuner as GainTuner, TuningHistory as TuningHistory
from .windows import Windows as Windows
