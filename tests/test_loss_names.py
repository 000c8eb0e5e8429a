"""Losses by name."""

import pytest

from gaintuning_tf import InputError
from gaintuning_tf.loss_names import LOSSES, loss_named


@pytest.mark.parametrize("name", LOSSES)
def test_each_name_makes_a_new_loss(name):
    one, other = loss_named(name), loss_named(name)
    assert type(one).__name__ == LOSSES[name]
    assert one is not other


def test_an_unknown_name_is_refused():
    with pytest.raises(InputError, match="sure, received 'magic'"):
        loss_named("magic")
