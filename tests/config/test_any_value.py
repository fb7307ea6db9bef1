"""Any key with any value makes a run, or is refused in one line that names the key.

So many pairs are drawn as BLS_BENCH_FAULT_VALUES says; `make test-faults` takes 300.
"""

import math
import os
import random

import pytest

from bls_bench.arguments import checked
from bls_bench.config.compose import composed
from bls_bench.config.registry import GROUPS
from bls_bench.config.run import Config, load
from bls_bench.refusals import EXPECTED, code_of, one_line

from .options import OPTIONS, fitting

NUMBER = int(os.environ.get("BLS_BENCH_FAULT_VALUES", "60"))
VALUES = (
    *("null", "true", "nan", "inf", "-inf", "0", "-0.0", "-1", "-1e9", "0.5", "1e-320", "1e308", "1e400"),
    *(
        "9" * 26,
        "-" + "9" * 26,
        "",
        "''",
        "word",
        "ü",
        "日本",
        "cafe\u0301",
        "two words",
        "[]",
        "[1,2]",
        "{}",
    ),
    *(
        "{a: 1}",
        "${nowhere}",
        "${oc.env:HOME}",
        "???",
        "'???'",
        "1_000",
        "0x10",
        "a" * 5000,
        "..",
        "a,b",
        "\\",
    ),
)


def tell(word, overrides):
    """Return the config that a command line makes, or the line in which it is refused and the exit code."""
    words = [*overrides, word]
    try:
        config = composed(checked(words))
        return load(config, typed={one.partition("=")[0] for one in words})
    except tuple(EXPECTED) as error:
        return one_line(error), code_of(error)


def not_finite(value):
    if isinstance(value, dict | list):
        return any(map(not_finite, value.values() if isinstance(value, dict) else value))
    return isinstance(value, float) and not math.isfinite(value)


def drawn():
    draw = random.Random(int(os.environ.get("BLS_BENCH_FAULT_SEED", "0")))
    for _ in range(NUMBER):
        group = draw.choice([*GROUPS, "trainer", ""])
        # Every run has a trainer, and what stands above all groups.
        option = draw.choice(
            [option for option in OPTIONS if option[0] == group] or [("pruner", "none")],
        )
        yield group, option, draw.random(), draw.choice(VALUES)


@pytest.mark.parametrize(("group", "option", "place", "value"), list(drawn()))
def test_any_key_with_any_value(group, option, place, value, monkeypatch):
    overrides, config = fitting(*option)
    settings = config.resolved[group] if group else vars(config.root)
    key = sorted(settings)[int(place * len(settings))]
    name = f"{group}.{key}" if group else key
    # Of the unknown key that it makes of some values, the command looks for the known ones beside it.
    monkeypatch.setattr("sys.argv", ["train", *overrides, f"{name}={value}"])
    found = tell(f"{name}={value}", overrides)
    if isinstance(found, Config):
        assert not not_finite(found.resolved), f"{name}={value} is taken"
    else:
        line, code = found
        assert code == 2
        assert "\n" not in line
        assert name in line or (value == "${nowhere}" and "'nowhere' not found" in line)
        assert len(line) < 1500
