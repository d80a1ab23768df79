"""Decibels and small transforms against NumPy."""

import numpy as np
import tvm
from drawing import make_target

from costmodel.loopnest import LoopKind
from costmodel.lowering import compile_module
from costmodel.mfcc.arithmetic import butterfly, decibels, power_of, turned_by
from costmodel.schedules.loops_tvm import argument, module, nest, store


def computed(function, numbers):
    """A function of each number by itself, eight at a time."""
    x, out = (argument(name, (len(numbers) // 8, 8)) for name in ("x", "out"))

    def body(i, lane):
        return store(out, function(x[i, lane]), i, lane)

    loops = [(len(numbers) // 8, LoopKind.SERIAL), (8, LoopKind.VECTORIZED)]
    compiled = compile_module(module([x, out], nest(loops, body)), make_target(8))
    given = tvm.runtime.tensor(numbers.reshape(-1, 8))
    answer = tvm.runtime.empty(given.shape, "float32")
    compiled["main"](given, answer)
    return answer.numpy().ravel()


def test_decibels_are_right_to_the_last_digits_over_all_of_float32():
    generator = np.random.default_rng(0)
    numbers = np.exp(generator.uniform(-85, 88, 4000)).astype(np.float32)
    numbers[:8] = [1, 2, 0.5, 10, 1e-10, np.sqrt(2), np.sqrt(0.5), np.nextafter(1, 2)]
    expected = 10 * np.log10(numbers.astype(np.float64))
    np.testing.assert_allclose(computed(decibels, numbers), expected, rtol=3e-7, atol=1e-6)


def test_butterflies_are_transforms_of_two_and_four_numbers():
    generator = np.random.default_rng(1)
    for count in (2, 4):
        x = generator.normal(size=(count, 2))
        found = [complex(*pair) for pair in butterfly([tuple(pair) for pair in x])]
        np.testing.assert_allclose(found, np.fft.fft(x @ [1, 1j]))


def test_numbers_turn_clockwise():
    found = complex(*turned_by((3.0, 4.0), np.cos(0.3), np.sin(0.3)))
    np.testing.assert_allclose(found, (3 + 4j) * np.exp(-0.3j))


def test_a_sums_power_is_quartered():
    def power(x):
        return power_of((x, x), (x, 1.0 - x), plus=True)

    numbers = np.linspace(-2, 2, 16, dtype=np.float32)
    np.testing.assert_allclose(computed(power, numbers), numbers**2 + 0.25, rtol=1e-6)
