from .analysis import Analysis as Analysis, GainChange as GainChange, analyse as analyse, gain_changes as gain_changes
from .equivalent import equivalent_filter as equivalent_filter, net_bias as net_bias
from .figures import write_figures as write_figures
from .image_report import write_report as write_report
from .noise_section import noise_figure as noise_figure
from .pages import Run as Run
from .stack_report import write_stack_figures as write_stack_figures, write_stack_report as write_stack_report
from .tensorboard import TensorBoardLog as TensorBoardLog
