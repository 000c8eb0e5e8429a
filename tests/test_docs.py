"""The documents: their links lead somewhere, the log has its index, the site is built, the tutorials are current."""

import ast
import os
import re
import runpy
import shutil
import subprocess
import sys
import types

import pytest

import gaintuning_tf
from helpers.places import ROOT

LOG = ROOT / "docs" / "log"
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "saved_models").rglob("*.md")]
ENTRIES = sorted(LOG.glob("20*.md"))


def script_of_the_site(name):
    return types.SimpleNamespace(**runpy.run_path(str(ROOT / "scripts" / "site" / name)))


tutorials = script_of_the_site("tutorials.py")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files_that_are_there(document):
    text = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.M | re.S)
    links = re.findall(r"\]\(([^)#\s]+)", text)
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


@pytest.mark.parametrize("script", tutorials.scripts(), ids=lambda path: path.stem)
def test_the_page_of_a_tutorial_is_made_from_its_script(script):
    page = script.with_suffix(".md").read_text()
    assert page.endswith(tutorials.digest(script)), f"run python scripts/site/tutorials.py {script.stem}"
    pictures = re.findall(r"\((.*\.png)\)", page)
    assert sorted(pictures) == sorted(file.name for file in script.parent.glob(f"{script.stem}-*.png"))
    assert all((script.parent / name).stat().st_size < 150_000 for name in pictures)


@pytest.mark.parametrize("script", tutorials.scripts(), ids=lambda path: path.stem)
def test_what_a_tutorial_imports_is_there(script):
    for node in ast.walk(ast.parse(script.read_text())):
        if isinstance(node, ast.Import | ast.ImportFrom):
            exec(ast.unparse(node), {})


@pytest.mark.slow
@pytest.mark.parametrize("script", tutorials.scripts(), ids=lambda path: path.stem)
def test_a_tutorial_runs_and_prints_decibels(script, tmp_path):
    copy = tmp_path / script.name
    shutil.copy(script, copy)
    tutorials.write_page(copy)
    assert "dB" in copy.with_suffix(".md").read_text()


def test_a_tutorial_becomes_text_code_output_and_pictures(tmp_path):
    script = tmp_path / "small.py"
    script.write_text(
        "# %% [markdown]\n# # Title\n#\n# Text.\n\n# %%\nimport matplotlib.pyplot as plt\n\nx = 2\n\n"
        '# %%\nprint(x + 1)\nplt.figure("a line").gca().plot([0, 1])\n'
    )
    tutorials.write_page(script)
    page = script.with_suffix(".md").read_text()
    assert page.startswith(
        "# Title\n\nText.\n\n```python\nimport matplotlib.pyplot as plt\n\nx = 2\n```\n\n```python\n"
    )
    assert "\n\n```{.text .output}\n3\n```\n\n![a line](small-1.png)\n\n" in page
    assert (tmp_path / "small-1.png").is_file()


@pytest.mark.parametrize(
    ("link", "led"),
    [
        ("[changes](../CHANGELOG.md#unreleased)", "[changes](develop/changelog.md#unreleased)"),
        ("[card](../saved_models/unet-tem/README.md)", "[card](networks/unet-tem.md)"),
        ("[with `[keras2]`](guides/networks.md)", "[with `[keras2]`](guides/networks.md)"),
        ("[the script](../scripts/reproduce.py)", "the script"),
        ("[elsewhere](https://keras.io)", "[elsewhere](https://keras.io)"),
    ],
)
def test_links_lead_to_pages_of_the_site(link, led):
    pytest.importorskip("mkdocs", reason="needs the extra [docs]")
    page = types.SimpleNamespace(file=types.SimpleNamespace(src_uri="movies.md"))
    assert script_of_the_site("repository_pages.py").on_page_markdown(link, page, None, None) == led


def test_the_site_is_built_without_a_warning(tmp_path):
    pytest.importorskip("mkdocs", reason="needs the extra [docs]")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path / "site"]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    site = tmp_path / "site"
    losses = (site / "api" / "losses.html").read_text()
    assert 'id="gaintuning_tf.CoupledBootstrap"' in losses
    assert '<span class="gp">' in losses and "<blockquote>" not in losses, "examples are code"
    for page in site.rglob("*.html"):
        loaded = re.findall(r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=\"?(https?:[^\s\">]+)", page.read_text())
        assert not loaded, f"{page.name} loads {loaded[0]}"
