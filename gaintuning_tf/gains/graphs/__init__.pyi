from .graph_models import as_keras_model as as_keras_model, load_saved_model as load_saved_model
from .graph_network import GraphNetwork as GraphNetwork
