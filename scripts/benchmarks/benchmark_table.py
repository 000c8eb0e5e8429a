"""What `benchmark.py` measured, beside its targets: as a table, and as plots."""

import numpy as np

NETWORKS = {"DnCNN": "dncnn_bias_0-55", "UNet": "unet_bias_0-55"}


def median(values):
    return float(np.median(values))


def rows_of(found):
    """For each target a row: what, measured, asked, and whether it is met."""
    makers = {
        "race": _race_rows,
        "steps": _step_rows,
        "sizes": _size_rows,
        "memory": _memory_rows,
        "batch": _batch_rows,
        "waits": _wait_rows,
        "folded": _folded_rows,
    }
    return [row for name, make in makers.items() if name in found for row in make(found[name])]


def _race_rows(found):
    for sigma, share in (("30", 0.06), ("70", 0.04)):
        rows = [row for row in found[sigma] if row["reached"]]
        shares = [row["reached"] / row["peer"]["seconds"] for row in rows]
        value = max(shares) if len(shares) < len(found[sigma]) else median(shares)
        if len(rows) < len(found[sigma]):
            value = float("inf")
        detail = ", ".join(
            f"{row['reached'] or float('nan'):.1f} of {row['peer']['seconds']:.0f} s" for row in found[sigma]
        )
        yield (
            f"time to the peer's PSNR, DnCNN, 256x256, sigma {sigma}",
            f"{value:.3f} of its time ({detail})",
            f"{share}",
            value <= share,
        )


def _step_rows(found):
    for network in NETWORKS:
        ours, peer = found[network]["ours"], found[network]["peer"]
        text = f"{peer / ours:.2f} times as fast ({ours:.2f} against {peer:.2f} s)"
        yield f"step of SURE, {network}, 256x256", text, "2.5 times", peer / ours >= 2.5
    for network in NETWORKS:
        share = found[network]["operations"] / found[network]["ours"] / found["peak"]
        text = f"{share:.0%} of {found['peak'] / 1e9:.0f} GFLOP/s"
        yield f"share of the matrix product's peak, {network}", text, "60 %", share >= 0.6


def _size_rows(found):
    ratio = found["2048"]["tuning"] / found["512"]["tuning"]
    text = f"{ratio:.2f} ({found['2048']['tuning']:.1f} against {found['512']['tuning']:.1f} s)"
    yield "tuning time, 2048x2048 against 512x512, UNet", text, "1.5", ratio <= 1.5
    if "psnr" in found["2048"]:
        quality = found["2048"]["psnr"]
        lost, gained = quality["every"] - quality["windows"], quality["windows"] - quality["pretrained"]
        yield (
            "lost against tuning on every pixel, 2048x2048",
            f"{lost:.3f} dB (gained {gained:.3f})",
            "0.03 dB",
            lost <= 0.03,
        )


def _memory_rows(found):
    text = f"{found['peak'] / 1e9:.2f} GB ({found['seconds']:.0f} s, {found['steps']} steps)"
    yield "peak memory, DnCNN, 2048x2048, tuned and denoised", text, "3 GB", found["peak"] < 3e9


def _batch_rows(found):
    ratio = found["one by one"] / found["batch"]
    text = f"{ratio:.2f} times the throughput ({found['batch']:.1f} against {found['one by one']:.1f} s)"
    yield "16 frames of 128x128 as one batch, UNet", text, "1.5 times", ratio >= 1.5
    yield (
        "the same: largest difference of the results",
        f"{found['difference']:.1e}",
        "1e-4",
        found["difference"] <= 1e-4,
    )


# Seconds that were asked, by what is waited for, and what it is called.
_ASKED = {
    "256": ("256x256, `unet-bf-natural`", 7),
    "512": ("512x512, the default network", 20),
    "512 unet": ("512x512, `unet-bf-natural`", None),
    "real": ("512x512, a micrograph with correlated noise", None),
}


