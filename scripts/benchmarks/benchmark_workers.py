"""What `benchmark.py` times, each kind in a process of its own: ours, and the peer in PyTorch."""

import contextlib
import importlib.util
import multiprocessing
import resource
import time
import traceback

import numpy as np


class Worker:
    """A process that runs the functions of this module by name, one after the other.

    Args:
        kind: "ours", "peer" or "plain", for methods without either: what is imported before anything is timed.
        threads: Threads of PyTorch.
        peer: File of the peer.
    """

    def __init__(self, kind, threads, peer=None):
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, kind, threads, peer), daemon=True)
        self._process.start()

    def __call__(self, function, **arguments):
        self._pipe.send((function, arguments))
        outcome, value = self._pipe.recv()
        if outcome == "error":
            raise RuntimeError(f"{function} failed in its process:\n{value}")
        return value

    def peak(self):
        """The largest resident size so far, bytes."""
        return self("peak_memory")

    def close(self):
        self._pipe.close()
        self._process.join(10)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def _serve(pipe, kind, threads, peer):
    if kind == "peer":
        import torch

        torch.set_num_threads(threads)
        _load_peer(peer)
    if kind == "ours":
        import tensorflow  # noqa: F401

        import gaintuning_tf.tuning.tuner  # noqa: F401
    with contextlib.suppress(EOFError):
        while True:
            function, arguments = pipe.recv()
            try:
                pipe.send(("done", globals()[function](**arguments)))
            except Exception:
                pipe.send(("error", traceback.format_exc()))


def peak_memory():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def psnr(clean, image):
    return float(-10 * np.log10(np.mean((np.clip(image, 0, 1) - clean) ** 2)))


_kept = {}


def _once(make, *key):
    """What `make` makes, kept by name: models are loaded and graphs traced once."""
    key = (make.__name__, *key)
    if key not in _kept:
        _kept[key] = make(*key[1:])
    return _kept[key]


# The peer.


