"""The documents: their links lead somewhere, and the log has its index."""

import re
from pathlib import Path

import pytest

import gaintuning_tf

ROOT = Path(__file__).resolve().parents[1]
LOG = ROOT / "docs" / "log"
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "saved_models").rglob("*.md")]
ENTRIES = sorted(LOG.glob("20*.md"))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files_that_are_there(document):
    links = re.findall(r"\]\(([^)#\s]+)", document.read_text())
    missing = [link for link in links if "://" not in link and not (document.parent / link).exists()]
    assert not missing


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda path: path.stem)
def test_an_entry_of_the_log_has_its_date_and_its_parts_in_order(entry):
    text = entry.read_text()
    assert text.startswith(f"# {entry.name[:10]}: ")
    parts = re.findall(r"^\*(\w+)\.\*", text, re.M)
    assert parts[:5] == ["Question", "Command", "Machine", "Numbers", "Conclusion"]


def test_the_index_of_the_log_has_every_entry_once_newest_first():
    rows = re.findall(r"^\| ([\d-]+) \| \[(.+)\]\((.+)\) \| .+ \|$", (LOG / "README.md").read_text(), re.M)
    assert sorted(name for _, _, name in rows) == [entry.name for entry in ENTRIES]
    dates = [date for date, _, _ in rows]
    assert dates == sorted(dates, reverse=True)
    for date, title, name in rows:
        assert (LOG / name).read_text().startswith(f"# {date}: {title}\n")


def test_entries_of_the_log_that_code_names_are_there():
    sources = [file for folder in ("gaintuning_tf", "scripts", "tests") for file in (ROOT / folder).rglob("*.py")]
    named = {name for file in sources for name in re.findall(r"docs/log/(\d[\w-]*\.md)", file.read_text())}
    assert named
    assert named <= {entry.name for entry in ENTRIES}


def test_the_changelog_and_the_citation_have_the_version():
    version = gaintuning_tf.__version__
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
    assert re.search(rf"^## {re.escape(version)} - \d{{4}}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text(), re.M)
