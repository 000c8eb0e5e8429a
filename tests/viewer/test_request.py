"""What is asked for in the dock is checked before anything slow is done."""

import pytest

from gaintuning_tf import InputError, insert_gains, save_gains
from gaintuning_tf.gains.gain_files import fingerprint
from gaintuning_tf.viewer.request import Request


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"network": "no-such"}, "expected a network's name"),
        ({"noise": "pink"}, "expected noise to be one of"),
        ({"sigma": 0.0}, "expected a sigma above 0"),
        ({"sigma": float("nan")}, "expected a sigma above 0"),
    ],
)
def test_what_cannot_be_done_is_refused(options, words):
    with pytest.raises(InputError, match=words):
        Request(**options).check()


def test_gains_are_those_of_a_network(tmp_path, tiny):
    gained = insert_gains(tiny)
    tiny.save(tmp_path / "tiny.keras")
    save_gains(gained, tmp_path / "a.gains.h5")
    asked = Request(tmp_path / "tiny.keras", gains=tmp_path / "a.gains.h5")
    asked.check()
    assert fingerprint(asked.load().model) == fingerprint(tiny)
    with pytest.raises(InputError, match=r"the network that a\.gains\.h5 was tuned for, received auto"):
        Request(gains=tmp_path / "a.gains.h5").check()
    with pytest.raises(InputError, match="no such file"):
        Request(tmp_path / "tiny.keras", gains=tmp_path / "b.gains.h5").check()
