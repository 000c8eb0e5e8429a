from .archives import unpacked as unpacked
from .recognition import format_of as format_of
