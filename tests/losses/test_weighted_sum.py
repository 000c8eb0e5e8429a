"""Losses that mask pixels or draw noise, and sums, against their expectations with derived tolerances."""

import numpy as np
import pytest
import tensorflow as tf

from gaintuning_tf import (
    UNSURE,
    BlindSpotLoss,
    CoupledBootstrap,
    GainTuner,
    GaussianNoise,
    InputError,
    MonteCarloSURE,
    NoiseResamplingLoss,
    PoissonGaussianNoise,
    PoissonGaussianSURE,
    PoissonNoise,
    SupervisedLoss,
    WeightedSum,
)
from gaintuning_tf.losses import blind_spot
from gaintuning_tf.networks import architectures
from helpers.denoisers import blur, curved, image

SIDE = 8
SIGMA = 0.2
LOSSES = {
    "sure": MonteCarloSURE(SIGMA, probe="rademacher"),
    "poisson-gaussian-sure": PoissonGaussianSURE(SIGMA, probe="rademacher"),
    "unsure": UNSURE(probe="rademacher"),
    "blind-spot": BlindSpotLoss(),
    "blind-spot-neighbour": BlindSpotLoss(fill="neighbour"),
    "blind-spot-network": BlindSpotLoss(masked=False),
    "noise-resampling": NoiseResamplingLoss(SIGMA),
    "supervised": SupervisedLoss(SIGMA),
    "sum": WeightedSum({MonteCarloSURE(SIGMA): 1, BlindSpotLoss(): 0.5, NoiseResamplingLoss(SIGMA): 2}),
}
# XLA makes other normal numbers of the same seed.
NORMAL = ("noise-resampling", "supervised", "sum")
SHOT = {
    "poisson-gaussian-sure": PoissonGaussianSURE(PoissonNoise(0.1)),
    "noise-resampling": NoiseResamplingLoss(PoissonNoise(0.1)),
    "supervised": SupervisedLoss(PoissonGaussianNoise(0.1, 0.1)),
}


def clean(draws):
    """One image of numbers below one, again and again."""
    return np.repeat(image(side=SIDE), draws, axis=0)


def operator(f):
    """The matrix of a linear f on images of SIDE x SIDE."""
    units = np.eye(SIDE**2, dtype="float32").reshape(-1, SIDE, SIDE, 1)
    return f(tf.constant(units)).numpy().reshape(SIDE**2, -1).T.astype(np.float64)


def agree(values, expected):
    """The mean of independent values is the one expected, to four standard errors of at most 2 %."""
    error = values.std(ddof=1) / np.sqrt(len(values))
    assert 4 * error < 0.02 * expected, "the tolerance would hide an error of a fiftieth"
    return abs(values.mean() - expected) < 4 * error


@pytest.mark.parametrize("jit", [False, True], ids=["graph", "xla"])
@pytest.mark.parametrize("name", LOSSES)
def test_one_risk_per_image_the_same_for_the_same_seed_compiled_or_not(name, jit):
    y = tf.constant(image(n=3))
    loss = LOSSES[name]
    compiled = tf.function(lambda y, seed: loss(curved, y, seed=seed), jit_compile=jit)
    risk = compiled(y, tf.constant([5, 6])).numpy()
    assert risk.shape == (3,)
    assert np.isfinite(risk).all()
    if not jit or name not in NORMAL:
        np.testing.assert_allclose(risk, loss(curved, y, seed=(5, 6)), rtol=1e-3)
    np.testing.assert_array_equal(compiled(y, tf.constant([5, 6])), risk)
    if name != "blind-spot-network":
        assert not np.allclose(compiled(y, tf.constant([5, 7])), risk, rtol=1e-4)


@pytest.mark.parametrize("name", SHOT)
def test_poisson_noise_works_in_a_graph_of_any_size(name):
    loss = SHOT[name]
    graph = tf.function(
        lambda y: loss(curved, y, seed=(5, 6)), input_signature=[tf.TensorSpec([None, None, None, 1], tf.float32)]
    )
    y = tf.constant(image(n=3))
    np.testing.assert_allclose(graph(y), loss(curved, y, seed=(5, 6)), rtol=1e-3)
    assert graph(y[:2, :9]).shape == (2,)


