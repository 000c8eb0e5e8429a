"""Files of microscope vendors, which are only read.

- `czi`: Zeiss's CZI.
- `czi_process`: planes of a CZI file, read in a process of its own.
- `lif`: Leica's LIF and LOF.
- `nd2`: Nikon's ND2.
- `oif`: Olympus's OIB and OIF.
- `planes`: an image whose library reads it plane by plane.
- `rosettasciio`: DM3, DM4, SER and EMD.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
