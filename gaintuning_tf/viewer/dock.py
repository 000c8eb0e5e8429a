"""The dock: widgets that ask for a run, a thread that does it, and the layer that it becomes.

Everything of napari, magicgui and Qt is imported when the dock is opened, for the package is there without them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gaintuning_tf.errors import InputError
from gaintuning_tf.networks.pretrained import CHOSEN, list_denoisers
from gaintuning_tf.support.extras import required
from gaintuning_tf.viewer.layer_frames import LayerFrames, look_of, pixels_of, suggested_axes
from gaintuning_tf.viewer.process import TuningProcess
from gaintuning_tf.viewer.remote_run import RemoteRun
from gaintuning_tf.viewer.request import Request
from gaintuning_tf.viewer.run import found_noise

# What the box of networks has beside names.
FILE, FOLDER = "a file or zip …", "a folder …"
# What the box of noise has, in words, for what `Request` takes.
NOISE = {
    "found in the image": "auto",
    "white, of a given sigma": "given",
    "white": "gaussian",
    "of counts (Poisson)": "poisson",
    "a camera's (Poisson-Gaussian)": "poisson-gaussian",
}
DEFAULT_STEPS = "default"
STEPS = (DEFAULT_STEPS, "0 (network alone)", "5", "10", "20", "50", "100", "200")
# Milliseconds between two looks at how far a run is.
LOOK_EVERY = 100


def make_dock() -> Any:
    """Make the dock for the viewer that is current: what the manifest names.

    Returns:
        A container of magicgui's.

    Raises:
        InputError: napari or magicgui is not installed.
    """
    napari = required("napari", "the dock", "napari")
    return Dock(napari.current_viewer()).container


class Dock:
    """The widgets and what they do.

    Args:
        viewer: A viewer of napari, or its model alone.
        process: Where runs are done; by default one of its own, which ends with the dock.

    Attributes:
        container: The widgets, one below the other, as magicgui and napari take them.
        parts: Each of them by name: `layer`, `axes`, `network`, `file`, `noise`, `sigma`, `steps`, `gains`,
            `find_noise`, `preview`, `run`, `stop`, `save`, `bar`, `doing`, `said`.
        current: The last run; None before the first.
        added: Its layer; None before there is one.
    """

    def __init__(self, viewer: Any, process: TuningProcess | None = None):
        required("magicgui", "the dock", "napari")
        from qtpy.QtCore import QTimer

        self.viewer = viewer
        self.current: RemoteRun | None = None
        self.added: Any = None
        self._process = process or TuningProcess()
        self._worker: Any = None
        self._look: dict[str, Any] = {}
        self.container, self.parts = _widgets(self._layers)
        # Its callbacks have weak references to this object.
        self.container.native.setProperty("dock", self)
        self._timer = QTimer(self.container.native)
        self._timer.setInterval(LOOK_EVERY)
        self._timer.timeout.connect(self._show_progress)
        self._connect()
        self._layer_changed()
        self._busy(False)

    def _connect(self):
        parts = self.parts
        for events in (self.viewer.layers.events.inserted, self.viewer.layers.events.removed):
            events.connect(self._layers_changed)
        parts["layer"].changed.connect(self._layer_changed)
        parts["network"].changed.connect(self._network_changed)
        parts["noise"].changed.connect(self._noise_changed)
        for button, action in (("find_noise", self.find_noise), ("preview", self.preview), ("run", self.run)):
            parts[button].changed.connect(action)
        parts["stop"].changed.connect(self.stop)
        parts["save"].changed.connect(self._ask_where_to_save)
        self.container.native.destroyed.connect(self._process.close)
        self._network_changed()
        self._noise_changed()

    @property
    def busy(self) -> bool:
        """Whether something is done now."""
        return self._worker is not None

    # What is asked for.

    def _layers(self, widget=None):
        """List the image layers, those that this dock made aside: the choices of the box."""
        from napari.layers import Image

        return [(layer.name, layer) for layer in self.viewer.layers if isinstance(layer, Image)]

    def _layers_changed(self, event=None):
        self.parts["layer"].reset_choices()
        self._busy(self.busy)

    def _layer_changed(self, layer=None):
        layer = self.parts["layer"].value
        if layer is None:
            return
        with self._refusing():
            data, _ = pixels_of(layer)
            self.parts["axes"].value = suggested_axes(data.shape, rgb=layer.rgb, labels=layer.axis_labels)

    def _network_changed(self, value=None):
        parts = self.parts
        parts["file"].visible = parts["network"].value in (FILE, FOLDER)
        parts["file"].mode = "d" if parts["network"].value == FOLDER else "r"

    def _noise_changed(self, value=None):
        self.parts["sigma"].visible = NOISE[self.parts["noise"].value] == "given"

    def request(self) -> Request:
        """Read what the widgets ask for."""
        parts = self.parts
        kind, steps = NOISE[parts["noise"].value], parts["steps"].value
        given = kind == "given"
        return Request(
            network=parts["network"].value
            if parts["network"].value not in (FILE, FOLDER)
            else Path(parts["file"].value),
            noise="auto" if given else kind,
            sigma=parts["sigma"].value if given else None,
            steps=None if steps == DEFAULT_STEPS else int(steps.split()[0]),
            gains=_path(parts["gains"].value),
        )

    def visible(self, layer: Any) -> tuple[int, ...]:
        """Find which slice of a layer is seen: a number for each axis of its array."""
        data, _ = pixels_of(layer)
        seen = np.rint(layer.world_to_data(self.viewer.dims.point)).astype(int)
        places = [*seen, 0] if layer.rgb else seen
        return tuple(int(np.clip(place, 0, size - 1)) for place, size in zip(places, data.shape, strict=True))

    # What is done.

    def find_noise(self, clicked: bool = True) -> None:
        """Look at the noise of the slice that is seen, in a thread, and say what it is."""
        layer = self.parts["layer"].value
        with self._refusing():
            data, _ = self._pixels(layer)
            frames = LayerFrames(data, self.parts["axes"].value, name=layer.name)
            self._start(_noise_words(frames, self.visible(layer)), "looking at the noise")

    def preview(self, clicked: bool = True) -> None:
        """Denoise the slice that is seen, in a thread."""
        self._begin(whole=False)

    def run(self, clicked: bool = True) -> None:
        """Denoise the layer, in a thread."""
        self._begin(whole=True)

    def stop(self, clicked: Any = True) -> None:
        """End the run after the step that it is in."""
        if self.current is not None:
            self.current.stop()

    def save_gains(self, path: str | Path) -> None:
        """Write the gains of the last run, in a thread.

        Args:
            path: By convention `NAME.gains.h5`.
        """
        with self._refusing():
            if self.current is None:
                raise InputError("there are no gains to save: run first")
            self._start(_saving(self.current, path), "saving the gains")

    def _begin(self, *, whole):
        layer = self.parts["layer"].value
        with self._refusing():
            data, dropped = self._pixels(layer)
            axes = self.parts["axes"].value.strip().upper()
            at = None if whole else self.visible(layer)
            run = RemoteRun(self._process, self.request(), data, axes, at=at, name=layer.name)
            self._look = look_of(layer, f"{layer.name} {'denoised' if whole else 'preview'}")
            self.current, self.added = run, None
            self._start(_working(run, dropped), "starting")

    def _pixels(self, layer):
        if layer is None:
            raise InputError("expected an image layer: open or drop one, or take File, Open Sample, GainTuning")
        return pixels_of(layer)

    def _start(self, work, words):
        """Do the work of a generator in napari's thread; what it returns is said."""
        from napari.qt.threading import create_worker

        def working():
            return (yield from work)

        connected = {"yielded": self._frame_done, "returned": self._say, "finished": self._finished}
        self._busy(True)
        self.parts["doing"].value = words
        self._show("")
        self._worker = create_worker(working, _connect=connected, _start_thread=False)
        self._worker.start()
        self._timer.start()

    def _frame_done(self, number):
        """Show a frame that is done: in a layer of its own, which the first one adds."""
        run = self.current
        if run is None or run.image is None:
            return
        if self.added is None:
            self.added = self._add(run)
        else:
            self.added.refresh()

    def _add(self, run):
        look = run.placed(self._look)
        former = [layer for layer in self.viewer.layers if layer.name == look["name"]]
        # A preview takes the place of the one before; results stay.
        for layer in former if run.is_preview else []:
            self.viewer.layers.remove(layer)
        asked = self.parts["layer"].value
        added = self.viewer.add_image(run.image, **look)
        self.parts["layer"].value = asked
        return added

    def _show(self, words):
        """Show words below the buttons, in as many lines as they take in a dock of this width."""
        label = self.parts["said"].native
        self.parts["said"].value = words
        height = label.heightForWidth(label.width()) if words else 0
        # The row that it stands in does not ask it how high it is.
        for part in (label, label.parentWidget()):
            part.setMinimumHeight(height)

    def _say(self, lines):
        self._show("\n".join(lines))
        if self.added is not None and self.current is not None and self.current.done:
            self.added.metadata["gaintuning"] = {"summary": list(lines)}

    def _finished(self):
        self._worker = None
        self._timer.stop()
        self.parts["bar"].value = 0
        self.parts["doing"].value = ""
        self._busy(False)

    def _show_progress(self):
        progress = self.current.progress if self.current is not None else None
        if progress is not None and progress.words:
            self.parts["bar"].value = round(100 * progress.share)
            self.parts["doing"].value = progress.words

    def _busy(self, busy):
        """Let only that be asked for which can be done now."""
        parts = self.parts
        there = parts["layer"].value is not None and not busy
        for name in ("preview", "run", "find_noise"):
            parts[name].enabled = there
        parts["stop"].enabled = busy
        parts["save"].enabled = not busy and self.current is not None and bool(self.current.done)

    @contextlib.contextmanager
    def _refusing(self) -> Iterator[None]:
        """Say in the dock why something cannot be done, in one line."""
        try:
            yield
        except InputError as error:
            self._show(f"Error: {error}")

    def _ask_where_to_save(self, clicked=True):
        from magicgui.application import use_app

        ask = use_app().get_obj("show_file_dialog")
        path = ask("w", "Save gains", "image.gains.h5", "Gains (*.gains.h5)", self.container.native)
        if path:
            self.save_gains(path)


