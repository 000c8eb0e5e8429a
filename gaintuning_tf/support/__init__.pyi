from .atomic_files import check_writable as check_writable, replacing as replacing
from .extras import required as required
from .hdf5_check import check_hdf5 as check_hdf5
from .journal import Journal as Journal
from .limits import check_declared as check_declared
from .locks import PartialLock as PartialLock, partial_path as partial_path
from .plotting import pyplot as pyplot
from .tensorflow_start import start_tensorflow as start_tensorflow
