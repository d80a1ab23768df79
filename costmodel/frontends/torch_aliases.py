"""In-place operations of an exported graph that change what a later operation reads."""

from __future__ import annotations

import torch
from torch import fx
from torch.export import ExportedProgram

_MAY_RETURN_ITS_INPUT = {"dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout"}
"""Their schemas do not say so, but in evaluation mode they do."""


def has_visible_mutation(graph: fx.Graph) -> bool:
    """Whether some in-place operation is more than its pure sibling.

    ``relu_(x)`` may be read as ``relu(x)`` where ``x`` is an operation's own result, nothing reads
    ``x`` later, and no other tensor shares its memory. Says True too often rather than too seldom.
    """
    order = {node: i for i, node in enumerate(graph.nodes)}
    return any(
        not _owns_memory(changed) or any(_sees(user, node, order) for user in changed.users)
        for node in graph.nodes
        for changed in _changed(node)
    )


def drop_dropout(program: ExportedProgram) -> None:
    """Puts the input of each dropout in its place.

    In evaluation mode it is the same tensor; torch's decomposition would make a copy of it.
    """
    for node in list(program.graph.nodes):
        target = node.target
        if isinstance(target, torch._ops.OpOverload) and target._opname in _MAY_RETURN_ITS_INPUT:
            (source,) = node.all_input_nodes
            node.replace_all_uses_with(source)
            program.graph_signature.replace_all_uses(node.name, source.name)
            program.graph.erase_node(node)
    program.graph_module.recompile()


def _changed(node: fx.Node) -> list[fx.Node]:
    """What an operation writes to."""
    target = node.target
    if not isinstance(target, torch._ops.OpOverload) or not target._schema.is_mutable:
        return []
    arguments = zip(target._schema.arguments, node.args, strict=False)
    return [
        read
        for argument, read in arguments
        if argument.alias_info is not None and argument.alias_info.is_write
        if isinstance(read, fx.Node)
    ]


def _sees(user: fx.Node, mutation: fx.Node, order: dict[fx.Node, int]) -> bool:
    if user is mutation:
        return False
    return order[user] > order[mutation] or _is_view(user)


def _owns_memory(node: fx.Node) -> bool:
    """Whether ``node`` made the tensor: no input, no view, no element of a tuple."""
    return isinstance(node.target, torch._ops.OpOverload) and not _is_view(node)


def _is_view(node: fx.Node) -> bool:
    """Whether the result may share memory with an input, other than by changing it."""
    target = node.target
    if not isinstance(target, torch._ops.OpOverload):
        return True
    if target._opname in _MAY_RETURN_ITS_INPUT:
        return True
    returned = (result.alias_info for result in target._schema.returns)
    return any(alias is not None and not alias.is_write for alias in returned)
