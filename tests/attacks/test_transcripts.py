"""No party can tell from what it receives what the others hold.

A game: a coin chooses between two worlds that differ in all that is private to the others (no
features or large ones, labels 0 or 1, other weights), a step is played by the native executors, and
the party, which knows the protocol and all that it received and drew itself, is to say which world
it was. It tries the statistics of every received tensor, a trained classifier, and linear algebra.

The chance that any of these tests fails where nothing is wrong is below one in a million.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

from party.agreement.job import AlignedJob, Evaluation, Job, Sizes
from party.audit import audit
from party.plan import Plan
from party.plan.graph import Operation, Program, Share
from party.plan.parameters import PlanParameters
from tests.attacks import distinguishers
from tests.attacks.conftest import Tried
from tests.attacks.distinguishers import LEVEL, both_worlds_look_alike
from tests.attacks.transcripts import (
    DESCENT,
    EVALUATION,
    FOLDS,
    INFORMATION,
    RESIDUALS,
    SAMPLED,
    Array,
    Seen,
    Theatre,
    blocks,
    messages,
    together,
    tossed,
    worlds,
    worlds_of_descents,
    worlds_of_matched_rows,
    worlds_of_one_model,
)
from tests.audit.conftest import (
    PROTOCOLS,
    SPLIT,
    descent_job,
    sampled_job,
    small_samples,
)
from tests.audit.mutants import with_program
from tests.harness.plans import short_plan, small_grid, small_job
from tests.schedule.oracle import with_injected_seeds

pytestmark = [pytest.mark.slow, pytest.mark.drawn]

STEPS = 2400
ROUNDED = 100
"""By so many of its smallest units the model differs from one step to another, where all but masks
and shares is the same: a wave is rounded as its phases fall."""

NAMES = ("alice", "bob", "server")
OBSERVERS = [(protocol, party) for protocol in PROTOCOLS for party in (0, 1)]

Game = tuple[list[Seen], Array]
"""What each party saw, and the coins."""

Played = Callable[[str, int], Game]


def played_plan(protocol: str) -> Plan:
    """Of two rows of one column, with a short sum of sines: what repeats adds nothing to see."""
    return short_plan(PlanParameters.of(small_job(protocol, columns=1, batch=2)))


@pytest.fixture(scope="module")
def theatre(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Theatre]:
    """A theatre for each protocol."""

    @cache
    def opened(protocol: str) -> Theatre:
        return Theatre(played_plan(protocol), tmp_path_factory.mktemp(protocol))

    return opened


@pytest.fixture(scope="module")
def played(theatre: Callable[[str], Theatre]) -> Iterator[Played]:
    """The game with worlds that are the same for a party."""

    @cache
    def game(protocol: str, observer: int) -> Game:
        here, coins = theatre(protocol), tossed(STEPS)
        return here.play(worlds(here.plan, observer), coins), coins

    yield game
    game.cache_clear()


def named(value: object) -> str | None:
    return NAMES[value] if isinstance(value, int) else None


@pytest.mark.parametrize(("protocol", "observer"), OBSERVERS, ids=named)
def test_a_party_cannot_tell_one_world_from_another(
    played: Played, tried: Tried, protocol: str, observer: int
) -> None:
    views, coins = played(protocol, observer)
    received = messages(views[observer])
    assert received
    found = distinguishers.evidence(received, coins)
    assert distinguishers.rejected(found, LEVEL) == []
    right, of = distinguishers.guessed(views[observer], coins)
    assert distinguishers.by_chance(right, of) > LEVEL, f"{right} of {of} guessed"
    bits, telling = distinguishers.relations(views[observer], coins)
    assert telling == 0
    who = f"{NAMES[observer]}, {protocol}"
    tried(len(found), f"statistics of {len(received)} messages over {STEPS} steps ({who})")
    tried(of, f"worlds guessed by a trained classifier, {right} rightly ({who})")
    tried(bits, f"lowest bits, of which no sum tells one world from the other ({who})")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_alice_cannot_tell_worlds_of_one_model_with_the_model_either(
    theatre: Callable[[str], Theatre], tried: Tried, protocol: str
) -> None:
    """Which of two rows that are alike has the label is not in the model: then nothing of what she
    saw on the way, taken together with the model and its last bits, may say it."""
    here, coins = theatre(protocol), tossed(STEPS)
    view = here.play(worlds_of_one_model(here.plan), coins, opening=True)[0]
    model = view["the model"]
    rounded = np.abs(model - np.median(model, axis=0)).max()
    assert 0 < rounded <= ROUNDED, "masks and shares move the last bits, and no others"
    assert distinguishers.rejected(distinguishers.evidence({"model": model}, coins), LEVEL) == []
    right, of = distinguishers.guessed(view, coins)
    assert distinguishers.by_chance(right, of) > LEVEL, f"{right} of {of} guessed"
    _, telling = distinguishers.relations(view, coins)
    assert telling == 0
    chance, pairs = distinguishers.linked(model, view, coins)
    assert chance > LEVEL
    tried(of, f"worlds of one model guessed by a trained classifier, {right} rightly ({protocol})")
    tried(pairs, f"pairs of a bit of the model and one that alice saw ({protocol})")


DESCENTS = 1200
"""Of the game with the programs of a descent."""


@pytest.mark.parametrize("observer", [0, 1], ids=named)
@pytest.mark.parametrize("protocol", ["pond", "aby3"])
def test_no_party_of_a_descent_can_either(
    protocol: str, observer: int, tmp_path: Path, tried: Tried
) -> None:
    """Tables that cross, a pass, the question whether to go on, and the way back. SecureNN's
    programs are Pond's; the server receives nothing in any of them."""
    job = descent_job(protocol, 2, **SPLIT | {"features": {"alice": ("x",), "bob": ("z",)}})
    plan, coins = short_plan(PlanParameters.of(job)), tossed(DESCENTS)
    audit(plan, job)
    here = Theatre(plan, tmp_path, played=DESCENT)
    assert here.received(2) == []
    views = here.descend(worlds_of_descents(plan, observer), coins)
    told = both_worlds_look_alike(views, observer, coins)
    who = f"{NAMES[observer]}, a descent of {protocol}"
    count = len(messages(views[observer]))
    tried(told.statistics, f"statistics of {count} messages over {DESCENTS} passes ({who})")
    tried(told.guesses, f"worlds guessed by a trained classifier, {told.right} rightly ({who})")
    tried(told.bits, f"lowest bits, of which no sum tells one world from the other ({who})")