@pytest.mark.parametrize("name", LOSSES | SHOT)
def test_every_loss_has_a_gradient(name):
    loss, y = (LOSSES | SHOT)[name], tf.constant(image(n=2))
    gain = tf.Variable(0.8)
    with tf.GradientTape() as tape:
        risk = tf.reduce_sum(loss(lambda y: gain * curved(y), y, seed=(1, 2)))
    gradient = tape.gradient(risk, gain).numpy()
    assert np.isfinite(gradient)
    assert gradient != 0


def test_what_a_loss_needs_is_written_on_it():
    needs = {name: loss.needs_noise for name, loss in LOSSES.items()}
    assert [name for name, needed in needs.items() if not needed] == [
        "unsure",
        "blind-spot",
        "blind-spot-neighbour",
        "blind-spot-network",
    ]
    assert [name for name, loss in LOSSES.items() if loss.uses_reference] == ["noise-resampling", "sum"]


@pytest.mark.parametrize("build", [MonteCarloSURE, PoissonGaussianSURE, NoiseResamplingLoss, SupervisedLoss])
def test_refuses_to_guess_the_noise(build):
    with pytest.raises(InputError, match="noise level"):
        build()(blur, tf.constant(image()), seed=(0, 0))


# Blind spots


@pytest.mark.parametrize("spacing", [2, 3])
@pytest.mark.parametrize("seed", [(0, 1), (0, 2)])
def test_the_masked_error_is_that_of_the_blind_denoiser_and_the_noise(spacing, seed):
    draws, n = 12000, SIDE**2
    x = clean(draws)
    y = x + SIGMA * np.random.default_rng(1).standard_normal(x.shape).astype("float32")
    values = BlindSpotLoss(spacing=spacing)(blur, tf.constant(y), seed=seed).numpy()
    mask = blind_spot.grid_mask(tf.constant([SIDE, SIDE]), spacing, tf.random.split(seed, 2, alg="philox")[0])
    inside = np.broadcast_to(mask, (1, SIDE, SIDE, 1)).ravel()

    # The mean of the neighbours, mirrored at the border.
    fill = np.zeros((n, n))
    for i, j in np.ndindex(SIDE, SIDE):
        for k, m in ((i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)):
            k, m = (2 * (SIDE - 1) - p if p >= SIDE else abs(p) for p in (k, m))
            fill[i * SIDE + j, k * SIDE + m] += 1 / 4
    blind = (operator(blur) @ np.where(inside[:, None], fill, np.eye(n)))[inside]
    assert np.all(blind[:, inside] == 0), "the masked denoiser sees a masked pixel"
    x = x[0].ravel()
    true_error = np.mean((blind @ x - x[inside]) ** 2 + SIGMA**2 * np.sum(blind**2, axis=1))
    assert agree(values, true_error + SIGMA**2)


def test_a_random_neighbour_has_the_error_of_one():
    draws, seed = 20000, (0, 1)
    x = clean(draws)
    y = x + SIGMA * np.random.default_rng(1).standard_normal(x.shape).astype("float32")
    values = BlindSpotLoss(spacing=2, fill="neighbour")(lambda y: y, tf.constant(y), seed=seed).numpy()
    mask = blind_spot.grid_mask(tf.constant([SIDE, SIDE]), 2, tf.random.split(seed, 2, alg="philox")[0])[0, :, :, 0]
    mirrored = np.pad(x[0, :, :, 0], 1, mode="reflect")
    around = [mirrored[:-2, 1:-1], mirrored[2:, 1:-1], mirrored[1:-1, :-2], mirrored[1:-1, 2:]]
    differences = np.mean([(near - x[0, :, :, 0]) ** 2 for near in around], axis=0)
    assert agree(values, differences[mask.numpy()].mean() + 2 * SIGMA**2)


def test_the_grid_is_everywhere_in_turn():
    masks = np.array([blind_spot.grid_mask(tf.constant([9, 12]), 3, (0, i))[0, :, :, 0].numpy() for i in range(60)])
    np.testing.assert_array_equal(masks.sum(axis=(1, 2)), 3 * 4)
    assert masks.any(axis=0).all()
    i, j = np.nonzero(masks[0])
    assert set(np.diff(np.unique(i))) == set(np.diff(np.unique(j))) == {3}


def test_an_image_smaller_than_the_spacing_still_has_a_masked_pixel():
    for number in range(8):
        assert blind_spot.grid_mask(tf.constant([2, 3]), 4, (0, number)).numpy().sum() == 1


