"""Where things are that tests look at."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests"
SHARED = ROOT.parent / "shared"
README = ROOT / "README.md"
# What encloses the table in the README that tests write.
BEGIN, END = "<!-- surgery table: begin -->", "<!-- surgery table: end -->"
