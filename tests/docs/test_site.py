"""The site: built without a warning, every page in the navigation."""

import subprocess
import sys
from html.parser import HTMLParser
from urllib.parse import urldefrag

import pytest

from .helpers import ROOT

pytest.importorskip("mkdocs")


class Anchors(HTMLParser):
    """Collects the links and the names of a page."""

    def __init__(self, page):
        super().__init__()
        self.links, self.names = [], set()
        self.feed(page.read_text())

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.names |= {found[name] for name in ("id", "name") if found.get(name)}
        self.links += [found[name] for name in ("href", "src") if found.get(name)]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "WARNING  -" not in done.stderr
    return folder


def test_every_link_leads_to_a_page_and_a_heading_of_the_site(site):
    pages = {page: Anchors(page) for page in site.rglob("*.html")}
    assert len(pages) > 50
    for page, found in pages.items():
        if page.name == "404.html":
            continue
        for link in found.links:
            target, anchor = urldefrag(link)
            if ":" in target or link.startswith("data:"):
                continue
            there = (page.parent / target).resolve() if target else page
            assert there.exists(), f"{page.relative_to(site)} links to {link}"
            if anchor and there in pages and not anchor.startswith("__"):
                assert anchor in pages[there].names, f"{page.relative_to(site)} links to {link}"


def test_nothing_is_loaded_from_another_host(site):
    for page in site.rglob("*.html"):
        text = page.read_text()
        assert 'src="http' not in text
        assert 'rel="stylesheet" href="http' not in text


def test_the_pages_from_outside_docs_are_there(site):
    for name in ("index", "contributing", "changelog", "results/index", "tasks/detection", "examples/plain"):
        assert (site / f"{name}.html").exists()
    assert (site / "images" / "kept.png").exists()
