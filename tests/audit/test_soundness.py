"""What passes the audit is secret: by counting every outcome of small random plans.

Each random bit and each secret bit takes all its values. A view is secret when every view is
equally frequent for all values of the others' secrets.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from party.audit.flow import Flows
from party.audit.numbering import Numbering
from party.audit.view import view
from party.plan.cut import PartyProgram, cut
from party.plan.graph import Operation, Program
from tests.audit.circuits import Circuit
from tests.audit.interpreter import Interpreter

Tree = Any
"""A leaf's name, or an operation and the trees of its inputs."""


def received(program: Program) -> PartyProgram:
    return cut(program).parts[0]


def passes(program: Program) -> bool:
    numbering = Numbering(program)
    return not view(received(program), numbering, Flows(program, numbering)).leaks


def is_secret(program: Program) -> bool:
    """Whether alice's view has the same distribution for all secrets of the others."""
    secrets = [o for o in program.operations if o.kind == "Placeholder" and o.party != 0]
    uniforms = [o for o in program.operations if o.kind == "KitUniform"]
    bits = secrets[0].dtype.kind == "b"
    # Of a byte, three secrets will do: the claim is for all of them, a counter-example for one.
    others = _product([[False, True] if bits else [0, 1, -77]] * sum(o.size for o in secrets))
    streams = {o.inputs[1]: o for o in uniforms}
    ranges = [range(*_bounds(program, o)) for o in streams.values() for _ in range(o.size)]
    random = _product(ranges)

    runs = len(random) * len(others)
    fed = {o.name: np.zeros((runs, 8), np.int32) for o in program.operations if o.kind == "KitSeed"}
    for o in program.operations:
        if o.kind == "Placeholder" and o.party == 0:
            fed[o.name] = np.zeros((runs, o.size), o.dtype)
    at = 0
    for o in secrets:
        fed[o.name] = np.repeat(others[:, at : at + o.size], len(random), axis=0).astype(o.dtype)
        at += o.size
    values, at = {}, 0
    for seed, o in streams.items():
        values[seed] = np.tile(random[:, at : at + o.size], (len(others), 1)).astype(o.dtype)
        at += o.size

    made = Interpreter(program).run(runs, fed, lambda o, seeds: values[o.inputs[1]])
    messages = {m.tensor for inbox in received(program).receives.values() for m in inbox}
    # Whoever is sent a seed knows what grows from it.
    seen = messages | {o.name for o in uniforms if o.inputs[1] in messages}
    columns = [made[name].astype(np.int8) for name in sorted(seen)]
    return _equally_frequent(np.hstack([*columns, np.ones((runs, 1), np.int8)]), len(others))


def _equally_frequent(seen: npt.NDArray[np.int8], worlds: int) -> bool:
    """Whether the rows of each of some worlds, one below the other, are the same ones."""
    packed = np.ascontiguousarray(seen).view(f"S{seen.shape[1]}")  # never ends with a zero
    _, kind = np.unique(packed, return_inverse=True)
    kind = kind.reshape(worlds, -1)
    counts = [np.bincount(row, minlength=kind.max() + 1) for row in kind]
    return all(np.array_equal(one, other) for one, other in pairwise(counts))


def _bounds(program: Program, uniform: Operation) -> tuple[int, int]:
    low, high = (int(np.asarray(program.by_name[name].value)) for name in uniform.inputs[2:])
    ring = np.iinfo(uniform.dtype)
    return low, high + ((low, high) == (ring.min, ring.max))


def _product(values: list[Any]) -> npt.NDArray[Any]:
    """All combinations, one a row, of one value of each list."""
    grid = [axis.reshape(-1) for axis in np.meshgrid(*values, indexing="ij")]
    return np.stack(grid, axis=1) if grid else np.zeros((1, 0), np.int64)


