"""In no program is a seed used for two draws, so that no mask hides two things."""

from __future__ import annotations

from collections import defaultdict

import pytest

from party.plan.parameters import PlanParameters
from tests.harness.plans import compiled, small_job

pytestmark = pytest.mark.slow

Draw = tuple[str, tuple[int, ...], str, int, int]
"""Where in the protocol it is made, the shape, the type and the interval of what is drawn."""


def draws_by_seed(parameters: PlanParameters, program: str) -> dict[bytes, set[Draw]]:
    """Runs a program's seeds on this machine; for each seed, what is drawn from it by whomever."""
    import tensorflow as tf

    from party.compiler.build import build_program

    graph = build_program(parameters, program).graph
    uniforms = [op for op in graph.get_operations() if op.type == "KitUniform"]
    definition = graph.as_graph_def()
    for node in definition.node:
        node.device = ""
    with tf.Graph().as_default() as local, tf.compat.v1.Session() as session:
        tf.import_graph_def(definition, name="")
        inputs = [[local.get_tensor_by_name(i.name) for i in op.inputs[1:]] for op in uniforms]
        values = session.run(inputs)
    draws = defaultdict(set)
    for op, (seed, low, high) in zip(uniforms, values, strict=True):
        out = op.outputs[0]
        place = op.name.rpartition("/")[0]
        draws[seed.tobytes()].add(
            (place, tuple(out.shape.as_list()), out.dtype.name, int(low), int(high))
        )
    return dict(draws)


@pytest.mark.parametrize("program", ["share", "step"])
@pytest.mark.parametrize("protocol", ["pond", "aby3", "securenn"])
def test_no_seed_serves_two_draws(protocol: str, program: str) -> None:
    draws = compiled(draws_by_seed, PlanParameters.of(small_job(protocol, 5, 7)), program)
    assert len(draws) > (9 if program == "step" else 0)
    assert [places for places in draws.values() if len(places) > 1] == []