def _load_peer(path):
    spec = importlib.util.spec_from_file_location("gaintune_torch", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    _kept["peer"] = module


def peer_step(checkpoint, noisy, sigma):
    """Seconds of one step of the peer: two passes of the network, the gradient, Adam."""
    import torch

    model = _once(_peer_model, checkpoint)
    image = torch.from_numpy(noisy)[None, None]
    start = time.perf_counter()
    _kept["peer"].gaintune(model, image, sigma, 1, 1e-3)
    return time.perf_counter() - start


def _peer_model(checkpoint):
    return _kept["peer"].load(checkpoint)


def peer_tune(checkpoint, noisy, clean, sigma, steps):
    """The peer's whole tuning: its seconds, and the PSNR after every step, by seconds."""
    import torch
    from torch.optim.optimizer import register_optimizer_step_post_hook

    model, image = _kept["peer"].load(checkpoint), torch.from_numpy(noisy)[None, None]
    seen = []

    def remember(*_):
        gains = [parameter.detach().clone() for parameter in model.parameters()]
        seen.append((time.perf_counter() - start, gains))

    def quality():
        with torch.no_grad():
            return psnr(clean, model(image)[0, 0].numpy())

    before = quality()
    hook = register_optimizer_step_post_hook(remember)
    start = time.perf_counter()
    _kept["peer"].gaintune(model, image, sigma, steps, 1e-3)
    seconds = time.perf_counter() - start
    hook.remove()
    after = quality()
    curve = [(0.0, before)]
    for reached, gains in seen[4::5]:
        with torch.no_grad():
            for parameter, value in zip(model.parameters(), gains, strict=True):
                parameter.copy_(value)
        curve.append((reached, quality()))
    return {"seconds": seconds, "before": before, "psnr": after, "curve": curve}


# Ours.


def matrix_peak(side=2048, repeats=7):
    """Operations per second of a product of two matrices of float32, the best of the repeats."""
    import tensorflow as tf

    one = tf.random.stateless_normal((side, side), (0, 0))
    product = tf.function(lambda: tf.reduce_sum(tf.matmul(one, one)))
    product().numpy()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        product().numpy()
        seconds.append(time.perf_counter() - start)
    return 2 * side**3 / min(seconds)


def convolution_operations(model, side):
    """Of one step in direct convolutions: two images forward, and back to their activations; weights have none."""
    import tensorflow as tf

    network = _once(_model, model)
    function = tf.function(lambda image: network(image, training=False))
    graph = function.get_concrete_function(tf.TensorSpec([1, side, side, 1])).graph
    options = tf.compat.v1.profiler.ProfileOptionBuilder(tf.compat.v1.profiler.ProfileOptionBuilder.float_operation())
    options = options.with_accounted_types(["Conv2D", "Conv2DBackpropInput"]).with_empty_output()
    found = tf.compat.v1.profiler.profile(graph, options=options.build())
    return 4 * found.total_float_ops


def _model(name):
    from gaintuning_tf import load_denoiser

    return load_denoiser(name)


def _plain_step(model):
    import tensorflow as tf

    from gaintuning_tf import MonteCarloSURE
    from gaintuning_tf.noise.tensors import noise_tensors
    from gaintuning_tf.tuning.selection import nothing_seen
    from gaintuning_tf.tuning.steps import gain_steps

    steps = gain_steps(_once(_model, model), MonteCarloSURE(), prior=None)

    def one_step(gains, state, image, sigma, seed):
        inputs = steps.unprepared(image, noise_tensors(sigma), steps.objective.windows(image, None))
        return steps.one_step(nothing_seen(gains, groups=1), gains, state, inputs, seed)

    return steps, tf.function(one_step, autograph=False)


def step(model, noisy, sigma):
    """Seconds of one step as the peer's: Monte-Carlo SURE, its gradient, Adam. The first call traces."""
    import tensorflow as tf

    steps, compiled = _once(_plain_step, model)
    gains, state = steps.initial()
    image = tf.constant(noisy[None, ..., None])
    start = time.perf_counter()
    compiled(gains, state, image, tf.constant([sigma]), tf.constant([0, 0], tf.int64))[3].numpy()
    return time.perf_counter() - start


def tune(model, noisy, sigma, clean=None, steps=None, window=512, fresh=True):
    """Our whole tuning and the denoised image, with the defaults: seconds, PSNR, and PSNR by seconds.

    Args:
        fresh: Whether the tuner is a new one, so that tracing and compiling are timed too.
    """
    import keras

    from gaintuning_tf import CoupledBootstrap, GainTuner

    class Remember(keras.callbacks.Callback):
        def on_epoch_begin(self, number, logs=None):
            seen.append((time.perf_counter() - start, tuner.gains()))

    image, seen = noisy[None, ..., None], []
    network = _once(_model, model)
    start = time.perf_counter()
    if fresh or ("tuner", model) not in _kept:
        _kept["tuner", model] = GainTuner(network, CoupledBootstrap())
    tuner = _kept["tuner", model]
    tuner.reset()
    tuner.tune(image, sigma=sigma, steps=steps, window=window, callbacks=[Remember()], progress=False)
    tuned = time.perf_counter() - start
    denoised = tuner.denoise(image)[0, ..., 0] if noisy.size <= 1024**2 else None
    found = {"seconds": time.perf_counter() - start, "tuning": tuned, "gains": tuner.gains()}
    if clean is not None:
        found["psnr"] = psnr(clean, denoised)
        found["curve"] = []
        for reached, gains in seen:
            tuner.set_gains(gains)
            found["curve"].append((reached, psnr(clean, tuner.denoise(image)[0, ..., 0])))
        found["curve"].append((found["seconds"], found["psnr"]))
    return found


def quality(model, noisy, clean, gains):
    """PSNR of an image of any size with these gains."""
    return psnr(clean, _tiled(_kept["tuner", model], noisy, gains))


def gains_of_one(model):
    return [np.ones_like(gain) for gain in _kept["tuner", model].gains()]


def _tiled(tuner, noisy, gains):
    from gaintuning_tf.networks import tiles

    tuner.set_gains(gains)
    field = tiles.receptive_field(tuner.model)
    return tiles.denoise_tiled(tuner.denoise, noisy[None, ..., None], receptive_field=field)[0, ..., 0]


def tune_large(model, noisy, sigma, steps=None):
    """Tune on a large image and denoise it in tiles, as the package does; for its memory."""
    start = time.perf_counter()
    found = tune(model, noisy, sigma, steps=steps)
    _tiled(_kept["tuner", model], noisy, found["gains"])
    return time.perf_counter() - start


def tune_frames(model, frames, sigma, together):
    """Frames with gains of their own, in one batch or one after the other: seconds, and the gains of each."""
    from gaintuning_tf import CoupledBootstrap, GainTuner, insert_gains

    images = frames[..., None]
    network = _once(_model, model)
    key = ("batch" if together else "single", model)
    if key not in _kept:
        gained = insert_gains(network, images=len(frames)) if together else network
        _kept[key] = GainTuner(gained, CoupledBootstrap())
        # Traced before it is timed.
        _kept[key].tune(images if together else images[:1], sigma=sigma, steps=1, progress=False)
    tuner, denoised = _kept[key], []
    start = time.perf_counter()
    for batch in [images] if together else images[:, None]:
        tuner.reset()
        tuner.tune(batch, sigma=sigma, progress=False)
        denoised.append(tuner.denoise(batch)[..., 0])
    return time.perf_counter() - start, np.concatenate(denoised)


def _compiled_networks(model):
    import tensorflow as tf

    from gaintuning_tf import fold_gains, gain_layers, insert_gains

    plain = _once(_model, model)
    gained = insert_gains(plain)
    for layer in gain_layers(gained):
        layer.gain.assign(np.random.default_rng(0).normal(1, 0.05, layer.gain.shape))
    networks = {"untouched": plain, "folded": fold_gains(gained)}
    return {
        name: tf.function(lambda image, network=network: network(image, training=False))
        for name, network in networks.items()
    }


def infer(model, noisy, which):
    """Seconds of one pass through the untouched network, or the one with gains folded into it."""
    import tensorflow as tf

    network = _once(_compiled_networks, model)[which]
    image = tf.constant(noisy[None, ..., None])
    start = time.perf_counter()
    network(image).numpy()
    return time.perf_counter() - start


# BM3D.


def bm3d(noisy, sigma, clean=None):
    """BM3D with a level or, without one, with the noise as `auto` finds it, whose time is not counted."""
    from gaintuning_tf.evaluation.baselines import denoise_bm3d
    from gaintuning_tf.noise.automatic import examine_noise

    noise = examine_noise(noisy).noise if sigma is None else sigma
    start = time.perf_counter()
    denoised = denoise_bm3d(noisy, noise)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "psnr": None if clean is None else psnr(clean, denoised)}
