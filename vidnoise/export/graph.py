"""What is done to ONNX graphs that neither PyTorch's exporter nor onnxruntime does."""

from __future__ import annotations

from typing import Any

CONVOLUTIONS = ("Conv", "ConvTranspose")


def strip(model: Any) -> None:
    """Take out in which line of which source each node was made, and the shapes in between, which engines find out."""
    for part in (*model.graph.node, *model.graph.input, *model.graph.output, *model.graph.initializer):
        part.ClearField("metadata_props")
    model.graph.ClearField("metadata_props")
    model.ClearField("metadata_props")
    model.graph.ClearField("value_info")


def tidy(model: Any) -> None:
    """Take out the constants that nothing needs any more, and what decodes them."""
    graph = model.graph
    needed = {name for node in graph.node for name in node.input} | {port.name for port in graph.output}
    nodes = [node for node in graph.node if needed.intersection(node.output)]
    needed = {name for node in nodes for name in node.input}
    held = [part for part in graph.initializer if part.name in needed]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(held)


def number(model: Any) -> None:
    """Call what is computed by numbers, and the nodes nothing: in small networks names weigh as much as layers."""
    computed = [name for node in model.graph.node for name in node.output]
    given = {port.name for port in model.graph.output}
    short = {name: f"{i:x}" for i, name in enumerate(name for name in computed if name not in given)}
    for node in model.graph.node:
        node.ClearField("name")
        node.input[:] = [short.get(name, name) for name in node.input]
        node.output[:] = [short.get(name, name) for name in node.output]


def pictorial(graph: Any) -> list[str]:
    """The nodes that see pictures or give them: the first convolutions, all before them, and all after the last ones."""
    shown = {port.name for port in graph.input}
    for node in graph.node:
        if node.op_type not in CONVOLUTIONS and shown.intersection(node.input):
            shown.update(node.output)
    wanted = {port.name for port in graph.output}
    for node in reversed(graph.node):
        if node.op_type not in CONVOLUTIONS and wanted.intersection(node.output):
            wanted.update(node.input)
            shown.update(node.output)
    return [node.name for node in graph.node if shown.intersection((*node.input, *node.output))]
