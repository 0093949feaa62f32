"""The referee: TensorFlow runs the uncut graph under the seeds that the schedules are given."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from party.plan import Plan
from party.plan.build import build, build_graph
from party.plan.parameters import PlanParameters


def with_injected_seeds(plan: Plan) -> Plan:
    """The same plan, but for its seeds: they are fed instead of drawn."""
    operations = tuple(
        replace(o, kind="Placeholder") if o.kind == "KitSeed" else o for o in plan.operations
    )
    return replace(plan, operations=operations)


@dataclass
class Uncut:
    """The graph as it was built, in one TensorFlow session."""

    plan: Plan
    session: Any
    built: Any

    @classmethod
    def of(cls, parameters: PlanParameters) -> Uncut:
        """Builds plan and graph; both of the same coins, so by the same names."""
        import tensorflow as tf

        plan = build(parameters)
        graph, built = build_graph(parameters)
        definition = graph.as_graph_def()
        for node in definition.node:
            node.device = ""
        whole = tf.Graph()
        seeds = [o.name for o in plan.operations if o.kind == "KitSeed"]
        with whole.as_default():
            fed = {f"{n}:0": tf.compat.v1.placeholder(tf.int32, [8], f"fed/{n}") for n in seeds}
            tf.import_graph_def(definition, input_map=fed, name="")
        return cls(plan, tf.compat.v1.Session(graph=whole), built)

    def step(
        self, state: list[list[Any]], batches: dict[int, Any], seeds: dict[str, Any]
    ) -> list[list[Any]]:
        """The shares after one step."""
        feed = {f"{self.plan.inputs[party]}:0": batch for party, batch in batches.items()}
        feed |= {f"fed/{name}:0": seed for name, seed in seeds.items()}
        feed |= self._state(state)
        names = [[f"{after}:0" for _, after in pairs] for pairs in self.plan.state]
        result: list[list[Any]] = self.session.run(names, feed)
        return result

    def reveal(self, state: list[list[Any]]) -> Any:
        """The opened model, in fixed point."""
        return self.session.run(f"{self.plan.result}:0", self._state(state))

    def _state(self, state: list[list[Any]]) -> dict[str, Any]:
        return {
            f"{before}:0": share
            for pairs, shares in zip(self.plan.state, state, strict=True)
            for (before, _), share in zip(pairs, shares, strict=True)
        }

    def fresh_seeds(self) -> dict[str, Any]:
        """For each seed of the plan, 32 random bytes."""
        return {
            o.name: np.frombuffer(secrets.token_bytes(32), np.int32)
            for o in self.plan.operations
            if o.kind == "KitSeed"
        }
