"""Models saved by ``torch.export.save``: networks, or one line that says why not."""

import models
import numpy as np
import pytest
import torch
from reference import largest_relative_error, torch_output

from costmodel.errors import InputError
from costmodel.frontends.torch_export import from_exported_file


@pytest.fixture(scope="module")
def module():
    return models.settled(models.ds_cnn()).eval()


@pytest.fixture(scope="module")
def saved(module, tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "ds_cnn.pt2"
    torch.export.save(torch.export.export(module, (torch.zeros(1, 1, 49, 10),)), path)
    return path


def test_a_saved_model_is_the_network_that_was_exported(module, saved):
    network, weights = from_exported_file(saved)
    x = np.random.default_rng(0).standard_normal((49, 10, 1), dtype=np.float32)
    with torch.no_grad():
        expected = module(torch.from_numpy(x.transpose(2, 0, 1))[None])[0].numpy()
    assert network.input_shape == (49, 10, 1)
    assert largest_relative_error(torch_output(network, weights, x), expected) < 1e-4


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"there is no file .*none\.pt2"):
        from_exported_file(tmp_path / "none.pt2")


@pytest.mark.parametrize("kept", [0, 1000])
def test_a_truncated_file_is_one_line(saved, tmp_path, kept, capfd):
    path = tmp_path / "cut.pt2"
    path.write_bytes(saved.read_bytes()[:kept])
    with pytest.raises(
        InputError, match=r"cut\.pt2' is not a model that torch\.export\.save wrote"
    ) as error:
        from_exported_file(path)
    assert "\n" not in str(error.value)
    assert capfd.readouterr().err == ""


def test_a_dynamic_input_is_refused_by_name(tmp_path):
    rows = torch.export.Dim("rows", min=20, max=80)
    path = tmp_path / "dynamic.pt2"
    one = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.AdaptiveAvgPool2d(1))
    program = torch.export.export(one, (torch.zeros(1, 1, 49, 10),), dynamic_shapes=({2: rows},))
    torch.export.save(program, path)
    with pytest.raises(InputError, match=r"input 'input' of .* has the dynamic shape \(1, 1, "):
        from_exported_file(path)


def test_several_inputs_are_refused(tmp_path):
    class Sum(torch.nn.Module):
        def forward(self, x, y):
            return x + y

    path = tmp_path / "sum.pt2"
    torch.export.save(torch.export.export(Sum(), (torch.zeros(1, 3), torch.zeros(1, 3))), path)
    with pytest.raises(InputError, match="has 2 inputs; a network has one"):
        from_exported_file(path)