@pytest.mark.parametrize("observer", [0, 1], ids=named)
@pytest.mark.parametrize("protocol", ["pond", "aby3"])
def test_nor_can_one_of_a_descent_with_a_sample_and_weights_of_classes(
    protocol: str, observer: int, tmp_path: Path, tried: Tried
) -> None:
    """Weights of classes that cross and are multiplied by errors, an anchor, and a step that it
    corrects."""
    with small_samples(block_rows=2):
        job = sampled_job(protocol, 6, features={"alice": ("x",), "bob": ("z",)})
        plan, coins = short_plan(PlanParameters.of(job)), tossed(DESCENTS)
        audit(plan, job)
    here = Theatre(plan, tmp_path, played=SAMPLED)
    assert here.received(2) == []
    views = here.descend(worlds_of_descents(plan, observer), coins)
    told = both_worlds_look_alike(views, observer, coins)
    who = f"{NAMES[observer]}, a descent of {protocol} with a sample and weights of classes"
    tried(told.guesses, f"worlds guessed by a trained classifier, {told.right} rightly ({who})")
    tried(told.bits, f"lowest bits, of which no sum tells one world from the other ({who})")


@pytest.mark.parametrize("observer", [0, 1], ids=named)
@pytest.mark.parametrize("protocol", ["pond", "aby3"])
def test_nor_can_one_that_counts_held_out_rows(
    protocol: str, observer: int, tmp_path: Path, tried: Tried
) -> None:
    """Held-out rows of other columns and labels, at other weights: what is seen while they are
    counted and while positives are joined is the same, and only what is opened is not."""
    job = counting_job(protocol, Evaluation(held_out=0.5, minimum=2))
    _counts_look_alike(job, observer, tmp_path, tried, EVALUATION)


