#!/usr/bin/env python
"""Run the tutorials and write their pages: text, code, what it prints, and what it draws.

    python scripts/site/tutorials.py                # all of docs/tutorials
    python scripts/site/tutorials.py photograph     # one

A tutorial is a script in cells, `# %%` before code and `# %% [markdown]` before text. Its
page lies beside it and ends with the digest of the script that it was made from.
"""

import argparse
import contextlib
import hashlib
import io
import re
from pathlib import Path

TUTORIALS = Path(__file__).resolve().parents[2] / "docs" / "tutorials"
# Dots per inch, and colours of a picture: as small as a page wants them.
DPI, COLOURS = 80, 64


def main():
    """Run the tutorials that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="of scripts in docs/tutorials, without .py")
    args = parser.parse_args()
    for script in scripts():
        if not args.names or script.stem in args.names:
            print(script.stem, flush=True)
            write_page(script)


def scripts():
    """The tutorials' scripts, by name."""
    return sorted(TUTORIALS.glob("*.py"))


def digest(script):
    """What the last line of the page of a script must be."""
    return f"<!-- made from {script.name}, sha256 {hashlib.sha256(script.read_bytes()).hexdigest()[:16]} -->\n"


def cells(text):
    """The cells of a script, in order: whether it is text, and what is in it."""
    for head, body in re.findall(r"^# %%([^\n]*)\n(.*?)(?=^# %%|\Z)", text, re.M | re.S):
        is_text = "[markdown]" in head
        yield is_text, re.sub(r"^# ?", "", body, flags=re.M).strip() if is_text else body.strip()


def write_page(script):
    """Run a script, and write its page and pictures beside it."""
    import matplotlib

    matplotlib.use("Agg")
    for picture in script.parent.glob(f"{script.stem}-*.png"):
        picture.unlink()
    namespace, parts, pictures = {"__name__": "__main__"}, [], []
    for is_text, body in cells(script.read_text(encoding="utf-8")):
        parts += [body] if is_text else _run(body, namespace, script, pictures)
    parts += [f"The script: [{script.name}]({script.name}).", digest(script)]
    script.with_suffix(".md").write_text("\n\n".join(parts), encoding="utf-8")


def _run(code, namespace, script, pictures):
    """Run one cell; return the parts of the page: the code, its output, its pictures."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, f"a cell of {script.name}", "exec"), namespace)
    parts = [f"```python\n{code}\n```"]
    if printed.getvalue().strip():
        parts.append(f"```{{.text .output}}\n{printed.getvalue().rstrip()}\n```")
    return parts + _drawn(script, pictures)


def _drawn(script, pictures):
    """Save the figures that are open; return the lines that show them."""
    from matplotlib import pyplot as plt
    from PIL import Image

    shown = []
    for number in plt.get_fignums():
        figure, data = plt.figure(number), io.BytesIO()
        pictures.append(script.with_name(f"{script.stem}-{len(pictures) + 1}.png"))
        figure.savefig(data, dpi=DPI, bbox_inches="tight")
        Image.open(data).convert("RGB").quantize(COLOURS).save(pictures[-1], optimize=True)
        shown.append(f"![{figure.get_label()}]({pictures[-1].name})")
        plt.close(figure)
    return shown


if __name__ == "__main__":
    main()
