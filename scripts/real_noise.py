"""The tables of docs/measured/real-noise.md: `reproduce.py real-noise`, which has the options.

Eight real noisy images with their references, whole, of colour the green channel, 8 bits in and out: the network as it
is, tuned under three noise models, and BM3D. With --colour, the pictures of them in colour. A JSON file for each image
and method lies in --work, beside it what was made of the image.
"""

import json
import time
from pathlib import Path

import numpy as np

DOCS = Path(__file__).resolve().parents[1] / "docs" / "measured"
# In the order in which they are measured, for BM3D is told what auto has found; and how they are called.
METHODS = {
    "noisy": "noisy",
    "pretrained": "pretrained",
    "gaussian": "UNet, `gaussian`",
    "poisson-gaussian": "UNet, `poisson-gaussian`",
    "auto": "`auto`, the default",
    "bm3d": "BM3D, told the same noise",
    "bm3d-channels": "BM3D, channel by channel, told the same noise",
    "bm3d-sigma": "BM3D, told sigma",
}
# What the default was, with the network that it took: measured last.
FORMER, FORMER_NETWORK = ("gaussian", "poisson-gaussian"), "unet-bf-natural"
# Whose seconds the table has.
TIMED = ("auto", "gaussian", "bm3d")
# What the picture has, and how it is called there.
SHOWN = {"noisy": "noisy", "pretrained": "pretrained", "auto": "tuned", "bm3d": "BM3D", "clean": "clean"}
# Pixels of a picture's side.
WINDOW = 128
# Of one channel, there are no others.
IN_COLOUR = ("bm3d-channels",)


def measure(options):
    """Measure each image by each method that is not there yet: the default and its peers first."""
    for method in methods(options):
        for name, noisy, clean in images(options):
            out = place(options, name, method)
            if out.exists():
                continue
            denoised, facts = make(method, noisy, name, options)
            row = {"image": name, "method": method, **scores(clean, denoised), **facts}
            np.save(out.with_suffix(".npy"), denoised)
            partial = out.with_suffix(".partial")
            partial.write_text(json.dumps(row, indent=1))
            partial.replace(out)
            print(f"{name:>44} {method:>18} {row['psnr']:.2f} dB {row.get('seconds', 0):.1f} s", flush=True)


def methods(options):
    """In the order in which they are measured; in colour, the default and its peers."""
    first = [method for method in METHODS if method not in FORMER and (options.colour or method not in IN_COLOUR)]
    return first if options.colour else [*first, *FORMER]


def images(options):
    """Yield the name, the noisy and the clean image of each pair, (H, W) uint8, or (H, W, 3) of those in colour."""
    from gaintuning_tf.images.files import image_files, load_image

    folder = Path(options.shared) / "data" / "real"
    for file in image_files(folder / "noisy")[: options.limit]:
        pair = [load_image(path) for path in (file, folder / "clean" / file.name)]
        if options.colour and pair[0].ndim == 2:
            continue
        green = [image if options.colour or image.ndim == 2 else image[..., 1] for image in pair]
        yield file.stem, *[cropped(image, options.crop) for image in green]


