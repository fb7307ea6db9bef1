import importlib.util
import os
from pathlib import Path

# One thread a process: the tests run in several, and sums come out the same whatever the machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis
import pytest
import torch

hypothesis.settings.register_profile("default", deadline=None, derandomize=True)
hypothesis.settings.load_profile("default")

NO_NETWORK = Path(__file__).parent / "no_network"
spec = importlib.util.spec_from_file_location("no_network", NO_NETWORK / "sitecustomize.py")
spec.loader.exec_module(importlib.util.module_from_spec(spec))
os.environ["PYTHONPATH"] = os.pathsep.join([str(NO_NETWORK), *filter(None, [os.environ.get("PYTHONPATH")])])
for name in ("WANDB_API_KEY", "RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"):
    os.environ.pop(name, None)


@pytest.fixture(autouse=True)
def no_network(tmp_path_factory, monkeypatch):
    """Assert after every test that neither it nor a process it started tried to reach the network."""
    log = tmp_path_factory.mktemp("network") / "log"
    monkeypatch.setenv("BLS_BENCH_NETWORK_LOG", str(log))
    yield log
    assert not log.exists(), f"the network was tried: {log.read_text()}"


@pytest.fixture(autouse=True)
def global_generators_untouched(request):
    """The library never reseeds or draws from the global generators (entry points may)."""
    before = torch.get_rng_state()
    yield
    if request.node.get_closest_marker("pruning"):
        assert torch.equal(before, torch.get_rng_state())
