"""TensorFlow's messages: protobuf makes their classes as the modules run, where no type checker sees them."""

# pyright: reportAttributeAccessIssue=false

from tensorflow.core.framework.attr_value_pb2 import AttrValue as AttrValue
from tensorflow.core.framework.graph_pb2 import GraphDef as GraphDef
from tensorflow.core.framework.node_def_pb2 import NodeDef as NodeDef
