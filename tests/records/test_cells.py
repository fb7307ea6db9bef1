"""Many small runs, a line a cell."""

from bls_bench.records import cells


def line(key="a", seeds=(0, 1), values=(1.0, 2.0)):
    return cells.CellLine(
        key=key,
        cell={"setting": "tail", "rate": "50"},
        seeds=list(seeds),
        values={"accuracy": list(values)},
        environment={"threads": 1},
        cpu_seconds=0.5,
    )


def test_what_was_appended_is_read_back_and_seeds_come_together(tmp_path):
    path = tmp_path / "scores" / "cells.jsonl"
    for one in (line(), line(seeds=(2,), values=(None,)), line(key="b", values=(7.0, 8.0))):
        cells.append(path, one)
    found, problems = cells.read(path)
    assert not problems
    assert found[0] == line()
    assert cells.by_seed(found, "a", "accuracy") == {0: 1.0, 1: 2.0}
    assert cells.by_seed(found, "b", "accuracy") == {0: 7.0, 1: 8.0}
    assert cells.by_seed(found, "a", "unknown") == {}


def test_a_damaged_line_costs_itself_only_and_is_named(tmp_path):
    path = tmp_path / "cells.jsonl"
    cells.append(path, line())
    cells.append(path, line(key="b"))
    path.write_bytes(path.read_bytes().replace(b"1.0,2.0", b"1.0,3.0", 1))
    found, problems = cells.read(path)
    assert [one.key for one in found] == ["b"]
    assert "line 1: damaged" in problems[0]


def test_no_file_holds_nothing(tmp_path):
    assert cells.read(tmp_path / "none.jsonl") == ([], [])
