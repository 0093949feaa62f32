"""The oracle: TensorFlow runs the uncut graph under the seeds that the schedules are given."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from party.plan import Plan
from party.plan.parameters import PlanParameters
from tests.harness import plans
from tests.harness.plans import compiled


def with_injected_seeds(plan: Plan) -> Plan:
    """The same plan, but for its seeds: they are fed instead of drawn."""
    operations = tuple(
        replace(o, kind="Placeholder") if o.kind == "KitSeed" else o for o in plan.operations
    )
    return replace(plan, operations=operations)


State = list[list[Any]]


@dataclass(frozen=True)
class Uncut:
    """The graph as it was built, in one TensorFlow session of another process."""

    parameters: PlanParameters

    @property
    def plan(self) -> Plan:
        """The plan of the same graph."""
        return plans.plan(self.parameters)

    def step(self, state: State, batches: dict[int, Any], seeds: dict[str, Any]) -> State:
        """The shares after one step."""
        return compiled(_step, self.parameters, state, batches, seeds)

    def reveal(self, state: State) -> Any:
        """The opened model, in fixed point."""
        return compiled(_reveal, self.parameters, state)

    def fresh_seeds(self) -> dict[str, Any]:
        """For each seed of the plan, 32 random bytes."""
        return {
            o.name: np.frombuffer(secrets.token_bytes(32), np.int32)
            for o in self.plan.operations
            if o.kind == "KitSeed"
        }


@cache
def _session(parameters: PlanParameters) -> tuple[Any, Plan]:
    """A session of the whole graph, whose seeds are fed; names are those of the plan."""
    import tensorflow as tf

    from party.compiler.build import build, build_graph

    plan = build(parameters)
    graph, _ = build_graph(parameters)
    definition = graph.as_graph_def()
    for node in definition.node:
        node.device = ""
    whole = tf.Graph()
    seeds = [o.name for o in plan.operations if o.kind == "KitSeed"]
    with whole.as_default():
        fed = {f"{n}:0": tf.compat.v1.placeholder(tf.int32, [8], f"fed/{n}") for n in seeds}
        tf.import_graph_def(definition, input_map=fed, name="")
    return tf.compat.v1.Session(graph=whole), plan


def _step(
    parameters: PlanParameters, state: State, batches: dict[int, Any], seeds: dict[str, Any]
) -> State:
    session, plan = _session(parameters)
    feed = {f"{plan.inputs[party]}:0": batch for party, batch in batches.items()}
    feed |= {f"fed/{name}:0": seed for name, seed in seeds.items()}
    names = [[f"{after}:0" for _, after in pairs] for pairs in plan.state]
    result: State = session.run(names, feed | _fed(plan, state))
    return result


def _reveal(parameters: PlanParameters, state: State) -> Any:
    session, plan = _session(parameters)
    return session.run(f"{plan.result}:0", _fed(plan, state))


def _fed(plan: Plan, state: State) -> dict[str, Any]:
    return {
        f"{before}:0": share
        for pairs, shares in zip(plan.state, state, strict=True)
        for (before, _), share in zip(pairs, shares, strict=True)
    }
