"""The oracle: TensorFlow runs the uncut graphs under the seeds that the schedules are given."""

from __future__ import annotations

import secrets
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from party.plan import Plan, PlanParameters, Program, Share
from tests.harness import plans
from tests.harness.plans import compiled


def with_injected_seeds(plan: Plan) -> Plan:
    """The same plan, but for its seeds: they are fed instead of drawn."""
    return replace(plan, programs=tuple(map(_injected, plan.programs)))


def _injected(program: Program) -> Program:
    operations = tuple(
        replace(o, kind="Placeholder", name=f"{program.name}/{o.name}") if o.kind == SEED else o
        for o in program.operations
    )
    seeds = {o.name for o in program.operations if o.kind == SEED}
    renamed = tuple(
        replace(o, inputs=tuple(f"{program.name}/{n}" if n in seeds else n for n in o.inputs))
        for o in operations
    )
    return replace(program, operations=renamed)


SEED = "KitSeed"

State = dict[Share, Any]
"""The whole of each share of the state."""


@dataclass(frozen=True)
class Uncut:
    """The graphs as they were built, in TensorFlow sessions of another process."""

    parameters: PlanParameters
    short: bool = False

    @property
    def plan(self) -> Plan:
        """The plan of the same graphs."""
        return (plans.short_plan if self.short else plans.plan)(self.parameters)

    def fresh_state(self) -> State:
        """What the state is before the first program."""
        return {
            Share(value.name, party, position): np.zeros(value.shape, value.dtype)
            for value in self.plan.state
            for party, held in enumerate(value.parts)
            for position in range(len(held))
        }

    def run(
        self,
        name: str,
        state: State,
        tables: dict[int, Any],
        rows: Any,
        seeds: dict[str, Any],
    ) -> tuple[State, dict[tuple[int, str], Any]]:
        """The state after one run of a program over some rows, and what it opens."""
        plan, program = self.plan, self.plan.by_name[name]
        by_rows = {value.name for value in plan.state if value.by_rows}
        feed = {
            i.operation: tables[i.party][
                rows, i.first : i.first + program.by_name[i.operation].shape[1]
            ]
            for i in program.inputs
        }
        for slot in program.reads:
            whole = state[slot.share]
            feed[slot.operation] = whole[rows] if slot.share.value in by_rows else whole
        wanted = [slot.operation for slot in program.writes]
        wanted += [opening.operation for opening in program.opens]
        # A program that leaves and opens nothing has no operations, and so no graph to run.
        words = (self.parameters, self.short, name, wanted, feed, seeds)
        found = compiled(_run, *words) if wanted else []
        after = {share: value.copy() for share, value in state.items()}
        for slot, new in zip(program.writes, found, strict=False):
            if slot.share.value in by_rows:
                after[slot.share][rows] = new
            else:
                after[slot.share] = new
        opened = {}
        for opening, new in zip(program.opens, found[len(program.writes) :], strict=True):
            party = program.by_name[opening.operation].party
            assert party is not None
            opened[party, opening.value] = new
        return after, opened

    def fresh_seeds(self, name: str) -> dict[str, Any]:
        """For each seed of a program, 32 random bytes."""
        return {
            o.name: np.frombuffer(secrets.token_bytes(32), np.int32)
            for o in self.plan.by_name[name].operations
            if o.kind == SEED
        }


@cache
def _session(parameters: PlanParameters, short: bool, name: str) -> Any:
    """A session of a whole graph, whose seeds are fed; names are those of the plan."""
    import tensorflow as tf

    from party.compiler.build import build_program

    with plans.shortened() if short else nullcontext():
        built = build_program(parameters, name)
    program = built.extracted()
    definition = built.graph.as_graph_def()
    for node in definition.node:
        node.device = ""
    whole = tf.Graph()
    seeds = [o.name for o in program.operations if o.kind == SEED]
    with whole.as_default():
        fed = {f"{n}:0": tf.compat.v1.placeholder(tf.int32, [8], f"fed/{n}") for n in seeds}
        tf.import_graph_def(definition, input_map=fed, name="")
    return tf.compat.v1.Session(graph=whole)


def _run(
    parameters: PlanParameters,
    short: bool,
    name: str,
    wanted: list[str],
    feed: dict[str, Any],
    seeds: dict[str, Any],
) -> list[Any]:
    session = _session(parameters, short, name)
    fed = {f"{key}:0": value for key, value in feed.items()}
    fed |= {f"fed/{key}:0": seed for key, seed in seeds.items()}
    result: list[Any] = session.run([f"{key}:0" for key in wanted], fed)
    return result
