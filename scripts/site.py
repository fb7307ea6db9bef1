"""Hooks of `make docs`: pages from outside docs/, and the links of the repository turned into the site's."""

from __future__ import annotations

import posixpath
import re
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\(([^()\s]+)\)")
SETTING = re.compile(r"(?:^(<p>)?|(?<=[.;] ))([a-z_]+(?:, [a-z_]+)*): (?=\S)", re.MULTILINE)
FENCE = re.compile(r"^(```.*?^```)", re.MULTILINE | re.DOTALL)


def pages() -> dict[str, str]:
    """Return where each file of the repository lies on the site; both paths are relative, with slashes."""
    found = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
    found |= {f"examples/{one.name}": f"examples/{one.stem}.md" for one in ROOT.glob("examples/*.py")}
    found |= {f"examples/{one.name}": f"examples/{one.name}" for one in ROOT.glob("examples/*.ipynb")}
    cards = ROOT.glob("bls_bench/tasks/*/README.md")
    found |= {_name(card): f"tasks/{card.parent.name}.md" for card in cards}
    results = [*ROOT.glob("results/tables/*.md"), *ROOT.glob("results/figures/*.png")]
    found |= {"results/README.md": "results/index.md", **{_name(one): _name(one) for one in results}}
    return found | {_name(one): _name(one)[5:] for one in ROOT.glob("docs/**/*") if one.is_file()}


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put pages in the place of the patterns in the navigation: those that no other entry names."""
    named = set(_named(config.nav))
    config.nav = _expanded(config.nav, sorted(set(pages().values()) - named))
    return config


def _named(entry: Any) -> list[str]:
    if isinstance(entry, str):
        return [entry]
    inner = entry.values() if isinstance(entry, dict) else entry
    return [name for one in inner for name in _named(one)]


def _expanded(entry: Any, free: list[str]) -> Any:
    if isinstance(entry, dict):
        return {title: _expanded(inner, free) for title, inner in entry.items()}
    if isinstance(entry, list):
        return [one for part in entry for one in _expanded_part(part, free)]
    return entry


def _expanded_part(part: Any, free: list[str]) -> list[Any]:
    if isinstance(part, str) and "*" in part:
        return [name for name in free if fnmatch(name, part) and name.count("/") == part.count("/")]
    return [_expanded(part, free)]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files from outside docs/."""
    for source, place in pages().items():
        if source.startswith("docs/"):
            continue
        if source.endswith(".py"):
            code = (ROOT / source).read_text()
            files.append(File.generated(config, place, content=f"# {source}\n\n```python\n{code}```\n"))
        else:
            files.append(File.generated(config, place, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn the links of a page, which are right in the repository, into those of the site."""
    sources = {place: source for source, place in pages().items()}
    source = sources[page.file.src_uri]
    return "".join(
        part if part.startswith("```") else LINK.sub(lambda link: moved(link, source), part)
        for part in FENCE.split(markdown)
    )


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Begin a line for each setting where a page shows docstrings, in which `name: text` begins one."""
    if page.file.src_uri not in ("reference.md", "api.md"):
        return html
    return SETTING.sub(lambda found: f"{found[1] or '<br>'}<strong>{found[2]}</strong>: ", html)


def moved(link: re.Match[str], source: str) -> str:
    """Return a link as it is on the site; what has no page there is named only.

    A link to nothing stays as it is, and `make docs` fails on it.
    """
    mark, text, target = link.groups()
    path, hash_, anchor = target.partition("#")
    if not path or ":" in path:
        return link[0]
    there = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
    places = pages()
    if there in places:
        relative = posixpath.relpath(places[there], posixpath.dirname(places[source]) or ".")
        return f"{mark}[{text}]({relative}{hash_}{anchor})"
    return text if (ROOT / there).exists() else link[0]