@pytest.mark.parametrize("observer", [0, 1], ids=named)
@pytest.mark.parametrize("protocol", ["pond", "aby3"])
def test_nor_can_one_that_counts_the_rows_of_a_fold(
    protocol: str, observer: int, tmp_path: Path, tried: Tried
) -> None:
    """Rows that were shared, at the weights that a fold's training has found, and the way to the
    next one."""
    job = counting_job(protocol, Evaluation(folds=2, minimum=2))
    _counts_look_alike(job, observer, tmp_path, tried, FOLDS)


def counting_job(protocol: str, evaluation: Evaluation) -> Job:
    columns = SPLIT | {"features": {"alice": ("x",), "bob": ("z",)}, "evaluation": evaluation}
    return descent_job(protocol, 8, **columns | {"result": "both"})


def _counts_look_alike(
    job: Job, observer: int, tmp_path: Path, tried: Tried, programs: tuple[str, ...]
) -> None:
    with small_grid():
        plan, coins = short_plan(PlanParameters.of(job)), tossed(DESCENTS)
        audit(plan, job)
        here = Theatre(plan, tmp_path, played=programs)
        assert here.received(2) == []
        pair = (
            worlds_of_matched_rows(plan, job, observer)
            if isinstance(job, AlignedJob)
            else worlds_of_descents(plan, observer)
        )
        views = here.descend(pair, coins)
    told = both_worlds_look_alike(views, observer, coins)
    who = f"{NAMES[observer]}, {job.protocol}, {'matched' if job.matches else 'in order'}"
    tried(told.guesses, f"worlds of held-out rows guessed, {told.right} rightly ({who})")


@pytest.mark.parametrize("observer", [0, 1], ids=named)
@pytest.mark.parametrize("protocol", ["pond", "aby3"])
def test_nor_can_one_that_counts_rows_that_were_matched(
    protocol: str, observer: int, tmp_path: Path, tried: Tried
) -> None:
    """Of which both hold shares, of columns and labels, fresh ones in each run."""
    columns = SPLIT | {"features": {"alice": ("x",), "bob": ("z",)}, "result": "both"}
    evaluation = {"held_out": 0.5, "minimum": 2}
    align = {"key": "id", "minimum": 8}
    agreed = small_job(
        protocol, **columns, align=align, rows=0, training={"passes": 10}, evaluation=evaluation
    )
    job = AlignedJob.of(agreed, Sizes(alice=20, bob=50, common=12))
    _counts_look_alike(job, observer, tmp_path, tried, EVALUATION)


@pytest.mark.parametrize("observer", [0, 1], ids=named)
@pytest.mark.parametrize("protocol", ["pond", "aby3"])
def test_nor_can_one_that_makes_the_information_matrix(
    protocol: str, observer: int, tmp_path: Path, tried: Tried
) -> None:
    """Other columns at other weights: only what is opened at the end is not the same."""
    _matrices_look_alike(protocol, observer, tmp_path, tried, INFORMATION)


@pytest.mark.parametrize("observer", [0, 1], ids=named)
@pytest.mark.parametrize("protocol", ["pond", "aby3"])
def test_nor_can_one_that_adds_up_what_a_model_leaves_of_labels(
    protocol: str, observer: int, tmp_path: Path, tried: Tried
) -> None:
    """Other columns and labels at other weights, in linear regression."""
    _matrices_look_alike(protocol, observer, tmp_path, tried, RESIDUALS, model="linear-regression")


def _matrices_look_alike(
    protocol: str,
    observer: int,
    tmp_path: Path,
    tried: Tried,
    programs: tuple[str, ...],
    **change: Any,
) -> None:
    columns = SPLIT | {"features": {"alice": ("x",), "bob": ("z",)}, "result": "both"}
    with patch("party.agreement.statistics._FEWEST_DEGREES", -9):  # for so few rows
        job = descent_job(protocol, 2, **columns, statistics=True, **change)
    plan, coins = short_plan(PlanParameters.of(job)), tossed(DESCENTS)
    audit(plan, job)
    here = Theatre(plan, tmp_path, played=("share", "prepare", *programs))
    assert here.received(2) == []
    views = here.descend(worlds_of_descents(plan, observer), coins)
    told = both_worlds_look_alike(views, observer, coins)
    who = f"{NAMES[observer]}, {protocol}"
    tried(told.guesses, f"worlds of a matrix guessed, {told.right} rightly ({who})")


