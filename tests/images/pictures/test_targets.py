"""Pictures as stacks of one frame."""

import numpy as np
import pytest

from gaintuning_tf import InputError
from gaintuning_tf.images.pictures import create_target, resume_target
from helpers.samples import draw

WHOLE = (slice(None), slice(None))


def test_what_was_flushed_is_gone_on_with(tmp_path):
    partial = tmp_path / ".a.JPG.PNG.partial"
    image = draw((9, 8), "uint16")
    target = create_target(partial, (9, 8), np.dtype("uint16"), "YX", {})
    target.write(WHOLE, image)
    target.flush()
    again = resume_target(partial, (9, 8), np.dtype("uint16"))
    np.testing.assert_array_equal(again.read(WHOLE), image)
    with pytest.raises(InputError, match="delete it"):
        resume_target(partial, (8, 8), np.dtype("uint16"))


@pytest.mark.parametrize(
    ("suffix", "shape", "dtype"),
    [
        (".jpg", (9, 8), "uint16"),
        (".png", (9, 8), "float32"),
        (".jpg", (9, 8, 3), "uint16"),
        (".png", (4, 9, 8), "uint8"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, suffix, shape, dtype):
    with pytest.raises(InputError, match=r"choose an output such as \.tif"):
        create_target(tmp_path / f"a{suffix}", shape, np.dtype(dtype), "YXC", {})


def test_a_name_without_a_suffix_of_a_picture_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"suffixes \.png, \.jpg"):
        create_target(tmp_path / ".a.dat.partial", (9, 8), np.dtype("uint8"), "YX", {})
