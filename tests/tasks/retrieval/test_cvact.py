"""CVACT's MATLAB file, as written by the test in the published layout."""

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat

from bls_bench.system.errors import InputError
from bls_bench.tasks.retrieval.cvact import CVACT

from ..running import make_config

CPU = torch.device("cpu")
NAMES = ["abc", "defg", "hi", "j"]
ALL = {"trainSet": {"trainInd": [3, 1]}, "valSet": {"valInd": [2]}, "valSetAll": {"valInd": [2, 4]}}


def cvact(root, **options):
    return CVACT(name="cvact", root=str(root), image_size=32, workers=0, **options)


def write(root, **changes):
    """Write a file of four places: names are rows of characters, numbers a column, as MATLAB has them."""
    splits = {
        split: {field: np.array(numbers, float)[:, None] for field, numbers in fields.items()}
        for split, fields in (ALL | changes).items()
    }
    savemat(root / "ACT_data.mat", {"panoIds": np.array(NAMES), "utm": np.zeros((4, 2)), **splits})
    return root


def pictures(root):
    for at, name in enumerate(NAMES):
        for folder, ending, level in (
            ("streetview", "grdView", 0),
            ("satview_polish", "satView_polish", 100),
        ):
            (root / folder).mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (64, 32), (level + 10 * at,) * 3).save(root / folder / f"{name}_{ending}.jpg")


def test_pairs_are_those_of_the_file(tmp_path):
    pictures(write(tmp_path) / "ANU_data_small")
    data = cvact(tmp_path).load(0)
    assert (len(data.train), len(data.test)) == (2, 1)
    (batch,) = data.train.plain().batches([torch.arange(2)], 0, CPU)
    levels = torch.stack([batch.queries, batch.places])[:, :, 0, 16, 16] * 255
    # Places 3 and 1.
    torch.testing.assert_close(levels, torch.tensor([[20.0, 0], [120, 100]]), atol=1.5, rtol=0)


def test_the_large_test_set_lies_elsewhere(tmp_path):
    dataset = cvact(write(tmp_path), test="valSetAll", test_pictures="ANU_data_test", place="over/{}.png")
    _, test = dataset.pairs(tmp_path)
    folder = tmp_path / "ANU_data_test"
    assert test == [
        (folder / "streetview" / f"{name}_grdView.jpg", folder / "over" / f"{name}.png")
        for name in ("defg", "j")
    ]


def test_what_is_wrong_in_the_file(tmp_path):
    with pytest.raises(InputError, match=r"ACT_data.mat is missing: is dataset.root right"):
        cvact(tmp_path).load(0)
    (tmp_path / "ACT_data.mat").write_text("no such file")
    with pytest.raises(InputError, match=r"ACT_data.mat cannot be read as a MATLAB file"):
        cvact(tmp_path).load(0)
    with pytest.raises(InputError, match=r"must have panoIds, and valSet with the numbers valInd"):
        cvact(write(tmp_path, valSet={"other": [1]})).load(0)
    with pytest.raises(InputError, match=r"trainSet with the numbers trainInd"):
        cvact(write(tmp_path, trainSet={"trainInd": [float("inf")]})).load(0)
    with pytest.raises(InputError, match=r"trainSet has the place 5, there are 1 to 4"):
        cvact(write(tmp_path, trainSet={"trainInd": [5]})).load(0)
    with pytest.raises(InputError, match=r"hi_grdView.jpg is in a pair, but is not there"):
        cvact(write(tmp_path)).load(0)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("dataset.test=trainSet", r"dataset.test must be another split than train, got trainSet"),
        ("dataset.train=all", r"dataset.train must be one of trainSet, valSet, valSetAll, got 'all'"),
        ("dataset.query=a.jpg", r"dataset.query must have \{\} for the name of a place, got 'a.jpg'"),
    ],
)
def test_wrong_values(override, message):
    with pytest.raises(InputError, match=message):
        make_config("task=retrieval", "dataset=cvact_mat", "dataset.root=x", override)
