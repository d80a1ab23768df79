import pytest

from costmodel.network import Network
from costmodel.operations import flops, flops_table2, params
from kws.architecture import PUBLISHED, Architecture, to_network

TABLE_2 = {  # the paper's Table II, MFP_ops
    "seed": "581.1", "kws1": "223.4", "kws2": "167.7", "kws3": "87.6", "kws4": "87.2",
    "kws5": "76.5", "kws6": "65.2", "kws7": "56.8", "kws8": "46.3", "kws9": "37.7",
    "kws10": "26.3", "kws11": "20.2", "kws12": "17.2",
}  # fmt: skip


@pytest.mark.parametrize("model", TABLE_2)
def test_table_2_to_the_printed_digit(model):
    assert f"{flops_table2(to_network(PUBLISHED[model])) / 1e6:.1f}" == TABLE_2[model]


def test_table_2_has_thirteen_models():
    assert TABLE_2.keys() == PUBLISHED.keys()


def hand_made():
    """40x32 -> 20x16 (stride 2x2, 3x5, 7 filters) -> 20x16 (1x1, 9 filters)."""
    network = Network((40, 32, 1))
    node = network.conv2d(Network.INPUT, filters=7, kernel=(3, 5), stride=(2, 2))
    network.conv2d(network.relu(node), filters=9, kernel=(1, 1))
    return network


def test_equation_1_by_hand():
    assert flops(hand_made()) == 7 * 1 * 20 * 16 * (2 * 15 + 1) + 9 * 7 * 20 * 16 * (2 + 1)


def test_equation_2_by_hand():
    assert params(hand_made()) == 7 * 1 * 15 + 9 * 7


def test_the_tables_count_by_hand():
    assert flops_table2(hand_made()) == 2 * (15 * 7 * 1 + 7 * 9) * 20 * 16


def test_equation_1_rounds_odd_sizes_up():
    network = Network((5, 7, 2))
    network.conv2d(Network.INPUT, filters=3, kernel=(2, 2), stride=(2, 3))
    assert flops(network) == 3 * 2 * 3 * 3 * 9


def test_equation_1_exceeds_the_tables_count_by_one_operation_a_filter_position():
    network = to_network(Architecture.parse("3x3,40 1x1,30"))
    positions = 40 * 16 * (1 * 40 + 40 * 30)
    assert flops(network) - flops_table2(network) == positions


def test_only_convolutions_count():
    network = Network((4, 4, 3))
    network.dense(network.global_average_pool(network.relu(Network.INPUT)), units=10)
    assert (flops(network), flops_table2(network), params(network)) == (0, 0, 0)
