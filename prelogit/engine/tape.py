"""A decode step written down: the model's own forward, recorded once as a flat list of operations.

A step of a small model spends as long in Python as in arithmetic. So its forward is run once on
tensors without memory, with the number of rows left open, and what it does to them is recorded;
played back, the same operations follow each other without the modules around them. It is the
model's own code that is recorded, so there is no list of architectures; one whose forward looks
at the numbers themselves cannot be recorded and runs as it is.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.experimental.proxy_tensor import make_fx

from prelogit.engine.attention import Attend
from prelogit.engine.decoder import Step, own_step
from prelogit.engine.packed import PackedLinear, Part

log = logging.getLogger("prelogit.engine")

# Steps after which the seconds of recording come back within a few prompts.
_OFTEN = 256

# Marks of what is not recorded but called: they compute nothing, only shapes.
torch.library.define("prelogit::linear", "(Tensor x, int number, int features) -> Tensor")
torch.library.define(
    "prelogit::attend",
    "(int layer, Tensor query, Tensor key, Tensor value, float scale, int? window, "
    "float? softcap) -> Tensor",
)


@torch.library.register_fake("prelogit::linear")  # type: ignore[untyped-decorator]
def _linear_shape(x: Tensor, number: int, features: int) -> Tensor:
    return x.new_empty(*x.shape[:-1], features)


@torch.library.register_fake("prelogit::attend")  # type: ignore[untyped-decorator]
def _attend_shape(
    layer: int,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    scale: float,
    window: int | None,
    softcap: float | None,
) -> Tensor:
    return query.new_empty(query.shape[0], 1, query.shape[1], value.shape[-1])


_LINEAR, _ATTEND = torch.ops.prelogit.linear.default, torch.ops.prelogit.attend.default

# The same operations by their shorter way into torch.
_QUICK: dict[Any, Callable[..., Any]] = {
    torch.ops.aten.add.Tensor: torch.add,
    torch.ops.aten.mul.Tensor: torch.mul,
    torch.ops.aten.neg.default: torch.neg,
    torch.ops.aten.cat.default: torch.cat,
    torch.ops.aten.rsqrt.default: torch.rsqrt,
    torch.ops.aten.silu.default: nn.functional.silu,
    torch.ops.aten.pow.Tensor_Scalar: torch.pow,
    torch.ops.aten.unsqueeze.default: torch.unsqueeze,
    torch.ops.aten.transpose.int: torch.transpose,
    torch.ops.aten.mean.dim: torch.mean,
}
_CAST: dict[Any, str] = {torch.float32: "float", torch.bfloat16: "bfloat16", torch.float16: "half"}


def recorded_later(decoder: nn.Module, layers: int, after: int = _OFTEN) -> Step:
    """The model's own forward at first, and its record once it has run so often that it pays.

    The record does the same operations on the same numbers, so nobody can tell from the results.
    """
    own, calls = own_step(decoder, layers), 0
    current = own

    def step(token_ids: Tensor, position: Tensor, attend: Attend) -> Tensor:
        nonlocal current, calls
        calls += 1
        if calls == after:
            try:
                current = record(decoder, layers)
            except Exception as error:  # noqa: BLE001 - any failure means: this one cannot be
                log.info("the step cannot be recorded (%s)", type(error).__name__)
        return current(token_ids, position, attend)

    return step


def record(decoder: nn.Module, layers: int) -> Step:
    """The step of a decoder whose attention is the shared one and whose layers are packed.

    Raises: Exception: any; this forward cannot be recorded.
    """
    # Two tensors: what is the same tensor would be recorded as one input.
    token_ids, position = (torch.zeros(3, 1, dtype=torch.long) for _ in range(2))
    own = own_step(decoder, layers)
    with torch.inference_mode(False), torch.no_grad(), _numbered(decoder) as linears:
        recorded = make_fx(
            lambda token_ids, position: own(token_ids, position, _ATTEND),
            tracing_mode="symbolic",
            _allow_non_fake_inputs=True,
        )(token_ids, position)
    _share(recorded.graph)
    _shorten(recorded.graph)
    _connect(recorded.graph, linears)
    recorded.recompile()
    step: Step = recorded.forward
    return step


def _connect(graph: fx.Graph, linears: Sequence[PackedLinear | Part]) -> None:
    """Put real calls in the place of marks; layers that are packed as one are called once."""
    _, position = (node for node in graph.nodes if node.op == "placeholder")
    with graph.inserting_after(position):
        attend = graph.placeholder("attend")
    wholes: dict[tuple[int, fx.Node], fx.Node] = {}
    for node in list(graph.nodes):
        if node.target is _ATTEND:
            node.op, node.target, node.args = "call_method", "__call__", (attend, *node.args)
        elif node.target is _LINEAR:
            x, number, _ = node.args
            layer = linears[number]
            whole = layer.whole.packed if isinstance(layer, Part) else layer
            with graph.inserting_before(node):
                if (id(whole), x) not in wholes:
                    wholes[id(whole), x] = graph.call_function(whole.forward, (x,))
            out = wholes[id(whole), x]
            if isinstance(layer, Part):
                node.target = torch.narrow
                node.args = (out, -1, layer.start, layer.out_features)
            else:
                node.replace_all_uses_with(out)
                graph.erase_node(node)


def _shorten(graph: fx.Graph) -> None:
    """Call the same operations by ways that take less of Python's time; while shapes are known."""
    for node in graph.nodes:
        if node.op != "call_function":
            continue
        if node.target in _QUICK:
            node.target = _QUICK[node.target]
        elif node.target is torch.ops.aten.view.default:
            node.op, node.target, node.args = "call_method", "view", (node.args[0], *node.args[1])
        elif node.target is torch.ops.aten._to_copy.default:
            _shorten_cast(node)
        elif node.target is torch.ops.aten.slice.Tensor:
            _shorten_slice(node)


