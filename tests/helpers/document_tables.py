"""Tables in the documents that tests write: a row a kind, checked in every run, written with --write-tables."""

from __future__ import annotations

import re
from pathlib import Path


def marks(name: str) -> tuple[str, str]:
    """What encloses the table of a name."""
    return f"<!-- {name} table: begin -->", f"<!-- {name} table: end -->"


def rows_of(document: Path, name: str) -> dict[str, str]:
    """The rows of a table, by their first cells."""
    begin, end = marks(name)
    inside = document.read_text().partition(begin)[2].partition(end)[0]
    lines = [line for line in inside.splitlines() if line.startswith("| ")][1:]
    return {re.split(r" \| ", line)[0].removeprefix("| "): line for line in lines}


class DocumentTable:
    """Collects the rows of a table as its tests make them.

    Args:
        document: The document, in which the marks of the table are.
        name: That of the table.
        head: The cells of its head.
        kinds: The first cells of its rows, in order.
        write: Whether the table is written; otherwise each row is compared.
    """

    def __init__(self, document: Path, name: str, head: list[str], kinds: list[str], write: bool):
        self.document, self.name, self.head, self.kinds, self.write = document, name, head, kinds, write
        self.rows: dict[str, str] = {}

    def add(self, *cells: str) -> None:
        """Add a row; refuse it if the document has another."""
        self.rows[cells[0]] = f"| {' | '.join(cells)} |"
        if not self.write:
            known = rows_of(self.document, self.name).get(cells[0])
            assert known == self.rows[cells[0]], f"{self.document} is out of date: pytest {self.name} --write-tables"

    def finish(self) -> None:
        """Write the table; kinds that were not run keep their rows."""
        if not (self.write and self.rows):
            return
        begin, end = marks(self.name)
        rows = rows_of(self.document, self.name) | self.rows
        lines = [
            f"| {' | '.join(self.head)} |",
            "|" + "---|" * len(self.head),
            *(rows[k] for k in self.kinds if k in rows),
        ]
        before, _, rest = self.document.read_text().partition(begin)
        self.document.write_text("\n".join([f"{before}{begin}", *lines, f"{end}{rest.partition(end)[2]}"]))
