"""What is in a page: its pictures, and addresses of other files, of which there are to be none."""

import base64
import io
import re

import numpy as np
from PIL import Image


def pictures(page):
    """The pictures of a page, decoded, without those within drawings."""
    found = re.findall(r'<img [^>]*src="data:image/(?:png|jpeg);base64,([^"]+)"', page)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))) for data in found]


def others(page):
    """What a page asks for that is not in it; names of XML's own are no addresses."""
    found = re.findall(r"""(?:src|href)=["'](?!data:|#)|url\((?!#|["']?#|["']?data:)|@import|https?://[^"' ]*""", page)
    return [one for one in found if not one.startswith("http://www.w3.org/")]
