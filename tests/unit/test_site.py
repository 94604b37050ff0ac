"""The site of docs/: it builds, every link leads somewhere, and it needs no other host."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from support.pages import ROOT

# What a browser fetches when it shows a page. A link is only followed by a reader.
FETCHED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "true"},
        capture_output=True,
        text=True,
        check=False,
    )
    # Strict: a page that is not in the navigation, a link or an anchor that leads nowhere.
    assert built.returncode == 0, built.stderr
    return folder


class Fetches(HTMLParser):
    """The addresses that a page makes a browser fetch."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        address = dict(attrs).get(FETCHED.get(tag, ""))
        if address and dict(attrs).get("rel") != "canonical":
            self.found.append(address)


def fetched(site: Path) -> Iterator[str]:
    for page in site.rglob("*.html"):
        yield from Fetches(page.read_text(encoding="utf-8")).found
    for style in site.rglob("*.css"):
        text = style.read_text(encoding="utf-8")
        yield from re.findall(r"""(?:url\(|@import\s+)["']?([^"')\s]+)""", text)


def test_no_page_fetches_from_another_host(site: Path) -> None:
    addresses = set(fetched(site))
    assert len(addresses) > 10
    assert [one for one in addresses if re.match(r"(https?:)?//", one)] == []
    # The theme would load a library from another host to draw such a block.
    drawn = [page for page in site.rglob("*.html") if 'class="mermaid"' in page.read_text("utf-8")]
    assert drawn == []


def test_search_finds_what_pages_say(site: Path) -> None:
    index = json.loads((site / "search" / "search_index.json").read_text(encoding="utf-8"))
    pages = {entry["location"].partition("#")[0] for entry in index["docs"]}
    assert pages == {str(page.relative_to(site)) for page in site.rglob("*.html")} - {"404.html"}
    found = [entry["location"] for entry in index["docs"] if "_rescued_data" in entry["text"]]
    assert any(location.startswith("autoloader.html") for location in found)


def test_a_list_is_shown_as_a_list(site: Path) -> None:
    """The site needs an empty line before a list, as other readers of Markdown do not."""
    text = "".join(page.read_text(encoding="utf-8") for page in site.rglob("*.html"))
    assert re.findall(r"<p>[^<]*(?:<(?!/p>)[^<]*)*\n(?:[*-]|\d+\.) [^<\n]{0,80}", text) == []