def test_masks_are_for_any_number_of_axes():
    volume = tf.random.stateless_normal((2, 24, 24, 24, 2), (0, 1))
    risk = BlindSpotLoss(spacing=2)(lambda y: y, volume, seed=(1, 2)).numpy()
    # A mean of six, along each axis of two different ones, but in a border plane out of twelve of twice the same.
    expected = 1 + 3 * (2 / 36) * (11 / 12) + 3 * (4 / 36) / 12
    np.testing.assert_allclose(risk, expected, rtol=4 * np.sqrt(2 / (2 * 12**3)))


def test_a_blind_spot_network_needs_no_mask():
    network = architectures.blind_spot(width=4)
    x = np.repeat(image(side=16), 300, axis=0)
    y = x + SIGMA * np.random.default_rng(1).standard_normal(x.shape).astype("float32")
    denoised = network(y, training=False).numpy()
    risks = BlindSpotLoss(masked=False)(lambda y: network(y, training=False), tf.constant(y), seed=(0, 0)).numpy()
    difference = risks - np.mean((denoised - x) ** 2, axis=(1, 2, 3))
    assert abs(difference.mean() - SIGMA**2) < 4 * difference.std(ddof=1) / np.sqrt(len(x))


@pytest.mark.parametrize(
    ("options", "message"), [({"spacing": 1}, "spacing"), ({"spacing": 2.5}, "spacing"), ({"fill": "zero"}, "fill")]
)
def test_blind_spot_refuses_bad_options(options, message):
    with pytest.raises(InputError, match=message):
        BlindSpotLoss(**options)


# Drawn noise


def expected_error(x, noise):
    """`|F x - x|^2 / n + sum_ij F_ij^2 v(x_j) / n` of the linear F."""
    f, x = operator(blur), x.ravel().astype(np.float64)
    return np.mean((f @ x - x) ** 2 + np.square(f) @ noise.variance(x))


NOISES = [GaussianNoise(SIGMA), PoissonNoise(0.1), PoissonGaussianNoise(0.1, 0.1, -0.1)]


@pytest.mark.parametrize("noise", NOISES)
def test_resampled_noise_has_the_error_of_theory(noise):
    x0, draws = clean(4000), 4000
    noisy = tf.zeros((draws, SIDE, SIDE, 1))
    values = NoiseResamplingLoss(noise)(blur, noisy, seed=(1, 2), reference=x0).numpy()
    assert agree(values, expected_error(x0[:1], noise))


def test_without_a_reference_the_target_is_the_denoised_image_and_fixed():
    y = tf.constant(image())
    loss = NoiseResamplingLoss(SIGMA)
    np.testing.assert_allclose(
        loss(blur, y, seed=(1, 2)), loss(blur, y, seed=(1, 2), reference=blur(y).numpy()), rtol=1e-6
    )
    gain = tf.Variable(0.8)
    gradients = []
    for reference in (None, 0.8 * y):
        with tf.GradientTape() as tape:
            risk = loss(lambda y: gain * y, y, seed=(1, 2), reference=reference)
        gradients.append(tape.gradient(risk, gain).numpy())
    assert gradients[0] == pytest.approx(gradients[1], rel=1e-5)


@pytest.mark.parametrize("noise", NOISES)
def test_the_supervised_loss_is_the_true_error(noise):
    x = clean(4000)
    assert agree(SupervisedLoss(noise)(blur, tf.constant(x), seed=(1, 2)).numpy(), expected_error(x[:1], noise))
    assert agree(SupervisedLoss()(blur, tf.constant(x), noise, seed=(1, 3)).numpy(), expected_error(x[:1], noise))


# Sums


def test_a_sum_is_weighted_and_passes_everything_on():
    seen = []

    def spy(denoise, noisy, noise=None, *, seed, reference=None):
        seen.append((noise, seed.numpy().tolist(), reference))
        return tf.fill([2], float(len(seen)))

    spy.uses_reference = True
    total = WeightedSum([(spy, 2.0), (spy, 3.0)])(blur, tf.zeros((2, 8, 8, 1)), 0.1, seed=(4, 5), reference="x0")
    np.testing.assert_allclose(total, 2 * 1 + 3 * 2)
    assert [s[0] for s in seen] == [0.1, 0.1]
    assert [s[2] for s in seen] == ["x0", "x0"]
    assert seen[0][1] != seen[1][1]


