"""A hook of mkdocs: pages that lie outside docs/, and links that lead out of it.

README.md is the first page, and the model cards, the changelog and the rules for
contributions are pages, too. A link to a file that is no page becomes its label.
"""

import os
import re
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[2]
# The label may have brackets in it, as `[keras2]` has.
LINK = re.compile(r"(!?\[(?:[^\[\]]|\[[^\]]*\])*\])\(([^)#\s]+)(#[^)\s]*)?\)")
# Where a file of the repository is found on the site.
PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "develop/changelog.md",
    "CONTRIBUTING.md": "develop/contributing.md",
    **{f"saved_models/{card.parent.name}/README.md": f"networks/{card.parent.name}.md"
       for card in sorted((ROOT / "saved_models").glob("*/README.md"))},
}  # fmt: skip
SOURCES = {page: source for source, page in PAGES.items()}


def on_files(files, config):
    """Add the pages that lie outside docs/."""
    for source, page in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown, page, config, files):
    """Let links lead to pages of the site, whichever place in the repository they name."""
    here = page.file.src_uri
    source = Path(SOURCES.get(here, f"docs/{here}"))
    return LINK.sub(lambda link: _led(link, source.parent, os.path.dirname(here)), markdown)


def _led(link, folder, here):
    label, target, anchor = link[1], link[2], link[3] or ""
    named = os.path.normpath(folder / target)
    if "://" in target or not (ROOT / named).exists():
        return link[0]
    page = PAGES.get(named, os.path.relpath(named, "docs"))
    if page.startswith(".."):
        return label[1:-1]
    return f"{label}({os.path.relpath(page, here or '.')}{anchor})"
