from .defaults import (
    PLAIN_STEPS as PLAIN_STEPS,
    PRIOR as PRIOR,
    ROUNDS as ROUNDS,
    STEPS as STEPS,
    WINDOW as WINDOW,
)
from .objective import Objective as Objective
from .rounds import TuningRun as TuningRun
from .steps import Steps as Steps, gain_steps as gain_steps
from .tunable_network import TunableNetwork as TunableNetwork, with_tunable_gains as with_tunable_gains
from .tuner import GainTuner as GainTuner, TuningHistory as TuningHistory
