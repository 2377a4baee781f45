"""Every source that the code cites is in docs/references.bib, and the file is well kept."""

from __future__ import annotations

import io
import re
import tokenize
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BIBLIOGRAPHY = (ROOT / "docs" / "references.bib").read_text(encoding="utf-8")
KEYS = re.findall(r"^@\w+\{([^,\s]+),", BIBLIOGRAPHY, re.MULTILINE)
NAME = r"[A-ZÀ-ÞĀ-Ž][\w'’-]+"
# "Guo et al. 2018", "Guo, Hašan and Zhao 2018", "Henyey and Greenstein 1941", "Heitz 2014"
CITATION = re.compile(
    rf"\b({NAME})(?:,? et al\.|(?:, {NAME})*,? (?:and|&) {NAME})?,? \(?((?:18|19|20)\d\d)[a-z]?\b"
)
MONTHS = set("January February March April May June July August September October".split())
MONTHS |= {"November", "December"}
FILES = sorted(p for folder in ("engine", "plugins") for p in (ROOT / folder).rglob("*.py"))


def citations(text: str) -> Iterator[str]:
    """Bibliography keys of the sources cited in a piece of prose."""
    for surname, year in CITATION.findall(" ".join(text.split())):
        if surname not in MONTHS:
            plain = unicodedata.normalize("NFKD", surname).encode("ascii", "ignore").decode()
            yield plain.lower() + year


def prose(source: str) -> str:
    """Docstrings and comments of a module (every string and comment token)."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    kinds = (tokenize.STRING, tokenize.COMMENT)
    return " ; ".join(t.string.lstrip("# ") for t in tokens if t.type in kinds)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_citations_are_in_the_bibliography(path: Path) -> None:
    missing = sorted(set(citations(prose(path.read_text(encoding="utf-8")))) - set(KEYS))
    assert not missing, f"not in docs/references.bib: {', '.join(missing)}"


def test_bibliography_is_sorted_without_doubles() -> None:
    assert KEYS == sorted(set(KEYS))


def test_keys_match_author_and_year() -> None:
    entries = re.split(r"^@\w+\{", BIBLIOGRAPHY, flags=re.MULTILINE)[1:]
    assert len(entries) == len(KEYS)
    for key, entry in zip(KEYS, entries, strict=True):
        author = re.search(r"author = \{([^,}]+)", entry)
        year = re.search(r"year = \{(\d{4})\}", entry)
        assert author, key
        assert year, key
        assert next(citations(f"{author[1]} {year[1]}")) == key


def test_forms_of_citation() -> None:
    text = "After Guo, Hašan and Zhao 2018; (Zeltner et al. 2024, Eq. 3), Hašan (2010), May 2020"
    assert list(citations(text)) == ["guo2018", "zeltner2024", "hasan2010"]
