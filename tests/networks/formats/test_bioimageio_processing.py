"""Pre- and postprocessing of bioimage.io as what a network's numbers mean: against NumPy, without its packages."""

from types import SimpleNamespace

import numpy as np
import pytest

from gaintuning_tf import GainTuningWarning, InputError
from gaintuning_tf.networks.formats.bioimageio_processing import Affine, meaning_of

AXES = ("batch", "y", "x", "channel")


class Options(SimpleNamespace):
    def model_dump(self, **_):
        return vars(self)


def step(name, **options):
    defaults = {
        "scale_linear": {"gain": 1.0, "offset": 0.0},
        "scale_range": {
            **{"min_percentile": 0.0, "max_percentile": 100.0, "axes": None, "eps": 1e-6, "reference_tensor": None}
        },
        "zero_mean_unit_variance": {"axes": None, "eps": 1e-6},
    }
    return SimpleNamespace(id=name, kwargs=Options(**{**defaults.get(name, {}), **options}))


def tensor(name, key, steps, dtype="float32", span=(None, None), channels=1):
    kinds = {"batch": "batch", "channel": "channel"}
    axes = [
        SimpleNamespace(id=axis, type=kinds.get(axis, "space"), size=channels if axis == "channel" else 64)
        for axis in AXES
    ]
    data = SimpleNamespace(type=dtype, range=span)
    return SimpleNamespace(id=name, axes=axes, data=data, **{key: list(steps)})


def meaning(before=(), after=(), test=None, **options):
    given, returned = tensor("raw", "preprocessing", before, **options), tensor("out", "postprocessing", after)
    return meaning_of(given, returned, test)


def seen(found, image):
    """What the network itself sees of an image in its own units."""
    known = found.normalization
    if known.kind == "mean-std":
        image = (image - np.asarray(known.low)) / known.high
    elif known.kind == "percentiles":
        low, high = np.percentile(image, [known.low[0], known.high[0]])
        image = (image - low) / (high - low)
    elif known.kind == "standardize":
        image = (image - image.mean()) / image.std()
    return np.asarray(found.before.gain) * image + found.before.offset


IMAGE = np.random.default_rng(0).uniform(200, 900, (1, 64, 64, 1))
FIXED = step("fixed_zero_mean_unit_variance", mean=500.0, std=80.0)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ([step("scale_linear", gain=1 / 900)], [], IMAGE / 900),
        ([step("scale_linear", gain=0.01, offset=-3)], [step("scale_linear", gain=100, offset=300)], 0.01 * IMAGE - 3),
        ([FIXED], [], (IMAGE - 500) / 80),
        ([FIXED], [step("scale_linear", gain=80.0, offset=500.0)], (IMAGE - 500) / 80),
        ([step("ensure_dtype", dtype="float32"), FIXED], [step("ensure_dtype", dtype="uint16")], (IMAGE - 500) / 80),
        ([FIXED, step("scale_linear", gain=0.5, offset=0.5)], [], (IMAGE - 500) / 160 + 0.5),
        ([step("zero_mean_unit_variance")], [], (IMAGE - IMAGE.mean()) / IMAGE.std()),
        ([step("scale_linear", gain=0.1), step("zero_mean_unit_variance")], [], (IMAGE - IMAGE.mean()) / IMAGE.std()),
        (
            [step("scale_range"), step("scale_linear", gain=2.0, offset=-1.0)],
            [step("scale_linear", gain=0.5, offset=0.5)],
            2 * (IMAGE - IMAGE.min()) / np.ptp(IMAGE) - 1,
        ),
        ([], [], IMAGE),
    ],
)
def test_the_network_sees_what_the_package_says(before, after, expected):
    np.testing.assert_allclose(seen(meaning(before, after, test=IMAGE), IMAGE), expected, rtol=1e-6, atol=1e-9)


def test_percentiles_and_training_statistics_are_known_by_their_names():
    pair = step("scale_range", min_percentile=1.0, max_percentile=99.8, axes=("y", "x"))
    assert str(meaning([pair]).normalization) == "percentiles:1:99.8"
    assert str(meaning([FIXED], test=IMAGE).normalization) == "mean-std:500:80"
    each = step("fixed_zero_mean_unit_variance", mean=[1.0, 2.0], std=[3.0, 4.0], axis="channel")
    undone = step("scale_linear", gain=[3.0, 4.0], offset=[1.0, 2.0], axis="channel")
    found = meaning([each], [undone], channels=2)
    assert str(found.normalization) == "mean-std:1,2:3,4" and found.before == Affine()


def test_without_processing_the_range_says_what_is_0_and_1():
    assert meaning(test=IMAGE / 900).normalization is None
    assert meaning(span=(0.0, 1.0), test=IMAGE).normalization is None
    assert str(meaning(dtype="uint8").normalization) == "0..255"
    assert str(meaning(span=(-5.0, 100.0)).normalization) == "-5..100"
    # Of what is seen as it comes, the ends are those of the test input.
    low, high = meaning(test=IMAGE).normalization.limits()
    assert (low, high) == pytest.approx((IMAGE.min(), IMAGE.max()))


@pytest.mark.parametrize(
    ("before", "after", "options", "message"),
    [
        ([step("clip", min=0, max=1)], [], {}, r"clip\(min=0, max=1\) of 'raw', which cannot be expressed"),
        ([step("ensure_dtype", dtype="uint8")], [], {}, "ensure_dtype"),
        ([step("binarize", threshold=0.5)], [], {}, "binarize"),
        ([], [step("sigmoid")], {}, r"sigmoid\(\) of 'out'"),
        ([], [step("scale_mean_variance", reference_tensor="raw")], {}, "scale_mean_variance"),
        ([], [step("scale_range")], {}, "scale_range"),
        ([step("scale_linear", gain=-1.0)], [], {}, "gain above 0"),
        ([step("scale_linear", gain=0.0)], [], {}, "gain above 0"),
        ([FIXED], [step("scale_linear", gain=60.0, offset=500.0)], {}, "to undo the preprocessing"),
        ([], [step("scale_linear", gain=255.0)], {"test": IMAGE}, "to undo the preprocessing"),
        ([step("scale_range")], [step("scale_linear", gain=255.0)], {}, "to undo the preprocessing"),
        ([step("scale_range", axes=("y",))], [], {}, "over all axes"),
        ([step("zero_mean_unit_variance", axes=("y", "x"))], [], {"channels": 3}, "over all axes"),
        ([step("scale_range", eps=0.1)], [], {}, "an eps of at most"),
        ([step("scale_range", reference_tensor="other")], [], {}, "over all axes"),
        ([step("scale_linear", gain=[1.0, 2.0], offset=[0.0, 0.0], axis="y")], [], {}, "along the channels"),
    ],
)
def test_what_cannot_be_expressed_is_one_line(before, after, options, message):
    with pytest.raises(InputError, match=message) as caught:
        meaning(before, after, **options)
    assert "\n" not in str(caught.value)


def test_a_clipped_output_is_told_and_left_out():
    with pytest.warns(GainTuningWarning, match=r"clips its output, clip\(min=0\)"):
        assert str(meaning([FIXED], [step("clip", min=0)]).normalization) == "mean-std:500:80"
