"""NumPy's files in parts, and headers that lie."""

import numpy as np
import pytest

from gaintuning_tf import InputError
from gaintuning_tf.images.files import load_image
from gaintuning_tf.images.stack_files import open_stack
from helpers.samples import draw

STACK = draw((4, 9, 8))


@pytest.mark.parametrize("array", [STACK, np.asfortranarray(STACK), STACK.astype(">u2"), STACK.astype("<f8")])
def test_orders_of_axes_and_bytes_are_understood(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    with open_stack(tmp_path / "a.npy", axes="TYX") as stack:
        assert stack.dtype.isnative
        np.testing.assert_array_equal(stack.frame(2), array[2])
    np.testing.assert_array_equal(load_image(tmp_path / "a.npy"), array)


def header(descr="'<u2'", shape="(4, 9, 8)", order="False"):
    text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}"
    text += " " * (-(len(text) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


@pytest.mark.parametrize(
    ("lie", "message"),
    [
        ({"shape": "(1000000, 1000000)"}, "needs 2000000000128 bytes, the file has 704"),
        ({"shape": f"({'1, ' * 3000})"}, "up to 8 axes"),
        ({"shape": "(99999999999999999999999, 9)"}, "needs"),
        ({"shape": "(-4, -9, 8)"}, "says the shape"),
        ({"shape": "(True, 2)"}, "says the shape"),
        ({"shape": "9"}, "cannot read"),
        ({"descr": "'|O'"}, "it holds objects"),
        ({"descr": "[('a', '<u2')]"}, "expected .* numbers"),
        ({"descr": "'V8'"}, "expected .* numbers"),
        ({"descr": "'<u99'"}, "cannot read"),
        ({"descr": "__import__('os').abort()"}, "cannot read"),
        ({"descr": "(" * 500}, "cannot read"),
        ({"shape": "()"}, "say"),
    ],
)
def test_headers_that_lie_are_refused(tmp_path, lie, message):
    (tmp_path / "a.npy").write_bytes(header(**lie) + STACK.tobytes())
    with pytest.raises(InputError, match=message):
        open_stack(tmp_path / "a.npy")


def test_pickles_are_never_loaded(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    np.save(tmp_path / "a.npy", np.array([Trap()], dtype=object), allow_pickle=True)
    for read in (load_image, open_stack):
        with pytest.raises(InputError, match="it holds objects"):
            read(tmp_path / "a.npy")
    assert not (tmp_path / "sprung").exists()