def _working(run, dropped) -> Iterator[int]:
    """Do a run; returns what is to be said of it."""
    try:
        yield from run
    except InputError as error:
        return [f"Error: {error}"]
    return run.summary + ([f"{dropped.capitalize()}."] if dropped else [])


def _noise_words(frames, at) -> Iterator[int]:
    """Look at the noise; returns what is to be said of it."""
    try:
        return [f"Noise of this slice: {found_noise(frames, at)}."]
    except InputError as error:
        return [f"Error: {error}"]
    yield


def _saving(run, path) -> Iterator[int]:
    """Save the gains; returns what is to be said of it."""
    try:
        return run.save_gains(path)
    except InputError as error:
        return [f"Error: {error}"]
    yield


def _path(value):
    """Give the path in a field, None if there is none: an empty field is `.`."""
    return Path(value) if value and str(value) not in ("", ".") else None


def _widgets(layers) -> tuple[Any, dict[str, Any]]:
    """Make the widgets, one below the other, narrow enough for a dock."""
    from magicgui import widgets as w

    names = [*CHOSEN, *list_denoisers(), FILE, FOLDER]
    tip = "A letter per axis, from the left: T time, Z depth, C channel, Y, X"
    parts: Sequence[Any] = (
        w.ComboBox(name="layer", choices=layers, tooltip="The noisy image, movie or volume"),
        w.LineEdit(name="axes", tooltip=tip),
        w.ComboBox(name="network", choices=names, value="auto", tooltip="auto chooses by colours, noise and size"),
        w.FileEdit(name="file", label=" ", tooltip=".keras, .h5, SavedModel, CSBDeep, bioimage.io"),
        w.ComboBox(name="noise", choices=list(NOISE)),
        w.FloatSpinBox(name="sigma", value=25, min=0, max=1e9, step=0.1, tooltip="In the units of the layer"),
        w.ComboBox(name="steps", choices=STEPS, tooltip="Steps of tuning, for each frame"),
        w.FileEdit(name="gains", label="gains", filter="*.gains.h5", tooltip="Gains to start from; may be empty"),
        _row(w, "find_noise", "preview", texts=("Find noise", "Preview slice")),
        _row(w, "run", "stop", texts=("Run", "Stop")),
        w.ProgressBar(name="bar", label=" ", min=0, max=100, value=0),
        w.Label(name="doing", label=" "),
        w.PushButton(name="save", text="Save gains …", label=" "),
        w.Label(name="said", label=" "),
    )
    box = w.Container(widgets=list(parts), labels=True, name="gaintuning")
    rows = [part for part in parts if isinstance(part, w.Container)]
    named = {part.name: part for part in (*parts, *(button for row in rows for button in row))}
    _make_narrow(box, named)
    return box, named


def _row(widgets, *names, texts):
    buttons = [widgets.PushButton(name=name, text=text) for name, text in zip(names, texts, strict=True)]
    row = widgets.Container(widgets=buttons, layout="horizontal", labels=False, label=" ")
    row.margins = (0, 0, 0, 0)
    return row


def _make_narrow(box, parts):
    """Let boxes and texts be as narrow as the dock: by default they are as wide as their longest line."""
    from qtpy.QtWidgets import QComboBox, QLabel, QSizePolicy

    texts = {part.label for part in box}
    labels = [label for label in box.native.findChildren(QLabel) if label.text() in texts]
    for label in labels:
        label.setMinimumWidth(max(each.sizeHint().width() for each in labels))
    for name in ("layer", "network", "noise", "steps"):
        combo = parts[name].native
        combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        combo.setMinimumContentsLength(10)
    for name in ("doing", "said"):
        label = parts[name].native
        label.setWordWrap(True)
        label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    box.native.layout().addStretch()
