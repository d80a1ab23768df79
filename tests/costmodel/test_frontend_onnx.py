import sys

import models
import numpy as np
import pytest
import torch
from reference import largest_relative_error, torch_output
from torch import nn

from costmodel.errors import InputError
from costmodel.frontends.onnx_file import from_onnx
from costmodel.operators import (
    Activation,
    BatchNorm,
    Bias,
    ChannelShuffle,
    Combine,
    Concat,
    Conv2d,
    Dense,
    Flatten,
    GlobalAveragePool,
    Pool2d,
    Softmax,
    TvmOperator,
)

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

MAP = [1, 6, 9, 8]
VECTOR = [1, 12]
FLOAT = TensorProto.FLOAT


def model(nodes, shape=MAP, output=None, constants=None, opset=17, kind=FLOAT, values=()):
    """A model of one input 'x', its output that of the last node."""
    constants = constants or {}
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info(nodes[-1].output[0], FLOAT, output)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
        value_info=list(values),
    )
    opsets = [helper.make_opsetid("", opset)]
    proto = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    if output is None:
        proto = onnx.shape_inference.infer_shapes(proto, data_prop=True)
        del proto.graph.value_info[:]
        proto.graph.value_info.extend(values)
        proto.graph.output[0].type.tensor_type.shape.SetInParent()
    return proto


def op(kind, *inputs, output="y", **attributes):
    name = f"the_{kind}" if output == "y" else f"{kind}_of_{output}"
    return helper.make_node(kind, list(inputs), [output], name=name, **attributes)


def saved(folder, proto):
    path = folder / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    return path


def agrees_with_onnxruntime(path):
    """The network in ``path``, after a check against onnxruntime."""
    network, weights = from_onnx(path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    x = np.random.default_rng(1).standard_normal(given.shape).astype(np.float32)
    (expected,) = session.run(None, {given.name: x})
    assert np.ptp(expected) > 0, "a constant output would agree with anything"
    last = np.moveaxis(expected[0], 0, -1).squeeze()
    found = torch_output(network, weights, np.moveaxis(x[0], 0, -1))
    assert largest_relative_error(found, last) < 1e-4
    return network


def kinds(network):
    return [type(network.operator(node)) for node in network.nodes()]


def drawn(*shape):
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32)


def whole(*numbers):
    return np.asarray(numbers, np.int64)


@pytest.mark.parametrize(
    ("weight", "attributes"),
    [
        ((5, 6, 3, 2), {"strides": [2, 1], "pads": [1, 0, 0, 2]}),
        ((4, 6, 3, 3), {"dilations": [2, 2]}),
        ((12, 1, 3, 3), {"group": 6}),
        ((4, 6, 4, 2), {"auto_pad": "SAME_UPPER", "strides": [2, 3]}),
        ((4, 6, 4, 2), {"auto_pad": "SAME_LOWER", "strides": [2, 3]}),
        ((4, 6, 4, 2), {"auto_pad": "VALID"}),
    ],
)
@pytest.mark.parametrize("bias", [True, False])
def test_a_convolution_of_any_sort_is_taken(tmp_path, weight, attributes, bias):
    constants = {"w": drawn(*weight)} | ({"b": drawn(weight[0])} if bias else {})
    proto = model([op("Conv", "x", *constants, **attributes)], constants=constants)
    expected = [Conv2d, Bias] if bias else [Conv2d]
    assert kinds(agrees_with_onnxruntime(saved(tmp_path, proto))) == expected


VARIANCE = np.abs(drawn(6)) + np.float32(0.5)


