"""What both examples of docs/guides/microscopy.md share: commands, movies, tables."""

import contextlib
import io
import json
import sys
import time
from pathlib import Path

import numpy as np
import tifffile


def fail(message):
    """End the program with one line."""
    print(f"error: {message}", file=sys.stderr)
    raise SystemExit(2)


def denoise(movie, output, *options):
    """Run `gaintuning-tf denoise MOVIE -o OUTPUT --axes TYX --dtype float32 ... --json`, unless it has been.

    Returns:
        The denoised movie, and the command's JSON with `command`, as a user would type it.

    Raises:
        SystemExit: The command failed.
    """
    from gaintuning_tf.cli.program import main

    output = Path(output)
    kept = output.with_suffix(".json")
    command = ["denoise", str(movie), "-o", str(output), "--axes", "TYX", "--dtype", "float32", *options]
    if not kept.exists():
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            status = main([*command, "--json"])
        if status:
            fail(f"expected this command to succeed: gaintuning-tf {' '.join(command)}")
        kept.write_text(json.dumps(json.loads(said.getvalue()) | {"command": f"gaintuning-tf {' '.join(command)}"}))
    return tifffile.imread(output).astype(np.float64), json.loads(kept.read_text())


def computed(output, movie, method):
    """The same of a function of one frame, with `seconds` only."""
    output = Path(output)
    kept = output.with_suffix(".json")
    if not kept.exists():
        start = time.perf_counter()
        frames = np.stack([method(frame) for frame in movie]).astype(np.float32)
        write_movie(output, frames)
        kept.write_text(json.dumps({"seconds": round(time.perf_counter() - start, 2)}))
    return tifffile.imread(output).astype(np.float64), json.loads(kept.read_text())


def write_movie(path, frames, *, pixel=None):
    """A TIFF that ImageJ opens as a movie; `pixel` is the size of one in nm."""
    size = {} if pixel is None else {"resolution": (1 / pixel, 1 / pixel)}
    more = {} if pixel is None else {"unit": "nm"}
    tifffile.imwrite(path, frames, imagej=True, metadata={"axes": "TYX", **more}, **size)


def write_tables(work, name, tables):
    """Tables, lists of rows by title, as WORK/NAME.md and NAME.json."""
    parts = []
    for title, rows in tables.items():
        columns = list(dict.fromkeys(key for row in rows for key in row))
        lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
        lines += ["| " + " | ".join(str(row.get(column, "")) for column in columns) + " |" for row in rows]
        parts += [f"## {title}", "", *lines, ""]
    (Path(work) / f"{name}.md").write_text("\n".join(parts))
    (Path(work) / f"{name}.json").write_text(json.dumps(tables, indent=1))
    print("\n".join(parts))
