from costmodel.loopnest import Access, Loop, LoopKind, LoopNest, statement

S, U, V = LoopKind.SERIAL, LoopKind.UNROLLED, LoopKind.VECTORIZED


def test_loops_of_one_turn_are_left_out_with_their_strides():
    found = statement(
        [(4, S), (1, S), (8, V)], ("o", (8, 99, 1), None), [("x", (16, 99, 2), None)], flops=3
    )
    assert found.loops == (Loop(4, S), Loop(8, V))
    assert found.store == Access("o", (8, 1), None)
    assert found.loads == (Access("x", (16, 2), None),)


def test_private_depth_counts_the_loops_that_stay():
    loops = [(1, S), (4, S), (1, S), (8, V)]
    depths = [
        statement(loops, ("a", (0, 0, 0, 1), depth), [], flops=0).store.private_depth
        for depth in range(5)
    ]
    assert depths == [0, 0, 1, 1, 2]


def test_iterations_and_arithmetic_multiply_over_the_loops():
    found = statement([(4, S), (3, U), (8, V)], ("o", (0, 0, 1), None), [], flops=2)
    assert (found.iterations, found.total_flops) == (96, 192)


def test_a_statement_without_loops_runs_once():
    found = statement([(1, S)], ("o", (1,), None), [], flops=5)
    assert (found.loops, found.iterations, found.total_flops) == ((), 1, 5)


def test_the_order_of_loads_does_not_matter():
    x, w = ("x", (1,), None), ("w", (2,), None)
    one, other = (
        statement([(4, S)], ("o", (1,), None), loads, flops=1) for loads in ([x, w], [w, x])
    )
    assert one == other


def test_hot_is_the_statement_of_most_arithmetic():
    few = statement([(100, S)], ("a", (1,), None), [], flops=1)
    many = statement([(60, S)], ("b", (1,), None), [], flops=2)
    copy = statement([(1000, S)], ("c", (1,), None), [], flops=0)
    assert LoopNest((few, many, copy)).hot is many
