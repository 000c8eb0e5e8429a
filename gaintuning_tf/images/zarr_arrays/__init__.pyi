from .reading import open_source as open_source
from .writing import create_target as create_target, resume_target as resume_target
