"""What a GPU does is played by stand-ins here; `test_training_step` has what needs a real one."""

import contextlib
import warnings

import pytest
import torch

from kws import cuda_graph
from kws.cuda_graph import REHEARSALS, recorded, rehearse


class OnGpu(torch.Tensor):
    """Says of itself that it is on a GPU."""

    device = torch.device("cuda:0")


class Training:
    """Something that has moments after its first call, and a sum of losses."""

    def __init__(self):
        self.weight = torch.tensor([3.0, 4.0])
        self.loss_sum = torch.tensor(10.0).as_subclass(OnGpu)
        self.moments = []
        self.calls = 0

    def work(self):
        self.calls += 1
        self.moments = self.moments or [torch.zeros(2)]
        self.moments[0] += self.weight
        self.weight -= 0.1 * self.moments[0]
        self.loss_sum += self.weight.sum()

    def state(self):
        return [self.weight, *self.moments, self.loss_sum]

    def record(self):
        return recorded(self.work, self.state, self.loss_sum)

    def is_at_its_beginning(self):
        weights, moments = self.weight.tolist(), [each.tolist() for each in self.moments]
        return (weights, moments, float(self.loss_sum)) == ([3.0, 4.0], [[0.0, 0.0]], 10.0)


class Gpu:
    """What torch does on a GPU, as far as a recording asks for it."""

    def __init__(self, monkeypatch, training, *, replay=None, breaks=None):
        self.recordings = 0
        self.stream = "current"
        self._training, self._breaks = training, breaks
        graph = type("Graph", (), {"replay": staticmethod(replay or training.work)})
        stream = type("Stream", (), {"wait_stream": lambda *_: None})
        monkeypatch.setattr(cuda_graph, "_failed", [])
        monkeypatch.setattr(cuda_graph, "_side_stream", lambda _: stream())
        monkeypatch.setattr(torch.cuda, "current_stream", lambda _: stream())
        monkeypatch.setattr(torch.cuda, "stream", lambda _: contextlib.nullcontext())
        monkeypatch.setattr(torch.cuda, "set_stream", self.go_back)
        monkeypatch.setattr(torch.cuda, "CUDAGraph", graph)
        monkeypatch.setattr(torch.cuda, "graph", self.record)

    def go_back(self, _):
        self.stream = "current"

    @contextlib.contextmanager
    def record(self, graph, stream):
        """Kernels do not run while they are recorded; torch stays aside where that breaks off."""
        del graph, stream
        self.recordings += 1
        before = [each.clone() for each in self._training.state()]
        self.stream = "aside"
        try:
            yield
            if self._breaks:
                raise RuntimeError(self._breaks)
        except RuntimeError as error:
            raise RuntimeError("the recording is invalid") from error
        for each, value in zip(self._training.state(), before, strict=True):
            each.copy_(value)
        self.stream = "current"


def test_rehearsals_leave_nothing_behind_and_say_what_the_work_came_to():
    training, same = Training(), Training()
    grown = rehearse(training.work, training.state, training.loss_sum)
    for _ in range(REHEARSALS):
        same.work()
    assert training.calls == REHEARSALS
    assert float(grown) == pytest.approx(float(same.loss_sum) - 10)
    assert training.is_at_its_beginning()


def test_rehearsals_that_fail_leave_nothing_behind():
    training = Training()

    def work():
        training.work()
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - it is ours
        rehearse(work, training.state, training.loss_sum)
    assert training.is_at_its_beginning()


def test_on_a_cpu_there_is_no_graph_and_nothing_is_tried():
    training = Training()
    training.loss_sum = training.loss_sum.as_subclass(torch.Tensor)
    assert training.record() is None
    assert training.calls == 0


def test_a_graph_that_comes_to_the_same_is_used_from_the_beginning(monkeypatch):
    training = Training()
    gpu = Gpu(monkeypatch, training)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert training.record() == training.work
    assert training.is_at_its_beginning()
    assert gpu.stream == "current"


def test_a_recording_that_breaks_off_is_said_in_one_line_and_not_tried_again(monkeypatch):
    training = Training()
    why = "CUDA error: operation not permitted when stream is capturing\nCompile with ..."
    gpu = Gpu(monkeypatch, training, breaks=why)
    said = r"no CUDA graph .* \(CUDA error: operation not permitted when stream is capturing\);"
    with pytest.warns(RuntimeWarning, match=said) as caught:
        assert training.record() is None
    assert "\n" not in str(caught[0].message)
    assert gpu.stream == "current"
    assert training.record() is None
    assert gpu.recordings == 1


def test_a_graph_that_comes_to_something_else_is_not_used(monkeypatch):
    training = Training()

    def replay():
        training.loss_sum += 1

    Gpu(monkeypatch, training, replay=replay)
    with pytest.warns(RuntimeWarning, match=r"it came to 3 in place of 14.4"):
        assert training.record() is None
    assert training.is_at_its_beginning()
