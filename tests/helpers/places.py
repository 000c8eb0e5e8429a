"""Where things are that tests look at."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests"
SHARED = ROOT.parent / "shared"
README = ROOT / "README.md"
# The table of layer kinds that tests write, and what encloses it in its page.
LAYER_KINDS = ROOT / "docs" / "explained" / "gains.md"
BEGIN, END = "<!-- surgery table: begin -->", "<!-- surgery table: end -->"