def _wait_rows(found):
    for name, (words, limit) in _ASKED.items():
        if name in found:
            yield from _fresh_rows(f"`gaintuning-tf denoise`, {words}, fresh process", found[name], limit)
    if "256 folder" in found and "256" in found:
        each = {
            version: (found["256 folder"][version]["seconds"] - found["256"][version]["seconds"]) / 2
            for version in found["256"]
            if version != "bm3d"
        }
        text = f"{each['ours']:.1f} s" + (f" ({each['before']:.1f} s before)" if "before" in each else "")
        yield "the second and third image of a folder, each", text, "2.5 s", each["ours"] <= 2.5
    if "512" in found:
        peak = found["512"]["ours"]["peak"]
        yield "its peak memory, 512x512, the default network", f"{peak / 1e9:.2f} GB", "1.5 GB", peak <= 1.5e9


def _fresh_rows(words, found, limit):
    ours, before, bm3d = (found.get(name) for name in ("ours", "before", "bm3d"))
    text = f"{ours['seconds']:.1f} s, {ours['psnr']:.2f} dB"
    if before:
        text += f" (before: {before['seconds']:.1f} s, {before['psnr']:.2f} dB)"
    if limit:
        yield words, text, f"{limit} s", ours["seconds"] <= limit
    text += f"; BM3D {bm3d['seconds']:.1f} s, {bm3d['psnr']:.2f} dB"
    met = ours["seconds"] <= bm3d["seconds"] and ours["psnr"] >= bm3d["psnr"]
    yield f"{words}, against BM3D", text, "faster, and better", met


def _folded_rows(found):
    for network, times in found.items():
        ratio = times["folded"] / times["untouched"]
        text = f"{ratio:.2f} of its time ({times['folded'] * 1e3:.0f} against {times['untouched'] * 1e3:.0f} ms)"
        yield f"pass with folded gains against the untouched network, {network}", text, "1 (to 5 %)", ratio <= 1.05


def markdown(rows):
    lines = ["| what | measured | target | met |", "|---|---|---|---|"]
    return "\n".join(
        [*lines, *(f"| {what} | {text} | {target} | {'yes' if met else 'no'} |" for what, text, target, met in rows)]
    )


def plot(found, folder):
    """Time against size, and PSNR against time, as PNG files."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    if "sizes" in found:
        figure, axis = pyplot.subplots(figsize=(6, 4), layout="constrained")
        sides = [side for side in ("256", "512", "1024", "2048") if side in found["sizes"]]
        for key, name in (("tuning", "ours, tuning"), ("peer", "peer, 40 steps"), ("bm3d", "BM3D")):
            points = [(int(side), found["sizes"][side][key]) for side in sides if key in found["sizes"][side]]
            if points:
                axis.loglog(*zip(*points, strict=True), "o-", label=name, base=2)
        axis.set(xlabel="side of the image, pixels", ylabel="seconds", title="UNet, sigma 30")
        axis.set_xticks([int(side) for side in sides], sides)
        axis.grid(alpha=0.3)
        axis.legend()
        figure.savefig(folder / "time-by-size.png", dpi=120)
    for sigma, rows in found.get("race", {}).items():
        figure, axis = pyplot.subplots(figsize=(6, 4), layout="constrained")
        row = rows[0]
        for name in ("ours", "peer"):
            axis.plot(*zip(*row[name]["curve"], strict=True), "o-", markersize=3, label=name)
        if row["bm3d"]:
            axis.plot(row["bm3d"]["seconds"], row["bm3d"]["psnr"], "s", label="BM3D")
        axis.axhline(row["peer"]["psnr"], color="grey", linewidth=0.7, linestyle=":")
        axis.set(xlabel="seconds", ylabel="PSNR, dB", title=f"DnCNN, {row['image']} of Set12, sigma {sigma}")
        axis.grid(alpha=0.3)
        axis.legend()
        figure.savefig(folder / f"psnr-by-time-{sigma}.png", dpi=120)
