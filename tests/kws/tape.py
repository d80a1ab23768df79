"""A CUDA graph without a GPU: operations are recorded, and run again on the same memory.

As in a graph, what an operation was told as a number stays that number, what lay in a tensor is
read anew, and what Python did between operations is not done again. Unlike a graph's, a recording
runs the work, which `taped` undoes.
"""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from kws.cuda_graph import rehearse, same

ASKING = {
    torch.ops.aten._local_scalar_dense.default,
    torch.ops.aten.nonzero.default,
    torch.ops.aten.is_nonzero.default,
    torch.ops.aten.equal.default,
}
"""Operations whose outcome the CPU waits for: a graph cannot hold them."""


class Tape(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.calls = []

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        del types
        assert operation not in ASKING, f"the work asks for the outcome of {operation}"
        outcome = operation(*args, **(kwargs or {}))
        self.calls.append((operation, args, kwargs or {}, outcome))
        return outcome

    @torch.no_grad()
    def replay(self):
        for operation, args, kwargs, outcome in self.calls:
            again = operation(*args, **kwargs)
            for old, new in zip(tree_leaves(outcome), tree_leaves(again), strict=True):
                if isinstance(old, torch.Tensor) and old.data_ptr() != new.data_ptr():
                    old.copy_(new)


def taped(work, state, witness):
    """In place of `kws.cuda_graph.recorded`."""
    tape = Tape()

    def work_on_tape():
        tape.calls.clear()
        with tape:
            work()

    expected = rehearse(work, state, witness)
    rehearse(work_on_tape, state, witness)
    assert same(rehearse(tape.replay, state, witness), expected)
    return tape.replay
