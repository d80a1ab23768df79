from tools.interleaved import interleaved_ms


class Clock:
    """A clock that programs wind on."""

    def __init__(self):
        self.seconds = 0.0

    def __call__(self):
        return self.seconds

    def program(self, log, name, costs):
        """Each call takes the next of the costs, the last one for ever."""
        left = list(costs)

        def call():
            log.append(name)
            self.seconds += left.pop(0) if len(left) > 1 else left[0]

        return call


def test_each_program_gets_its_own_time():
    clock, log = Clock(), []
    programs = {
        "slow": clock.program(log, "slow", [0.004]),
        "quick": clock.program(log, "quick", [0.001]),
    }
    found = interleaved_ms(programs, rounds=5, slice_s=0.01, clock=clock)
    assert {name: round(ms, 9) for name, ms in found.items()} == {"slow": 4.0, "quick": 1.0}


def test_programs_take_turns_and_slices_are_of_one_length():
    clock, log = Clock(), []
    programs = {
        "slow": clock.program(log, "slow", [0.005]),
        "quick": clock.program(log, "quick", [0.0025]),
    }
    interleaved_ms(programs, rounds=3, slice_s=0.01, clock=clock)
    one_round = ["slow"] * 2 + ["quick"] * 4
    assert log[-3 * len(one_round) :] == 3 * one_round


def test_a_disturbed_round_and_a_slow_start_do_not_count():
    clock, log = Clock(), []
    costs = [0.5, 0.01, 0.01, 0.9, 0.01, 0.01, 0.01]
    found = interleaved_ms(
        {"one": clock.program(log, "one", costs)}, rounds=5, slice_s=0.01, clock=clock
    )
    assert round(found["one"], 9) == 10.0
