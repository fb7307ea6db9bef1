"""What is said of a command line before Hydra sees it."""

import pytest

from bls_bench.arguments import checked
from bls_bench.system.errors import InputError


@pytest.mark.parametrize(
    "words",
    [
        ["pruner=bls_seta", "model=resnet18"],
        ["-m", "pruner=infobatch,seta", "scorer.alpha=0.5,0.7", "seed=0,1"],
        ["--cfg", "job", "pruner.target=null"],
        ["+task.weight=3", "~experiment", "records='two words'", "plugins=[mymodule]"],
        ["pruner=glob(bls_*)", "-m"],
    ],
)
def test_what_hydra_takes_stays_as_it_is(words):
    assert checked(words) == words


@pytest.mark.parametrize("value", ["null", "true", "[1,2]", "3", "", "{a: 1}", "infobatch,null", "a b"])
@pytest.mark.parametrize("group", ["pruner", "task", "dataset", "experiment"])
def test_a_group_takes_names_of_options_only(group, value):
    with pytest.raises(InputError, match=rf"^{group}=.*: must be one of \w+") as caught:
        checked(["seed=1", f"{group}={value}"])
    assert "\n" not in str(caught.value)


def test_letters_beyond_ascii_are_quoted():
    assert checked(["records=päth/é"]) == ['records="päth/é"']
    assert checked(['records="päth"', "plugins=[ü]"]) == ['records="päth"', "plugins=[ü]"]


@pytest.mark.parametrize("flag", ["--nope", "-z"])
def test_an_unknown_flag_is_named(flag):
    with pytest.raises(InputError, match=rf"^{flag}: unknown flag, see --help"):
        checked([flag, "seed=1"])