def circuit_over_bits() -> tuple[Circuit, dict[str, str]]:
    """Secrets of bob and the server, two rows of a stream, three more streams, a seed."""
    circuit = Circuit(bool)
    seeds = [circuit.seed(party) for party in (1, 1, 2)]
    rows = circuit.uniform(seeds[0], 1, rows=2)
    leaves = {"a": circuit.secret(1), "b": circuit.secret(2)}
    leaves |= {"v": circuit.row(rows, 0, 1), "w": circuit.row(rows, 1, 1)}
    leaves |= {"r": circuit.uniform(seeds[1], 1), "s": circuit.uniform(seeds[2], 2)}
    leaves |= {"q": circuit.uniform(circuit.seed(1), 1)}
    return circuit, leaves | {"seed of r": seeds[1]}


def circuit_over_bytes() -> tuple[Circuit, dict[str, str]]:
    """Secrets of bob and the server, a random byte, and one of half the range."""
    circuit = Circuit(np.int8, length=1)
    leaves = {"a": circuit.secret(1), "b": circuit.secret(2)}
    leaves |= {"r": circuit.uniform(circuit.seed(1), 1)}
    leaves |= {"half": circuit.uniform(circuit.seed(2), 2, low=-64, high=64)}
    return circuit, leaves | {str(n): circuit.constant([n], np.int8) for n in (-1, 2, 3, 5)}


def sending(made: tuple[Circuit, dict[str, str]], trees: Iterable[Tree]) -> Program:
    """The plan in which alice is sent what the trees say, all of it computed by bob."""
    circuit, leaves = made
    names = dict.fromkeys(_grown(circuit, leaves, tree) for tree in trees)
    return circuit.program(list(names), 0)


def _grown(circuit: Circuit, leaves: dict[str, str], tree: Tree) -> str:
    if isinstance(tree, str):
        return leaves[tree]
    kind, *inputs = tree
    values = [_grown(circuit, leaves, each) for each in inputs]
    match kind:
        case "LogicalXor":
            either, both = (circuit.add(k, 1, *values) for k in ("LogicalOr", "LogicalAnd"))
            return circuit.add("LogicalAnd", 1, either, circuit.add("LogicalNot", 1, both))
        case "crossed":
            return circuit.crossed(values[0], values[1], 1)
        case "reversed" | "repeated":
            return circuit.picked(values[0], (1, int(kind == "repeated")), 1)
        case "stretched":
            first = circuit.picked(values[0], (0,), 1)
            return circuit.add("NotEqual", 1, first, values[1])
    return circuit.add(kind, 1, *values)