def test_a_sum_has_the_noise_and_the_open_step_of_its_parts():
    inner = MonteCarloSURE(0.1)
    total = WeightedSum({UNSURE(step=0.5): 1, inner: 1, BlindSpotLoss(): 1})
    assert total.noise == GaussianNoise(0.1)
    assert total.step is None
    chosen = total.at_step(0.25)
    assert [loss.step for loss, _ in chosen.terms] == [0.5, 0.25, 0]
    assert chosen.step is not None
    assert inner.step is None, "a loss that others may use was changed"
    assert WeightedSum({BlindSpotLoss(): 1}).noise is None


def test_a_sum_is_compared_by_the_criteria_of_its_parts():
    inner = WeightedSum({CoupledBootstrap(SIGMA, probes=2): 2.0})
    total = WeightedSum([(CoupledBootstrap(SIGMA), 1.0), (BlindSpotLoss(), 0.5), (inner, 3.0)])
    criterion = total.criterion
    assert [weight for _, weight in criterion.terms] == [1.0, 0.5, 3.0]
    assert criterion.terms[0][0].width == 0.1
    assert criterion.terms[1] == total.terms[1]
    assert criterion.terms[2][0].terms[0][0].width == 0.1
    y, options = tf.constant(image()), {"seed": (1, 2)}
    alone = WeightedSum({CoupledBootstrap(SIGMA, width=0.1): 1.0})
    np.testing.assert_array_equal(
        WeightedSum({CoupledBootstrap(SIGMA): 1.0}).criterion(curved, y, **options), alone(curved, y, **options)
    )


def fit(denoise, noisy, noise=None, *, seed):
    """A loss of the user's own, which knows of no reference."""
    return tf.reduce_mean(tf.square(denoise(noisy) - noisy), axis=(1, 2, 3))


def test_a_plain_function_is_tuned_in_a_sum_as_alone(tiny):
    noisy = 0.5 + SIGMA * np.random.default_rng(0).standard_normal((1, 32, 32, 1)).astype("float32")
    alone, summed = (GainTuner(tiny, loss) for loss in (fit, WeightedSum([(fit, 1.0)])))
    histories = [tuner.tune(noisy, sigma=SIGMA, steps=2, progress=False) for tuner in (alone, summed)]
    assert histories[0].risk_after < histories[0].risk_before
    np.testing.assert_array_equal(histories[1].risk, histories[0].risk)
    assert (histories[1].risk_before, histories[1].risk_after) == (histories[0].risk_before, histories[0].risk_after)
    for one, other in zip(alone.gains(), summed.gains(), strict=True):
        np.testing.assert_array_equal(one, other)
    # Beside a loss with a reference, which the tuner then passes to the sum.
    beside = GainTuner(tiny, WeightedSum([(fit, 1.0), (NoiseResamplingLoss(), 1.0)]))
    assert np.isfinite(beside.tune(noisy, sigma=SIGMA, steps=1, progress=False).risk_after)


def test_the_held_out_risk_of_a_sum_is_that_of_the_narrow_difference(tiny):
    """Alone and in a sum, at the width that gives the risk of the image's own noise."""
    noisy = 0.5 + SIGMA * np.random.default_rng(0).standard_normal((1, 32, 32, 1)).astype("float32")
    seen = []

    class Spy(CoupledBootstrap):
        def __call__(self, *arguments, **options):
            seen.append(self.width)
            return super().__call__(*arguments, **options)

        @property
        def criterion(self):
            return Spy(width=super().criterion.width)

    for loss in (Spy(), WeightedSum({Spy(): 1.0})):
        seen.clear()
        GainTuner(tiny, loss).tune(noisy, sigma=SIGMA, steps=0, progress=False)
        assert set(seen) == {0.1}


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({}, "at least one"),
        ([(MonteCarloSURE(), 0)], "positive"),
        ([(MonteCarloSURE(), "1")], "positive"),
        ([("sure", 1)], "'sure'"),
        ([(MonteCarloSURE, 1)], "such as MonteCarloSURE\\(\\)"),
    ],
)
def test_sums_refuse_what_they_cannot_add(terms, message):
    with pytest.raises(InputError, match=message):
        WeightedSum(terms)


def test_a_tuner_minimises_a_sum(tiny):
    noisy = 0.5 + SIGMA * np.random.default_rng(0).standard_normal((1, 32, 32, 1)).astype("float32")
    total = WeightedSum([(LOSSES["sure"], 1), (LOSSES["unsure"], 0.1), (LOSSES["blind-spot"], 0.5)])
    tuner = GainTuner(tiny, total)
    history = tuner.tune(noisy, sigma=SIGMA, steps=8, progress=False)
    assert history.risk_after < history.risk_before
    assert total.step is None, "the caller's loss was changed"
