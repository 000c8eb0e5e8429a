"""Losses by name."""

import pytest

from gaintuning_tf import InputError
from gaintuning_tf.denoising.recipe import Recipe
from gaintuning_tf.losses.names import LOSSES, check_noise_kind, loss_named
from gaintuning_tf.noise.models import KINDS


@pytest.mark.parametrize("name", LOSSES)
def test_each_name_makes_a_new_loss(name):
    one, other = loss_named(name), loss_named(name)
    assert type(one).__name__ == LOSSES[name]
    assert one is not other


def test_an_unknown_name_is_refused():
    with pytest.raises(InputError, match="sure, received 'magic'"):
        loss_named("magic")


@pytest.mark.parametrize("noise", KINDS)
@pytest.mark.parametrize("name", LOSSES)
def test_by_name_a_loss_refuses_the_noise_that_its_class_refuses(name, noise):
    def refused(check, *arguments, **options):
        try:
            check(*arguments, **options)
        except InputError:
            return True
        return False

    found = refused(check_noise_kind, name, noise)
    assert found == refused(Recipe, noise=noise, loss=name) == refused(Recipe, noise=noise, loss=loss_named(name))
    pairs = [("count-splitting", "gaussian"), ("monte-carlo-sure", "poisson"), ("monte-carlo-sure", "poisson-gaussian")]
    assert found == ((name, noise) in pairs)
