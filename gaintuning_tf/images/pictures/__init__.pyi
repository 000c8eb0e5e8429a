from .reading import SUFFIXES as SUFFIXES
from .targets import create_target as create_target, open_source as open_source, resume_target as resume_target
from .writing import picture_holds as picture_holds
