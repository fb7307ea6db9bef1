"""The library is of use without the train command's dependencies."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parents[2] / "pyproject.toml"
IMPORTED_AS = {"hydra-core": "hydra", "lightning-fabric": "lightning_fabric", "scikit-learn": "sklearn"}

PROGRAM = """
import sys
sys.modules.update(dict.fromkeys(sys.argv[1:]))  # None there: importing it raises ImportError
import torch
from bls_bench import BLS, DataLoader, InfoBatch, RandomPruning, RePB, SeTa

data = torch.utils.data.TensorDataset(torch.rand(64, 1))
for make in (InfoBatch, SeTa, RePB, RandomPruning, lambda *args: BLS(InfoBatch(*args)).proxy()):
    train_data = make(data, 4)
    for _ in range(4):
        for (losses,) in DataLoader(train_data, sampler=train_data.sampler, batch_size=8):
            train_data.update(losses.squeeze(1))
    assert 0 < train_data.pruned_percent < 100
"""


def test_torch_and_numpy_are_enough_for_the_handlers():
    required = tomllib.loads(PROJECT.read_text())["project"]["dependencies"]
    names = {re.match(r"[\w-]+", line).group() for line in required} - {"torch"}
    assert len(names) > 5
    absent = [IMPORTED_AS.get(name, name) for name in names]
    result = subprocess.run([sys.executable, "-c", PROGRAM, *absent], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
