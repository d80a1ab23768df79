import subprocess
import sys

PROGRAM = """
import sys
from tools.light_start import import_tvm_alone
import_tvm_alone()
print("tvm" in sys.modules, "torch" in sys.modules)
import torch, numpy, tvm
print(torch.ones(2).sum().item(), tvm.runtime.tensor(numpy.ones(2)).numpy().sum())
"""


def test_tvm_comes_without_torch_which_can_be_had_afterwards():
    said = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    ).stdout
    assert said.split() == ["True", "False", "2.0", "2.0"]


def test_profiles_and_an_estimate_by_name_do_without_torch(tmp_path):
    for arguments in (["profiles", "--json"], ["estimate", "kws12", "--json"]):
        program = (
            "import sys; from tools.main import run; assert run(sys.argv[1:]) == 0; "
            "print('torch' in sys.modules, file=sys.stderr)"
        )
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments],
            capture_output=True, text=True, check=True, env={"PONAS_HOME": str(tmp_path)},
        )  # fmt: skip
        assert done.stderr.splitlines()[-1] == "False"