@pytest.mark.parametrize(
    ("node", "constants", "expected"),
    [
        (op("Relu", "x"), {}, [Activation]),
        (op("Sigmoid", "x"), {}, [Activation]),
        (op("HardSwish", "x"), {}, [Activation]),
        (op("HardSigmoid", "x", alpha=1 / 6, beta=0.5), {}, [Activation]),
        (op("HardSigmoid", "x"), {}, [TvmOperator]),
        (op("Clip", "x", "l", "h"), {"l": np.float32(0), "h": np.float32(6)}, [Activation]),
        (op("Clip", "x", "l"), {"l": np.float32(0)}, [Activation]),
        (op("Clip", "x", "l", "h"), {"l": np.float32(-1), "h": np.float32(1)}, [TvmOperator]),
        (op("Add", "x", "x"), {}, [Combine]),
        (op("Add", "c", "x"), {"c": drawn(6, 1, 1)}, [Bias]),
        (op("Sub", "x", "c"), {"c": drawn(1, 6, 1, 1)}, [Bias]),
        (op("Sub", "c", "x"), {"c": np.float32(2)}, [BatchNorm, Bias]),
        (op("Mul", "x", "c"), {"c": drawn(1)}, [BatchNorm]),
        (op("Div", "x", "c"), {"c": VARIANCE.reshape(6, 1, 1)}, [BatchNorm]),
        (op("Neg", "x"), {}, [BatchNorm]),
        (op("Add", "x", "c"), {"c": drawn(9, 8)}, [TvmOperator]),
        (
            op("BatchNormalization", "x", "g", "b", "m", "v", epsilon=1e-3),
            {"g": drawn(6), "b": drawn(6), "m": drawn(6), "v": VARIANCE},
            [BatchNorm],
        ),
        (op("Concat", "x", "x", axis=1), {}, [Concat]),
        (op("Concat", "x", "x", axis=-3), {}, [Concat]),
        (op("Concat", "x", "x", axis=2), {}, [TvmOperator]),
        (op("MaxPool", "x", kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 0]), {}, [Pool2d]),
        (op("MaxPool", "x", kernel_shape=[2, 3], strides=[2, 2], ceil_mode=1), {}, [Pool2d]),
        (op("MaxPool", "x", kernel_shape=[3, 3], auto_pad="SAME_UPPER"), {}, [Pool2d]),
        (op("AveragePool", "x", kernel_shape=[3, 3], pads=[1, 1, 1, 1]), {}, [Pool2d]),
        (
            op("AveragePool", "x", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1),
            {},
            [Pool2d],
        ),
        (op("AveragePool", "x", kernel_shape=[9, 8]), {}, [GlobalAveragePool]),
        (op("GlobalAveragePool", "x"), {}, [GlobalAveragePool]),
        (op("GlobalMaxPool", "x"), {}, [Pool2d]),
        (op("ReduceMean", "x", axes=[2, 3]), {}, [GlobalAveragePool]),
        (op("ReduceMean", "x", axes=[-1, -2], keepdims=0), {}, [GlobalAveragePool]),
        (op("Flatten", "x"), {}, [Flatten]),
        (op("Reshape", "x", "s"), {"s": whole(1, -1)}, [Flatten]),
        (op("Softmax", "x", axis=1), {}, [Softmax]),
        (op("Softmax", "x", axis=2), {}, [TvmOperator]),
        (op("Tanh", "x"), {}, [TvmOperator]),
        (op("Transpose", "x", perm=[0, 2, 3, 1]), {}, [TvmOperator]),
        (op("Slice", "x", "b", "e"), {"b": whole(0, 1), "e": whole(1, 3)}, [TvmOperator]),
        (op("Gather", "x", "i", axis=1), {"i": whole(4, 0, 2)}, [TvmOperator]),
        (op("PRelu", "x", "a"), {"a": drawn(6, 1, 1)}, [TvmOperator]),
        (op("ConvTranspose", "x", "w", strides=[2, 2]), {"w": drawn(6, 3, 2, 2)}, [TvmOperator]),
    ],
)
def test_an_operator_on_a_map_agrees_with_onnxruntime(tmp_path, node, constants, expected):
    network = agrees_with_onnxruntime(saved(tmp_path, model([node], constants=constants)))
    assert kinds(network) == expected


