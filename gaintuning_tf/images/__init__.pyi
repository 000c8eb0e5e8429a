from .array_layout import (
    Layout as Layout,
    check_axes as check_axes,
    check_data_range as check_data_range,
    check_finite as check_finite,
    convert as convert,
    default_axes as default_axes,
    layout as layout,
    nominal_range as nominal_range,
    order_of as order_of,
)
from .bad_pixels import (
    BadPixels as BadPixels,
    PixelRules as PixelRules,
    common_extent as common_extent,
    find_bad_pixels as find_bad_pixels,
    frame_extent as frame_extent,
    whole_mask as whole_mask,
    words_of as words_of,
)
from .container import Source as Source, Target as Target
from .files import image_files as image_files, load_image as load_image, save_image as save_image
from .formats import READABLE as READABLE, WRITABLE as WRITABLE
from .frame_order import FrameOrder as FrameOrder
from .pictures import picture_holds as picture_holds
from .stack_files import (
    Stack as Stack,
    StackWriter as StackWriter,
    create_stack as create_stack,
    may_be_volume as may_be_volume,
    open_stack as open_stack,
)