def trees(leaves: str, kinds: dict[str, int], *more: str) -> st.SearchStrategy[Tree]:
    """Trees of operations of so many inputs."""

    def grow(below: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
        return st.one_of(
            [st.tuples(st.just(kind), *[below] * inputs) for kind, inputs in kinds.items()]
        )

    return st.recursive(st.sampled_from([*leaves, *more]), grow, max_leaves=4)


MASKED = {"NotEqual": 2, "Equal": 2, "LogicalXor": 2}
MOVED = {"crossed": 2, "reversed": 1, "repeated": 1, "stretched": 2}
BITS = trees("abvwrs", MASKED | MOVED | {"LogicalAnd": 2, "LogicalNot": 1, "SelectV2": 3})
BYTES = trees(
    "arb",
    {"AddV2": 2, "Sub": 2, "BitwiseXor": 2, "BitwiseAnd": 2, "Mul": 2, "Neg": 1, "Invert": 1},
    *("half", "-1", "2", "3"),
)


def sound(program: Program) -> bool:
    """Whether the audit does not let pass what is not secret."""
    return not passes(program) or is_secret(program)


DEPENDENT_PARTS = (
    "crossed",
    ("NotEqual", "r", ("LogicalAnd", ("reversed", "s"), "a")),
    ("NotEqual", "s", ("LogicalAnd", ("reversed", "r"), "b")),
)


@settings(max_examples=300)
@example(sent=[DEPENDENT_PARTS], seed=False)
@example(sent=[("NotEqual", "a", ("repeated", "r"))], seed=False)
@given(sent=st.lists(BITS, min_size=1, max_size=3), seed=st.booleans())
def test_what_passes_is_secret_over_bits(sent: list[Tree], seed: bool) -> None:
    assert sound(sending(circuit_over_bits(), [*sent, "seed of r"] if seed else sent))


@settings(max_examples=150)
@example(sent=[("AddV2", ("Mul", "r", "2"), "a")])
@given(sent=st.lists(BYTES, min_size=1, max_size=2))
def test_what_passes_is_secret_over_bytes(sent: list[Tree]) -> None:
    assert sound(sending(circuit_over_bytes(), sent))


CHOICE = ("NotEqual", "b", "s")
ZERO, ONE = ("NotEqual", "a", "r"), ("NotEqual", ("LogicalAnd", "a", CHOICE), "r")
TRANSFER: dict[str, Tree] = {
    "zero": ("NotEqual", ZERO, "v"),
    "one": ("NotEqual", ONE, "w"),
    "mask": ("SelectV2", CHOICE, "w", "v"),
    "choice": CHOICE,
    "more": "-",
}
"""An oblivious transfer as ABY3's: two masked messages, the mask that the choice selects."""

FLAWS: dict[str, list[Tree]] = {
    "zero": [
        "-",
        *(("NotEqual", x, "v") for x in ("a", "r", ("NotEqual", "a", ("reversed", "r")))),
        *(("NotEqual", ("NotEqual", "a", x), "v") for x in "sw"),
        *(("NotEqual", ZERO, x) for x in ("w", ("reversed", "v"), ("NotEqual", "v", "w"))),
    ],
    "one": [
        "-",
        *(("NotEqual", x, "w") for x in ("a", "r", ("NotEqual", "a", ("reversed", "r")))),
        *(("NotEqual", ("NotEqual", "b", x), "w") for x in "rs"),
        ("NotEqual", ("NotEqual", ONE, "q"), "w"),
        *(("NotEqual", ONE, x) for x in ("v", ("reversed", "w"), ("NotEqual", "v", "w"))),
    ],
    "mask": [
        "-",
        *(("SelectV2", CHOICE, one, zero) for one in "vwr" for zero in "vwr"),
        *(("SelectV2", c, "w", "v") for c in ("b", "r", "s", "v", ("reversed", CHOICE))),
        *(
            ("SelectV2", CHOICE, x, "v")
            for x in (("reversed", "w"), *(("NotEqual", "w", x) for x in "ar"))
        ),
        ("SelectV2", CHOICE, "w", ("repeated", "v")),
        ("stretched", "w", "v"),
    ],
    "choice": ["-", "b", "s", ("LogicalNot", CHOICE), ("NotEqual", CHOICE, "r")],
    "more": [
        *("v", "r", "s", "seed of r"),
        *(("LogicalAnd", "w", x) for x in "av"),
        *(("NotEqual", *two) for two in ("aw", "bv", "br", "rq")),
    ],
}
"""What may be in a transfer instead; ``-`` is nothing."""


def transfer(flaws: dict[str, Tree]) -> Program:
    sent = TRANSFER | flaws
    return sending(circuit_over_bits(), [tree for tree in sent.values() if tree != "-"])


def test_a_proper_transfer_passes() -> None:
    assert passes(transfer({}))


@pytest.mark.parametrize("part", FLAWS)
def test_what_passes_is_secret_in_transfers_with_up_to_two_flaws(part: str) -> None:
    for flaw in FLAWS[part]:
        assert sound(transfer({part: flaw}))
        for other in list(FLAWS)[: list(FLAWS).index(part)]:
            for second in FLAWS[other]:
                flaws = {part: flaw, other: second}
                assert sound(transfer(flaws)), flaws


@settings(max_examples=100)
@given(flaws=st.fixed_dictionaries({k: st.sampled_from(v) for k, v in FLAWS.items()}))
def test_what_passes_is_secret_in_transfers_with_many_flaws(flaws: dict[str, Tree]) -> None:
    assert sound(transfer(flaws))