@pytest.mark.parametrize(
    ("node", "constants", "expected"),
    [
        (op("MatMul", "x", "w"), {"w": drawn(12, 5)}, Dense),
        (op("Gemm", "x", "w"), {"w": drawn(12, 5)}, Dense),
        (
            op("Gemm", "x", "w", "b", transB=1, alpha=0.5, beta=2.0),
            {"w": drawn(5, 12), "b": drawn(5)},
            Dense,
        ),
        (op("Gemm", "x", "w", "b"), {"w": drawn(12, 5), "b": drawn(1, 5)}, Dense),
        (op("Gemm", "x", "w", "b"), {"w": drawn(12, 5), "b": drawn(1)}, Dense),
        (op("Softmax", "x"), {}, Softmax),
        (op("Relu", "x"), {}, Activation),
        (op("Add", "x", "c"), {"c": drawn(12)}, Bias),
        (op("Concat", "x", "x", axis=1), {}, Concat),
        (op("Identity", "r"), {}, None),
    ],
)
def test_an_operator_on_a_vector_agrees_with_onnxruntime(tmp_path, node, constants, expected):
    nodes = [op("Relu", "x", output="r"), node] if expected is None else [node]
    proto = model(nodes, VECTOR, constants=constants)
    found = kinds(agrees_with_onnxruntime(saved(tmp_path, proto)))
    assert found == [expected or Activation]


@pytest.mark.parametrize("opset", [9, 11, 13, 17, 21])
def test_zeros_around_a_convolution_become_its_padding_in_every_opset(tmp_path, opset):
    constants = {"w": drawn(4, 6, 3, 3)}
    pads = [0, 0, 2, 1, 0, 0, 0, 3]
    if opset < 11:
        pad = op("Pad", "x", output="p", pads=pads)
    else:
        constants["pads"] = whole(*pads)
        pad = op("Pad", "x", "pads", output="p")
    proto = model([pad, op("Conv", "p", "w")], constants=constants, opset=opset)
    network = agrees_with_onnxruntime(saved(tmp_path, proto))
    (node,) = network.nodes()
    assert network.operator(node).padding == (2, 1, 0, 3)


def test_a_channel_shuffle_is_one(tmp_path):
    nodes = [
        op("Reshape", "x", "split", output="a"),
        op("Transpose", "a", output="b", perm=[0, 2, 1, 3, 4]),
        op("Reshape", "b", "joined"),
    ]
    constants = {"split": whole(1, 3, 2, 9, 8), "joined": whole(1, 6, 9, 8)}
    network = agrees_with_onnxruntime(saved(tmp_path, model(nodes, constants=constants)))
    assert kinds(network) == [ChannelShuffle]


def test_shapes_computed_from_shapes_are_constants(tmp_path):
    nodes = [
        op("Relu", "x", output="r"),
        op("Shape", "r", output="shape"),
        op("Gather", "shape", "zero", output="batch"),
        op("Concat", "batch", "rest", output="target", axis=0),
        op("Reshape", "r", "target"),
    ]
    constants = {"zero": whole(0), "rest": whole(-1)}
    network = agrees_with_onnxruntime(saved(tmp_path, model(nodes, constants=constants)))
    assert kinds(network) == [Activation, Flatten]


def test_weights_computed_from_constants_are_constants(tmp_path):
    nodes = [
        helper.make_node("Constant", [], ["k"], value=numpy_helper.from_array(np.float32(3))),
        op("Mul", "w", "k", output="scaled"),
        op("Conv", "x", "scaled"),
    ]
    network = agrees_with_onnxruntime(
        saved(tmp_path, model(nodes, constants={"w": drawn(4, 6, 3, 3)}))
    )
    assert kinds(network) == [Conv2d]


def test_each_half_of_a_split_is_a_value(tmp_path):
    split = helper.make_node("Split", ["x"], ["a", "b"], axis=1, name="halves")
    proto = model([split, op("Mul", "a", "b")], opset=13)
    found = kinds(agrees_with_onnxruntime(saved(tmp_path, proto)))
    assert found == [TvmOperator, TvmOperator, Combine]