def test_a_mask_that_gets_into_the_model_is_told(tmp_path: Path) -> None:
    """The test of the test, and the limit of the audit (docs/audit.md): Bob sends his labels under
    a mask, and puts a bit of the mask into his share of the model."""
    agreed = small_job("pond", 1, 2, rows=2)
    plan = with_a_mask_in_the_model(short_plan(PlanParameters.of(agreed)))
    audit(plan, agreed)
    here, coins = Theatre(plan, tmp_path), tossed(1200)
    seen = here.play(worlds_of_one_model(plan), coins, opening=True)[0]
    model = seen.pop("the model")
    found = distinguishers.evidence(messages(seen) | {"model": model}, coins)
    assert distinguishers.rejected(found, LEVEL) == [], "neither says anything alone"
    assert distinguishers.linked(model, seen, coins)[0] < LEVEL


def with_a_mask_in_the_model(plan: Plan) -> Plan:
    """Of a plan for as many rows as weights."""
    step = plan.by_name["step"]
    mask = next(
        o
        for o in step.operations
        if (o.kind, o.dtype, o.shape) == ("KitUniform", np.dtype(np.int64), (2, 1))
    )
    label = next(
        o
        for o in step.operations
        if (o.kind, o.party) == ("Cast", 1) and step.by_name[o.inputs[0]].dtype.kind == "f"
    )
    # What the server does to draw a mask, Bob does for himself.
    copies = [
        replace(
            o,
            name=f"again/{o.name}",
            party=None if o.party is None else 1,
            inputs=tuple(f"again/{n}" for n in o.inputs),
        )
        for o in _needed(step, mask.name)
    ]
    alices, bobs = (
        next(s for s in step.writes if s.share == Share("weights.alice", party, 0))
        for party in (0, 1)
    )

    def number(name: str, value: int) -> Operation:
        constant = np.full((2, 1), value, np.int64)
        return Operation(name, "Const", None, (), constant.dtype, (2, 1), {}, constant)

    def made(name: str, kind: str, party: int, *inputs: str) -> Operation:
        return Operation(name, kind, party, inputs, np.dtype(np.int64), (2, 1))

    more = [
        *copies,
        number("none", 0),
        number("down", 20),
        number("bit", 16),
        made("hidden", "AddV2", 1, label.name, f"again/{mask.name}"),
        made("nothing", "Mul", 0, "hidden", "none"),
        made("alice's", "AddV2", 0, alices.operation, "nothing"),
        made("shifted", "RightShift", 1, f"again/{mask.name}", "down"),
        made("one bit", "BitwiseAnd", 1, "shifted", "bit"),
        made("bob's", "AddV2", 1, bobs.operation, "one bit"),
    ]
    changed = replace(
        step,
        operations=(*step.operations, *more),
        writes=(replace(alices, operation="alice's"), replace(bobs, operation="bob's")),
    )
    return with_program(plan, changed)


def _needed(program: Program, name: str) -> list[Operation]:
    """The operations that one of a program needs, and this one."""
    needed = {name}
    for operation in reversed(program.operations):
        if operation.name in needed:
            needed.update(operation.inputs)
    return [operation for operation in program.operations if operation.name in needed]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_server_receives_nothing(theatre: Callable[[str], Theatre], protocol: str) -> None:
    assert theatre(protocol).received(2) == []


COLLUDING = [each for each in OBSERVERS if each != ("aby3", 0)]
"""Who can tell with the server's help by sums alone. What Alice of ABY3 lacks of Bob's labels is a
sum of products of a number of hers and one of the server's, and neither makes any of them."""


