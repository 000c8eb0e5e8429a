from .contrast import (
    Contrast as Contrast,
    at_contrast as at_contrast,
    take_contrast as take_contrast,
    with_contrast as with_contrast,
)
from .convolutions import sublayers as sublayers
from .custom_layers import WithGains as WithGains
from .gain_files import fingerprint as fingerprint, load_gains as load_gains, save_gains as save_gains
from .graphs.graph_models import as_keras_model as as_keras_model, load_saved_model as load_saved_model
from .graphs.graph_network import GraphNetwork as GraphNetwork
from .layers import PACKAGE as PACKAGE, Gain as Gain
from .normalization_layers import (
    take_normalization as take_normalization,
    with_normalization as with_normalization,
    with_range as with_range,
)
from .rewriting import Rewriter as Rewriter
from .surgery import (
    fold_gains as fold_gains,
    gain_layers as gain_layers,
    gain_names as gain_names,
    insert_gains as insert_gains,
    strip_gains as strip_gains,
    with_gains as with_gains,
)