def test_nodes_keep_their_names(tmp_path):
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], name="/features/0/Conv"),
        helper.make_node("Relu", ["c"], ["last"]),
    ]
    constants = {"w": drawn(4, 6, 3, 3), "b": drawn(4)}
    network, _ = from_onnx(saved(tmp_path, model(nodes, constants=constants)))
    assert list(network.nodes()) == ["features.0.Conv", "features.0.Conv.bias", "last"]


@pytest.mark.parametrize("dynamo", [False, True])
@pytest.mark.parametrize(
    ("build", "shape"),
    [
        (models.resnet8, (1, 3, 32, 32)),
        (models.ds_cnn, (1, 1, 49, 10)),
        (models.small_mobilenet_v3, (1, 3, 32, 32)),
        (models.small_squeezenet, (1, 3, 47, 40)),
        (models.small_shufflenet, (1, 3, 32, 32)),
        (lambda: models.nas_bench_201(NAS_BENCH_201_CELL, cells=1), (1, 3, 32, 32)),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_what_torch_exports_agrees_with_onnxruntime(tmp_path, build, shape, dynamo):
    if dynamo:
        pytest.importorskip("onnxscript")
    path = tmp_path / "model.onnx"
    torch.onnx.export(build(), (torch.zeros(shape),), path, dynamo=dynamo, verbose=False)
    agrees_with_onnxruntime(path)


NAS_BENCH_201_CELL = (
    "|nor_conv_3x3~0|+|none~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_1x1~1|skip_connect~2|"
)


def relu(**settings):
    return model([op("Relu", "x")], **settings)


def declared(name, shape):
    return helper.make_tensor_value_info(name, FLOAT, shape)


def two_inputs():
    proto = model([op("Add", "x", "z")], output=MAP)
    proto.graph.input.append(declared("z", MAP))
    return proto


def two_outputs():
    proto = model([op("Relu", "x", output="r"), op("Sigmoid", "x")])
    proto.graph.output.append(declared("r", MAP))
    return proto


def conditional():
    branch = helper.make_graph([op("Relu", "x", output="t")], "b", [], [declared("t", MAP)])
    nodes = [
        op("ReduceMax", "x", output="m", keepdims=0),
        op("Cast", "m", output="c", to=TensorProto.BOOL),
        op("If", "c", then_branch=branch, else_branch=branch),
    ]
    return model(nodes)


def foreign():
    node = helper.make_node("Fancy", ["x"], ["y"], name="f", domain="com.example")
    proto = model([node], output=MAP)
    proto.opset_import.append(helper.make_opsetid("com.example", 1))
    return proto


def training():
    inputs, outputs = ["x", *"gbuv"], ["m", "mean", "variance"]
    return helper.make_node("BatchNormalization", inputs, outputs, name="bn", training_mode=1)


WEIGHT = {"w": drawn(4, 6, 3, 3)}
QUANTISED = {"w": np.ones((4, 6, 3, 3), np.int8)}


@pytest.mark.parametrize(
    ("proto", "message"),
    [
        (relu(shape=["n", 6, 9, 8]), r"'x' has the shape \['n', 6, 9, 8\]; export with fixed"),
        (relu(shape=None), "no valid ONNX file"),
        (relu(shape=[4, 6, 9, 8]), "'x' has batch 4; export with batch one"),
        (relu(shape=[1, 6, 9]), r"\[1, 6, 9\]; \[1, C, H, W\] or \[1, C\] is needed"),
        (
            model([op("Cast", "x", to=FLOAT)], kind=TensorProto.INT8),
            "the input 'x' is int8; float",
        ),
        (relu(output=[1, 6, 9, 7]), r"declares the shape \[1, 6, 9, 7\] for 'y'.*\[1, 6, 9, 8\]"),
        (relu(output=[1, 6, 9]), r"declares the shape \[1, 6, 9\] for 'y'"),
        (
            model(
                [op("Conv", "x", "w", output="c"), op("Relu", "c")],
                constants=WEIGHT,
                values=[declared("c", [1, 5, 7, 6])],
            ),
            r"declares the shape \[1, 5, 7, 6\] for 'c', its operators give \[1, 4, 7, 6\]",
        ),
        (relu(opset=99), "uses opset 99; 7 to .* are supported: export it again"),
        (relu(opset=3), "uses opset 3; 7 to"),
        (model([op("Conv", "x", "w")], constants={"w": drawn(4, 5, 3, 3)}), "'the_Conv' .*Conv.*5"),
        (model([op("Conv", "x", "w")], constants=QUANTISED), "no valid|do not go together"),
        (
            model(
                [
                    op("QuantizeLinear", "x", "s", "z", output="q"),
                    op("DequantizeLinear", "q", "s", "z"),
                ],
                constants={"s": np.float32(0.1), "z": np.int8(0)},
            ),
            None,
        ),
        (model([op("ArgMax", "x", axis=1)]), "do not go together|float32 numbers"),
        (model([op("NonZero", "x", output="n"), op("Cast", "n", to=FLOAT)]), "not fixed"),
        (model([op("Reshape", "x", "s")], constants={"s": whole(1, 6, 72)}), r"\[1, 6, 72\]"),
        (two_inputs(), "the model has the inputs x, z; export a network, which has one"),
        (two_outputs(), "has the outputs y, r; export a network, which has one"),
        (conditional(), r"node 'the_If' \(If\): control flow"),
        (foreign(), r"node 'f' \(Fancy\): operators of the domain 'com.example'"),
        (model([op("Identity", "x")]), "the output is the input itself"),
        (
            model([op("RandomNormalLike", "x")]),
            r"node 'the_RandomNormalLike' .*TVM cannot lower",
        ),
        (model([op("Det", "x")], shape=[1, 6, 8, 8]), r"node 'the_Det' \(Det\): "),
        (
            model([op("Relu", "m"), training()][::-1],
                  constants=dict.fromkeys("gbuv", VARIANCE)),
            "training mode; export the model in evaluation mode",
        ),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_that_says_what_is_wrong(tmp_path, proto, message):
    path = saved(tmp_path, proto)
    if message is None:
        agrees_with_onnxruntime(path)
        return
    with pytest.raises(InputError, match=message) as error:
        from_onnx(path)
    assert "\n" not in str(error.value)


def test_a_file_cut_anywhere_is_invalid(tmp_path):
    content = model([op("Conv", "x", "w")], constants=WEIGHT).SerializeToString()
    path = tmp_path / "cut.onnx"
    for length in range(0, len(content) - 1, 61):
        path.write_bytes(content[:length])
        with pytest.raises(InputError, match=r"'.*cut.onnx' is no valid ONNX file"):
            from_onnx(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"no file '.*nothing.onnx'"):
        from_onnx(tmp_path / "nothing.onnx")


def test_weights_kept_in_a_file_that_is_gone_are_missed(tmp_path):
    proto = model([op("Conv", "x", "w")], constants=WEIGHT)
    path = tmp_path / "model.onnx"
    onnx.save(proto, path, save_as_external_data=True, location="w.bin", size_threshold=0)
    agrees_with_onnxruntime(path)
    (tmp_path / "w.bin").unlink()
    with pytest.raises(InputError, match="lack the file of its weights"):
        from_onnx(path)


def test_without_the_package_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(InputError, match=r"pip install 'ponas\[onnx\]'"):
        from_onnx(tmp_path / "model.onnx")


@pytest.mark.filterwarnings("ignore")
def test_torch_and_its_onnx_file_give_the_same_operators(tmp_path):
    from costmodel.frontends.torch_export import from_torch

    module = models.settled(
        nn.Sequential(models.conv_bn(3, 8), models.Fire(8, 4, 6), nn.AdaptiveAvgPool2d(1))
    )
    path = tmp_path / "model.onnx"
    torch.onnx.export(module, (torch.zeros(1, 3, 9, 9),), path, dynamo=False)
    folded = [kind for kind in kinds(from_torch(module, (1, 3, 9, 9))[0]) if kind is not BatchNorm]
    from_file = kinds(from_onnx(path)[0])
    from_file.remove(Bias)  # of the first convolution, its folded batch norm
    assert from_file == folded