@pytest.mark.parametrize(("protocol", "observer"), COLLUDING, ids=named)
def test_two_parties_that_collude_can_tell(played: Played, protocol: str, observer: int) -> None:
    """As the threat model says; and so the linear algebra finds what there is to be found."""
    views, coins = played(protocol, observer)
    both = together([views[observer], views[2]])
    _, telling = distinguishers.relations(both, coins)
    assert telling > 0


@pytest.mark.parametrize("protocol", ["pond", "aby3"])
def test_masks_that_stay_the_same_are_told(protocol: str, tmp_path: Path) -> None:
    """The test of the tests: the same plan with seeds that are the same in every step."""
    plan = with_injected_seeds(played_plan(protocol))
    draw = np.random.default_rng(1)
    fed = {
        operation.name: draw.integers(-(2**31), 2**31, operation.shape).astype(np.int32)
        for program in plan.programs
        for operation in program.operations
        if operation.kind == "Placeholder" and operation.dtype == np.int32
    }
    here, coins = Theatre(plan, tmp_path, fed), tossed(1200)
    for observer in (0, 1):
        seen = messages(here.play(worlds(plan, observer), coins)[observer])
        assert distinguishers.rejected(distinguishers.evidence(seen, coins), LEVEL)
        assert distinguishers.by_chance(*distinguishers.guessed(seen, coins)) < LEVEL
        assert blocks([seen]).odd


def test_tf_encrypteds_own_aby3_repeats_its_masks_in_a_function() -> None:
    """The test of the tests, on what Alice receives when whole numbers are squared. Keys and nonces
    are frozen when the function is traced, so that each call hides what it sends by one mask."""
    coins = tossed(1200)
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as process:
        seen, anew = process.submit(_squares, coins).result()
    assert len(seen) == 1
    found = blocks([seen])
    first = 2 * found.count // len(coins)  # of each world; all others were there before
    assert len(found.twice) == found.count - first
    assert distinguishers.rejected(distinguishers.evidence(seen, coins), LEVEL)
    assert distinguishers.by_chance(*distinguishers.guessed(seen, coins)) < LEVEL
    assert blocks([anew]).count and not blocks([anew]).twice


def _squares(coins: Array) -> tuple[Seen, Seen]:
    """What Alice receives when a private variable is squared: by one function, called for each coin
    in that world; and by functions that are traced anew for each call, for some of the coins.

    Of the variable's three shares Alice's two stay. The third is another one in each world.
    """
    import tensorflow as tf

    # A device for each party, so that what goes from one to another is seen in the graph.
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, 3 * [tf.config.LogicalDeviceConfiguration()])
    from party.compiler import compat

    tfe = compat.load()
    config = tfe.LocalConfig([f"server{i}" for i in range(3)])
    for player in config.players:
        player.device_name = player.device_name.replace("CPU:0", f"CPU:{player.index}")
    tfe.set_config(config)
    tfe.set_protocol(tfe.protocol.ABY3())
    x = tfe.define_private_variable(np.array([[3, -5, 7, 1]]), apply_scaling=False)
    third = [x.unwrapped[party][place].variable for party, place in ((1, 1), (2, 0))]
    in_world = [third[0].numpy() + 100 * world for world in range(2)]

    def played(function: Callable[[], Callable[[], Any]], tosses: Array) -> Seen:
        steps = []
        for coin in tosses:
            for copy in third:
                copy.assign(in_world[coin])
            steps.append({name: value.numpy() for name, value in function()().items()})
        return {name: np.vstack([step[name] for step in steps]) for name in steps[0]}

    def square() -> dict[str, object]:
        return _received_for_a_square(x, config.players[0].device_name)

    once = tfe.function(square)
    return played(lambda: once, coins), played(lambda: tfe.function(square), coins[:10])


def _received_for_a_square(x: Any, party: str) -> dict[str, object]:
    """In a function that is traced: all that others computed and this party's device reads."""
    import tensorflow as tf
    from tf_encrypted.protocol import protocol as memoized

    memoized.nodes.clear()  # or it would remember the product of a former function
    value = x.read_value()
    _ = value * value
    return {
        f"message {source.name}": source
        for operation in tf.compat.v1.get_default_graph().get_operations()
        for source in operation.inputs
        if operation.device == party and source.op.device not in ("", party)
    }
