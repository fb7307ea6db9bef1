"""Write docs/reference.md: every part of every group, its settings and their defaults, from the code."""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path

import yaml

from bls_bench.config.compose import CONF_DIR
from bls_bench.config.registry import GROUPS, names, resolve
from bls_bench.config.schema import Root, Trainer

FILE = Path(__file__).parents[1] / "docs" / "reference.md"
HEAD = """# Reference

Every part and its settings, made from the code by `make reference`. On the command line a setting is
`GROUP.NAME=VALUE`, and an option is `GROUP=OPTION`, as `pruner=bls_seta`. Several options may use the same
part with other values.
"""


def main() -> None:
    FILE.write_text(page())
    print(f"{FILE} is written")


def page() -> str:
    """Return the text of the page."""
    parts = [HEAD, "## Settings without a group\n", described(Root), "## trainer\n", described(Trainer)]
    for group in GROUPS:
        parts.append(f"## {group}\n")
        for name in sorted(names(group)):
            parts += [f"### {name}\n", _options(group, name), described(resolve(group, name, ()))]
    return "\n".join(part for part in parts if part)


def described(cls: type) -> str:
    """Return the docstring of a part, and a table of its fields, where it has some."""
    text = inspect.cleandoc(cls.__doc__ or "") + "\n"
    fields = dataclasses.fields(cls)
    if not fields:
        return text
    rows = [f"| `{field.name}` | {_type(field)} | {_default(field)} |" for field in fields]
    return "\n".join([text, "| setting | type | default |", "| --- | --- | --- |", *rows, ""])


def _type(field: dataclasses.Field) -> str:
    name = field.type if isinstance(field.type, str) else field.type.__name__
    return name.replace("|", "or").replace("None", "null")


def _default(field: dataclasses.Field) -> str:
    if field.default is not dataclasses.MISSING:
        return f"`{'null' if field.default is None else field.default}`"
    return "`[]`" if field.default_factory is not dataclasses.MISSING else "by the option"


def _options(group: str, name: str) -> str:
    """Say which options are of a part."""
    found = [file.stem for file in sorted((CONF_DIR / group).glob("*.yaml")) if _target(file) == name]
    return f"Options: {', '.join(f'`{group}={option}`' for option in found)}.\n"


def _target(file: Path) -> str | None:
    """Return the part that an option is of, through the options that it builds on."""
    content = yaml.safe_load(file.read_text()) or {}
    if "_target_" in content or "_target_" in content.get(file.parent.name, {}):
        return content.get("_target_") or content[file.parent.name]["_target_"]
    bases = [base for base in content.get("defaults", []) if isinstance(base, str)]
    return next((_target(file.with_name(f"{base.partition('@')[0]}.yaml")) for base in bases), None)


if __name__ == "__main__":
    main()
