import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmodel.operations import flops_table2
from kws.architecture import (
    PUBLISHED,
    SEED,
    Architecture,
    Bounds,
    Unit,
    architecture_from,
    parameters_of,
    to_network,
)
from kws.errors import InputError

TABLE_2_MFLOPS = {
    "seed": "581.1",
    "kws1": "223.4",
    "kws2": "167.7",
    "kws3": "87.6",
    "kws4": "87.2",
    "kws5": "76.5",
    "kws6": "65.2",
    "kws7": "56.8",
    "kws8": "46.3",
    "kws9": "37.7",
    "kws10": "26.3",
    "kws11": "20.2",
    "kws12": "17.2",
}

pairs = st.tuples(st.integers(1, 5), st.integers(1, 5))
strides = st.tuples(st.integers(1, 4), st.integers(1, 4))
units = st.builds(Unit, kernel=pairs, filters=st.integers(1, 100), stride=strides)
architectures = st.builds(Architecture, st.lists(units, min_size=1, max_size=12).map(tuple))


@pytest.mark.parametrize(("name", "mflops"), TABLE_2_MFLOPS.items())
def test_published_models_have_the_operations_of_table_2(name, mflops):
    assert f"{flops_table2(to_network(PUBLISHED[name])) / 1e6:.1f}" == mflops


def test_published_models_are_the_thirteen_of_table_2():
    assert list(PUBLISHED) == list(TABLE_2_MFLOPS)
    assert PUBLISHED["seed"] == SEED


def test_first_unit_strides_1x2_and_later_units_1x1_unless_said():
    parsed = Architecture.parse("3x3,4 3x3,4 3x3,4/2x1")
    assert [unit.stride for unit in parsed.units] == [(1, 2), (1, 1), (2, 1)]


@given(architectures)
def test_text_describes_an_architecture_entirely(architecture):
    assert Architecture.parse(str(architecture)) == architecture


@given(architectures)
def test_parameters_describe_an_architecture_entirely(architecture):
    assert architecture_from(parameters_of(architecture)) == architecture


def test_parameters_of_the_default_stride_are_kernel_and_filters_alone():
    assert parameters_of(Architecture.parse("4x10,7 3x2,5")) == {
        "conv1_kh": 4,
        "conv1_kw": 10,
        "conv1_m": 7,
        "conv2_kh": 3,
        "conv2_kw": 2,
        "conv2_m": 5,
    }


def test_names_and_texts_are_read_whatever_case_and_spaces():
    assert Architecture.parse("  KWS7 ") == PUBLISHED["kws7"]
    assert Architecture.parse(" 3x3,40   1x1,30\n") == Architecture.parse("3x3,40 1x1,30")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1x1,3 3x3", "unit 2 '3x3' has no filter count; write kernel and filters as 3x3,40"),
        ("3x3,0", "unit 1 has 0 filters; 1 to 100 are allowed"),
        ("3x3,101", "unit 1 has 101 filters; 1 to 100 are allowed"),
        ("3x3,1 3x3,1 7x3,9", "unit 3 kernel 7x3 is larger than the bound 5x5"),
        ("5x11,9", "unit 1 kernel 5x11 is larger than the bound 5x10"),
        ("0x3,9", "unit 1 kernel 0x3 has an extent below 1; 1x1 to 5x10 are allowed"),
        ("3x3,9/5x1", "unit 1 stride 5x1 is larger than the bound 4x4"),
        ("3x3,9/0x1", "unit 1 stride 0x1 has an extent below 1; 1x1 to 4x4 are allowed"),
        ("3x,9", "unit 1 '3x,9' is not kernel, filters and perhaps a stride; write it as 3x3,40"),
        ("3x3,-1", "unit 1 '3x3,-1' is not kernel"),
        ("3x3,4.5", "unit 1 '3x3,4.5' is not kernel"),
        ("3x3," + "9" * 5000, "is not kernel"),
        ("", "an architecture is a name (seed, kws1 to kws12) or units"),
        ("kws13", "unknown architecture 'kws13'; did you mean kws"),
        ("mobilenet", "unknown architecture 'mobilenet'; known are seed, kws1 to kws12"),
    ],
)
def test_malformed_text_is_refused_by_name(text, message):
    with pytest.raises(InputError) as caught:
        Architecture.parse(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bounds_can_be_widened_and_narrowed():
    assert Architecture.parse("3x3,500", bounds=Bounds(filters=500)).units[0].filters == 500
    with pytest.raises(InputError, match="kernel 4x10 is larger than the bound 4x9"):
        Bounds(first_kernel=(4, 9)).check(SEED)
    with pytest.raises(InputError, match="'filters' must be whole and at least 1, got 0"):
        Bounds(filters=0)


def test_ranges_name_every_searched_parameter_of_the_seed():
    ranges = Bounds(first_kernel=(4, 10)).ranges(6)
    assert ranges.keys() == parameters_of(SEED).keys()
    assert ranges["conv1_kw"] == (1, 10)
    assert ranges["conv6_kh"] == (1, 5)
    assert ranges["conv3_m"] == (1, 100)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, "'conv1_kh' is missing"),
        ({"conv1_kh": 3, "conv1_m": 3}, "'conv1_kw' is missing"),
        (
            {"conv1_kh": 3, "conv1_kw": 3, "conv1_m": 3, "conv3_m": 3},
            "'conv3_m' belongs to none of the 1 units",
        ),
        ({"conv1_kh": 3, "conv1_kw": 3, "conv1_m": 0}, "unit 1 has filter count 0"),
        ({"conv1_kh": 3.0, "conv1_kw": 3, "conv1_m": 1}, "unit 1 has kernel height 3.0"),
    ],
)
def test_parameters_that_describe_no_architecture_are_refused(parameters, message):
    with pytest.raises(InputError, match=message):
        architecture_from(parameters)


def test_an_architecture_has_units():
    with pytest.raises(InputError, match="at least one unit"):
        Architecture(())


def test_a_classifier_has_two_classes_or_more():
    with pytest.raises(InputError, match="at least 2 classes, got 1"):
        to_network(SEED, classes=1)


def test_network_halves_the_frames_in_the_first_unit_only():
    network = to_network(SEED)
    assert network.shape("conv1") == (40, 16, 100)
    assert network.shape("relu6") == (40, 16, 100)
    assert network.shape("dense") == (10,)
