from itertools import combinations, pairwise

from hypothesis import given
from hypothesis import strategies as st

from costmodel.memory import ALIGNMENT_ELEMENTS, plan_arena


@st.composite
def programs(draw):
    """Steps that each write a value of their own and read any earlier one (or the input)."""
    count = draw(st.integers(1, 12))
    writes = [f"v{i}" for i in range(count)]
    reads = ["input"] + [
        draw(st.sampled_from(["input", *writes[:i]])) if draw(st.booleans()) else writes[i - 1]
        for i in range(1, count)
    ]
    sizes = {name: draw(st.integers(1, 200)) for name in writes[:-1]}
    return writes, reads, sizes


def alive_steps(name, writes, reads):
    """Steps during which a value must be intact, found the slow way."""
    written = writes.index(name)
    return set(range(written, 1 + max([written, *(i for i, r in enumerate(reads) if r == name)])))


@given(programs())
def test_values_alive_at_once_never_overlap(program):
    writes, reads, sizes = program
    arena = plan_arena(writes, [[name] for name in reads], sizes)
    assert arena.offsets.keys() == sizes.keys()
    for one, other in combinations(sizes, 2):
        if alive_steps(one, writes, reads) & alive_steps(other, writes, reads):
            elements = [
                set(range(arena.offsets[name], arena.offsets[name] + sizes[name]))
                for name in (one, other)
            ]
            assert not elements[0] & elements[1]


@given(programs())
def test_values_start_on_cache_lines_inside_the_workspace(program):
    writes, reads, sizes = program
    arena = plan_arena(writes, [[name] for name in reads], sizes)
    for name, offset in arena.offsets.items():
        assert offset % ALIGNMENT_ELEMENTS == 0
        assert 0 <= offset <= arena.elements - sizes[name]


@given(st.lists(st.integers(1, 200), min_size=3, max_size=12))
def test_a_chain_needs_no_more_than_its_two_largest_neighbours_and_a_gap(extents):
    """Two values at a time: from both ends of the space, so dead ones are used again."""
    writes = [f"v{i}" for i in range(len(extents) + 1)]
    sizes = dict(zip(writes, extents, strict=False))
    arena = plan_arena(writes, [["input"], *([name] for name in writes[:-1])], sizes)
    rounded = [-(-n // ALIGNMENT_ELEMENTS) * ALIGNMENT_ELEMENTS for n in extents]
    assert arena.elements <= 2 * max(rounded) + max(rounded)
    assert arena.elements >= max(a + b for a, b in pairwise(rounded))


def test_equal_values_in_a_chain_take_turns_in_two_places():
    writes = ["a", "b", "c", "d", "out"]
    arena = plan_arena(
        writes, [["input"], *([name] for name in writes[:-1])], dict.fromkeys(writes[:-1], 16)
    )
    assert (arena.elements, dict(arena.offsets)) == (32, {"a": 0, "b": 16, "c": 0, "d": 16})


def test_nothing_to_place_needs_nothing():
    assert plan_arena(["out"], [["input"]], {}).elements == 0