def _shorten_cast(node: fx.Node) -> None:
    """What changes the type, which makes a copy in the short way too, and nothing but the type."""
    (x,) = node.all_input_nodes
    old = x.meta["val"]
    rest = dict(node.kwargs)
    dtype = rest.pop("dtype", None)
    same = all(name in ("device", "layout") and getattr(old, name) == rest[name] for name in rest)
    if same and dtype in _CAST and dtype != old.dtype:
        node.op, node.target, node.args, node.kwargs = "call_method", _CAST[dtype], (x,), {}


def _shorten_slice(node: fx.Node) -> None:
    """A part without steps, of an axis whose length is the same for any number of rows."""
    if len(node.args) != 4 or node.kwargs:
        return
    x, dim, start, end = node.args
    length = x.meta["val"].shape[dim]  # type: ignore[union-attr]
    if all(isinstance(one, int) for one in (length, start, end)):
        start, stop, _ = slice(start, end).indices(length)
        node.op, node.target, node.args = "call_method", "narrow", (x, dim, start, stop - start)


@contextmanager
def _numbered(decoder: nn.Module) -> Iterator[list[PackedLinear | Part]]:
    """Linear layers leave a mark with their number instead of computing."""
    found: list[PackedLinear | Part] = []
    inside = {id(module.whole.packed) for module in decoder.modules() if isinstance(module, Part)}

    def mark(number: int, features: int) -> Callable[[Tensor], Tensor]:
        return lambda x: torch.ops.prelogit.linear(x, number, features)

    try:
        for module in decoder.modules():
            if isinstance(module, PackedLinear | Part) and id(module) not in inside:
                module.forward = mark(len(found), module.out_features)  # type: ignore[assignment, method-assign]
                found.append(module)
        yield found
    finally:
        for module in found:
            del module.forward


def _share(graph: fx.Graph) -> None:
    """Compute what is computed alike in several layers once; none of it is written to."""
    seen: dict[Any, fx.Node] = {}
    for node in graph.nodes:
        if node.op not in ("call_function", "get_attr") or node.target in (_LINEAR, _ATTEND):
            continue
        name = (node.op, node.target, repr(node.args), repr(node.kwargs))
        if name in seen:
            node.replace_all_uses_with(seen[name])
            graph.erase_node(node)
        else:
            seen[name] = node