def cropped(image, side):
    """The middle of an image; all of it for None."""
    if side is None:
        return image
    top, left = ((length - side) // 2 for length in image.shape[:2])
    return image[max(top, 0) :, max(left, 0) :][:side, :side]


def place(options, name, method):
    more = f"-{options.crop}" * bool(options.crop) + "-colour" * options.colour
    folder = Path(options.work) / f"real-noise-{Path(options.network).stem}{more}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{name}.{method}.json"


def make(method, noisy, name, options):
    """The denoised image in 8 bits, and what is to be said of it."""
    if method == "noisy":
        return noisy, {}
    if method.startswith("bm3d"):
        return by_bm3d(method, noisy, json.loads(place(options, name, "auto").read_text())["noise"])
    return by_network(method, noisy, options.network)


def by_network(method, noisy, network):
    """The network as it is, or tuned, with what was found."""
    from gaintuning_tf import gaintune

    how = {"steps": 0} if method == "pretrained" else {"noise": method}
    network = FORMER_NETWORK if method in FORMER else network
    # Once for what has to be compiled, so that the seconds are those of any further image.
    gaintune(noisy, network, progress=False, **{"steps": 1, **how})
    start = time.perf_counter()
    result = gaintune(noisy, network, progress=False, **how)
    seconds, known = time.perf_counter() - start, result.noise
    return result.denoised, {
        "network": result.choice.name if result.choice else Path(network).stem,
        "noise": {"kind": type(known).__name__, **known.parameters()},
        "words": [one["words"] for one in result.evidence],
        "variance": mean_variance_of(known, noisy),
        **{key: float(result.history[key]) for key in ("risk_before", "risk_after")},
        "residual": result.residuals[0].words,
        "worse_than_input": bool(result.worse_than_input),
        "contrast": float(result.contrast),
        "seconds": round(seconds, 2),
    }


def by_bm3d(method, noisy, found):
    """BM3D with the noise that auto has found, or with the level alone."""
    from gaintuning_tf import noise as models
    from gaintuning_tf.evaluation.baselines import denoise_bm3d

    parameters = {key: value for key, value in found.items() if key not in ("kind", "noise_text")}
    known = getattr(models, found["kind"])(**parameters)
    if method == "bm3d-sigma":
        known = models.GaussianNoise(mean_variance_of(known, noisy) ** 0.5)
    start, noisy, known = time.perf_counter(), noisy / np.float32(255), known.scaled(1 / 255)
    if method in IN_COLOUR:
        each = [denoise_bm3d(noisy[..., c], of_channel(known, c)) for c in range(noisy.shape[-1])]
        denoised = np.stack(each, -1)
    else:
        denoised = denoise_bm3d(noisy, known)
    facts = {"noise_text": known.text(), "seconds": round(time.perf_counter() - start, 2)}
    return (255 * denoised).round().clip(0, 255).astype(np.uint8), facts


def of_channel(noise, channel):
    """The noise of one channel of colours."""
    if noise.correlation is None or noise.correlation.ndim == 2:
        return noise
    own = noise.correlation[..., channel, channel]
    share = own[own.shape[0] // 2, own.shape[1] // 2]
    (slope,), (intercept,) = noise.level(1)
    if slope == 0:
        return type(noise)((share * intercept) ** 0.5, correlation=own / share)
    return type(noise)(slope * share, max(share * intercept, 0) ** 0.5, max(-intercept, 0) / slope, own / share)


def mean_variance_of(noise, noisy):
    from gaintuning_tf.noise.residuals import mean_variance

    return mean_variance(noise, noisy)


def scores(clean, image):
    from gaintuning_tf import psnr, ssim

    error = float(np.mean(np.square(image.astype(np.float64) - clean)))
    alike = ssim(clean, image, data_range=255, channel_axis=-1 if clean.ndim == 3 else None)
    return {"psnr": psnr(clean, image, data_range=255), "ssim": alike, "mse": error}


def write(options):
    """Put the tables and the picture of what is in --work into the folder of the document."""
    found = {}
    for name, _, _ in images(options):
        rows = {method: place(options, name, method) for method in METHODS if method in methods(options)}
        if all(file.exists() for method, file in rows.items() if method not in FORMER):
            found[name] = {method: json.loads(file.read_text()) for method, file in rows.items() if file.exists()}
    if not found:
        raise SystemExit("expected at least one image that is measured by `auto` and its peers, found none")
    document = Path(options.docs) / "real-noise.md"
    mark = "real-noise" + "-colour" * options.colour
    begin, end = f"<!-- {mark}: begin -->", f"<!-- {mark}: end -->"
    text = document.read_text() if document.exists() else f"{begin}\n{end}\n"
    before, _, rest = text.partition(begin)
    # The crops are of images that are not the project's: they stay beside what was measured.
    draw(options, list(found), Path(options.work) / f"{mark}.png")
    if not options.colour:
        draw_noise(options, found, Path(options.docs) / "real-noise-found.png")
    document.write_text(f"{before}{begin}\n{markdown(found, options)}{end}{rest.partition(end)[2]}")


def markdown(found, options):
    """Both tables, and a link to the picture."""
    size = f"the {options.crop}x{options.crop} pixels in the middle" if options.crop else "whole images"
    lines = [f"Network `{Path(options.network).stem}`, {size}{', in colour' * options.colour}.", "", "PSNR in dB:", ""]
    columns = [method for method in METHODS if method in methods(options)]
    rows = [[name, *levels(rows, columns)] for name, rows in found.items()] + mean(found, columns)
    lines += table(["image", *(METHODS[method] for method in columns)], rows)
    lines += ["", "What `auto` found, and how its estimate of the squared error compares with the true one:", ""]
    head = [
        "image",
        "network",
        "noise",
        "sigma",
        "risk before",
        "true",
        "risk after",
        "true",
        *(f"s, {METHODS[m]}" for m in TIMED),
    ]
    lines += table(head, [[name, *told(rows)] for name, rows in found.items()])
    if options.colour:
        return "\n".join([*lines, ""])
    lines += ["", "![Found and true noise of each image](real-noise-found.png)", ""]
    lines += ["The correlation that was found and that of noisy less clean, both from -0.2 to 1; and the variance"]
    lines += ["by brightness, dots for noisy less clean, the line as it was found.", ""]
    shown = ", ".join(SHOWN.values())
    lines += [f"The command also draws crops of each image side by side, {shown}, into `real-noise.png` of --work.", ""]
    return "\n".join(lines)


def table(head, rows):
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in (head, *rows)]
    return [lines[0], "|" + "---|" * len(head), *lines[1:]]


def levels(rows, columns):
    return [f"{rows[method]['psnr']:.2f}" if method in rows else "" for method in columns]


def mean(found, columns):
    whole = {method for method in METHODS if all(method in rows for rows in found.values())}
    means = {method: np.mean([rows[method]["psnr"] for rows in found.values()]) for method in whole}
    return [["mean", *(f"{means[method]:.2f}" if method in whole else "" for method in columns)]]


def told(rows):
    auto = rows["auto"]
    errors = [auto["risk_before"], rows["pretrained"]["mse"], auto["risk_after"], auto["mse"]]
    seconds = [f"{rows[method]['seconds']:.0f}" if "seconds" in rows.get(method, {}) else "" for method in TIMED]
    words = dict.fromkeys(auto["words"])
    return [
        auto["network"],
        "; ".join(words),
        f"{auto['variance'] ** 0.5:.2f}",
        *(f"{error:.2f}" for error in errors),
        *seconds,
    ]


def draw(options, names, path):
    """Draw a row of crops for each image, where the clean one has most structure."""
    from gaintuning_tf.support.plotting import pyplot

    shown = {name: {"noisy": noisy, "clean": clean} for name, noisy, clean in images(options) if name in names}
    size = (2 * len(SHOWN), 2.2 * len(names))
    figure, axes = pyplot().subplots(len(names), len(SHOWN), figsize=size, layout="constrained", squeeze=False)
    for line, (name, known) in zip(axes, shown.items(), strict=True):
        window = busiest(known["clean"])
        limits = np.percentile(known["clean"][window], (0.5, 99.5))
        for axis, kind in zip(line, SHOWN, strict=True):
            image = known[kind] if kind in known else np.load(place(options, name, kind).with_suffix(".npy"))
            axis.imshow(image[window], cmap="gray", vmin=limits[0], vmax=limits[1], interpolation="nearest")
            axis.set(xticks=[], yticks=[])
        line[0].set_ylabel(name[:26], fontsize=7)
    for axis, title in zip(axes[0], SHOWN.values(), strict=True):
        axis.set_title(title, fontsize=9)
    figure.savefig(path, dpi=110)
    pyplot().close(figure)


def draw_noise(options, found, path):
    """Draw the noise of each image as it was found, and as noisy less clean has it."""
    from gaintuning_tf.support.plotting import pyplot

    figure, axes = pyplot().subplots(3, len(found), figsize=(1.6 * len(found), 5), layout="constrained", squeeze=False)
    for column, (name, noisy, clean) in zip(axes.T, images(options), strict=False):
        known, rest = found[name]["auto"]["noise"], noisy - clean.astype(np.float64)
        own = np.ones((1, 1)) if known["correlation"] is None else np.array(known["correlation"])
        for axis, lags in zip(column, (own, correlation_of(rest - rest.mean())), strict=False):
            wide = np.zeros((11, 11))
            margin = (11 - len(lags)) // 2
            wide[margin : 11 - margin, margin : 11 - margin] = lags
            axis.imshow(wide, vmin=-0.2, vmax=1, cmap="viridis")
            axis.set(xticks=[], yticks=[])
        groups = np.array_split(np.argsort(clean, axis=None), 12)
        points = [(clean.flat[group].mean(), rest.flat[group].var()) for group in groups]
        column[2].plot(*zip(*points, strict=True), "k.", markersize=4)
        column[2].plot(*zip(*((at, variance_at(known, at)) for at, _ in points), strict=True), "C1-")
        column[2].tick_params(labelsize=6)
        column[0].set_title(name[:18], fontsize=7)
    for axis, text in zip(axes[:, 0], ("found", "true", "variance"), strict=True):
        axis.set_ylabel(text, fontsize=8)
    figure.savefig(path, dpi=110)
    pyplot().close(figure)


def correlation_of(rest, radius=5):
    """The autocovariance over the variance, (2 radius + 1, 2 radius + 1)."""
    found = np.fft.irfft2(np.abs(np.fft.rfft2(rest)) ** 2, rest.shape) / rest.size
    return np.roll(found, (radius, radius), (0, 1))[: 2 * radius + 1, : 2 * radius + 1] / found[0, 0]


def variance_at(known, value):
    gain, sigma, offset = (known.get(name, 0.0) for name in ("gain", "sigma", "offset"))
    return gain * max(value - offset, 0) + sigma**2


def busiest(image):
    """The window whose gradient has the most energy, on a grid of half its side."""
    energy = sum(np.square(part) for part in np.gradient(image.astype(np.float64), axis=(0, 1)))
    side = min(WINDOW, *image.shape[:2])
    places = [
        (slice(top, top + side), slice(left, left + side))
        for top in range(0, image.shape[0] - side + 1, side // 2)
        for left in range(0, image.shape[1] - side + 1, side // 2)
    ]
    return max(places, key=lambda window: energy[window].sum())
