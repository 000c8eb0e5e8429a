from .dock import Dock as Dock, make_dock as make_dock
from .layer_frames import LayerFrames as LayerFrames
from .process import TuningProcess as TuningProcess
from .remote_run import RemoteRun as RemoteRun
from .request import Request as Request
from .run import Run as Run
