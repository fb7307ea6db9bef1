"""The values that the papers print, with where they stand, and where the papers disagree.

paper_values.csv holds one value a line: paper, table, dataset, model, method, setting, metric, value,
pruned_percent, and notes that say what is doubtful about it.
"""

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("paper_values.csv")
SPREAD = re.compile(r"\+-([\d.]+) ?")
DOUBTS = re.compile("uncertain|approximate|inferred|OCR|inconsistent|equal|printed delta|text says")

# One thing under two names: what the papers call it, and the name that it is compared under.
SAME = {
    "R18": "ResNet18",
    "R50": "ResNet50",
    "InfoBatch + BLS": "BLS-InfoBatch",
    "SeTa + BLS": "BLS-SeTa",
    "Soft+Rescale+Anneal": "InfoBatch",
}
# What the papers' metrics are called here. A value is shown beside runs of the same metric only.
METRICS = {
    "acc": ("accuracy",),
    "acc@1": ("accuracy",),
    "FID": ("fid",),
    "mIoU": ("mIoU",),
    "mAP.5": ("mAP50", "mask_mAP50"),
    "mAP.5:.95": ("mAP50-95", "mask_mAP50-95"),
}
# Settings that only say what the papers' other tables have by default.
DEFAULT = re.compile(
    r"(r=0\.5|condition=(Full|H<mean)|copied from InfoBatch|reproduced \(italics\)|setting row 1 of 3 .*)?$"
)


@dataclass(frozen=True, kw_only=True)
class Published:
    """One value as printed, "" where a table leaves its cell open. metric `acc` is in percent."""

    paper: str
    table: str
    dataset: str
    model: str
    method: str
    setting: str
    metric: str
    value: str
    pruned_percent: str
    notes: str

    @property
    def number(self) -> float | None:
        """The value; None where the paper prints none, or a range."""
        return number(self.value)

    def is_of(self, metric: str) -> bool:
        """Whether it can be set beside runs that are judged by a metric of this name."""
        return metric in METRICS[self.metric]

    @property
    def uncertain(self) -> bool:
        return bool(self.value) and DOUBTS.search(self.notes) is not None

    @property
    def source(self) -> str:
        """Where it stands: "BLS T8", "BLS Fig3"."""
        return f"{self.paper} {self.table if self.table.startswith('Fig') else 'T' + self.table}"

    @property
    def told(self) -> str:
        """The text with its source, and why a cell is open."""
        return f"{self.text} ({self.source}{'' if self.value else ': ' + self.notes})"

    @property
    def remark(self) -> str:
        """The notes less the printed spread with which they may begin."""
        return SPREAD.sub("", self.notes)

    @property
    def text(self) -> str:
        """The value, its pruned percentage where that is printed, and a question mark if it is doubtful.

        A dash for a cell that the paper leaves open.
        """
        if not self.value:
            return "-"
        spread = SPREAD.match(self.notes)
        text = self.value + (f" ± {spread[1]}" if spread else "")
        if self.pruned_percent not in ("", "0"):
            text += f" / {self.pruned_percent}%"
        return text + ("?" if self.uncertain else "")

    def says_other(self, other: "Published") -> bool:
        """Whether two values of one thing differ, in themselves or in the share pruned by over a point."""
        ours, theirs = number(self.pruned_percent), number(other.pruned_percent)
        return self.number != other.number or (
            ours is not None and theirs is not None and abs(ours - theirs) > 1
        )


@cache
def values() -> tuple[Published, ...]:
    with FILE.open(newline="") as file:
        return tuple(Published(**line) for line in csv.DictReader(file))


def find(wanted: dict[str, str]) -> list[Published]:
    """Return the values whose fields are as wanted; a list stands for any of its items."""

    def matches(value: Published) -> bool:
        return all(
            getattr(value, field) in (one if isinstance(one, list) else [one])
            for field, one in wanted.items()
        )

    return [value for value in values() if matches(value)]


def disagreements(found: Iterable[Published]) -> list[Published]:
    """Return the values that papers print elsewhere for the same thing and that differ, one a source."""
    found = list(found)
    others = {
        other.source: other
        for value in found
        if value.value
        for other in values()
        if other.number is not None and _thing(other) == _thing(value) and other.says_other(value)
    }
    for value in found:
        others.pop(value.source, None)
    return list(others.values())


def _thing(value: Published) -> tuple[str, ...]:
    setting = "" if DEFAULT.match(value.setting) else value.setting
    return (
        value.dataset,
        *(SAME.get(name, name) for name in (value.model, value.method)),
        setting,
        value.metric,
    )


def number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
