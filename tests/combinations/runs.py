"""A case, run by the product, and all that comes of it beside what is computed in clear."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from scipy.stats import binomtest, chi2, norm
from scipy.stats import t as student
from sklearn.metrics import roc_auc_score

from party.agreement.job import parse_job
from party.alignment import load_identifiers
from party.process.errors import InputError
from party.table.private_labels import LabelKey, by_place
from tests.combinations import plainly
from tests.combinations.draws import Case, Cells, FindingError, write
from tests.combinations.plainly import Clear, RefusedError
from tests.harness.tables import read_here

Array = NDArray[np.float64]

FLAT = 3.0
"""From where on a fold's training may settle far from the optimum, and has the same chances."""

MANY = 8
"""Groups of rows, from which on what they make of figures is near what single rows do."""

WITHIN_S = 900.0
"""No such small job takes a hundredth of it where nothing hangs, on a machine that is not busy."""

LOSS = 3e-3
"""By how much the loss of a model that settled may be above the optimum's, as a part of it: docs
say 2e-3 of rare labels, and tables here are small."""

CLOSE = 5e-4
"""By how much a mean loss may be above the optimum's, however small that is: it is next to nothing
where rows are separable."""

UNSETTLED = 0.05
"""By how much that of a model that is said not to have settled may be, as a part of that of no
weights."""

SUMS = 0.03
"""How far rows' weighted sums may be from the optimum's, as a part of them (root mean square)."""

CHANCES = 0.02
"""And, in a logistic regression, their chances."""

STEPS = 0.01
"""How far they may be over mini-batches from those of the same steps in clear."""

SUBSETS = 12
"""So many times others of the matched rows are held out in clear."""

ORDERS = 12
"""So many times matched rows are dealt to folds in clear."""

BY_CHANCE = 1e-7
"""Nothing is as unlikely in the runs of a year."""

FAR = 90.0
"""The sigmoid is followed up to 121, over mini-batches up to 57: a failure is right beyond this, or
a half of it, by the optimum in clear."""


@dataclass(frozen=True)
class Outcome:
    """What came of a case.

    Attributes:
        code: the exit code.
        seconds: how long it took.
        words: for people; of what was refused or failed, its first line without numbers.
    """

    code: int
    seconds: float
    words: str


def run(case: Case, directory: Path, cache: Path) -> Outcome:
    """Run a case in a directory of its own and see to all of it; FindingError where it is wrong."""
    directory.mkdir(parents=True)
    began = time.monotonic()
    output, former = directory / "output", directory / "former"
    words: list[str] = []
    if case.before is not None:
        outcome = run(case.before, former, cache)
        if outcome.code:
            return outcome
        case, output, words = following(case, former, output)
    elif case.job["result"] == "kept":
        words = ["--keys", str(directory / "keys")]
    job = directory / "job.yaml"
    job.write_text(yaml.safe_dump(case.job, allow_unicode=True), encoding="utf-8")
    files = case.write(directory)
    if case.label_key and "kept" not in case.job:
        words += ["--label-key", str(write_key(case, directory))]
    command = ["run", str(job), "--output", str(output), "--cache", str(cache), *words]
    done = deployer(*command, *(word for p in files for word in (f"--{p}", str(files[p]))))
    clear, why = in_clear(case, files)
    if done.returncode:
        see_to_end(case, done.returncode, done.stderr)
        said = see_to_failure(done.returncode, done.stderr, output, case, clear)
    elif clear is None or case.ends:
        raise FindingError(f"it was to be refused or to fail: {case.ends or why}")
    elif case.scores:
        said = see_to_scores(case, clear, former / "output", output)
    elif case.job["result"] == "kept":
        said = f"kept as {see_to_kept(output)[:8]}"
    else:
        said = Compared(case, clear, output, done.stdout).all(directory)
        if case.pairs is not None:
            _see_to_sizes(case, output)
    return Outcome(done.returncode, time.monotonic() - began, said)


def following(case: Case, former: Path, output: Path) -> tuple[Case, Path, list[str]]:
    """A case whose job names what the one before it left, the directory of its results, and the
    words by which the command is given the rest."""
    left = former / "output"
    if case.scores:
        model = json.loads((left / case.job["model"]["holder"] / "model.json").read_text())
        return with_training(case, model["job"]), output, ["--trained", str(left)]
    if case.before is not None and case.before.job["result"] == "kept":
        name, job = see_to_kept(left), case.job
        if "kept" in job:
            job = job | {"kept": name}
        else:
            job = job | {"training": job["training"] | {"start": name}}
        return replace(case, job=job), left, ["--keys", str(former / "keys")]
    return case, output, ["--start", str(left)]


def with_training(case: Case, digest: str) -> Case:
    """A case of scores that names the training whose model it takes."""
    return replace(case, job=case.job | {"model": case.job["model"] | {"trained_by": digest}})


def see_to_kept(output: Path) -> str:
    """See to it that each party has its part of a model that nobody has; the model's name."""
    found = {file.parent.parent.name: file.stem for file in output.glob("*/kept/*.sealed")}
    if sorted(found) != ["alice", "bob", "server"] or len(set(found.values())) != 1:
        raise FindingError(f"there are parts of kept models: {found}")
    if opened := list(output.glob("*/model.json")):
        raise FindingError(f"a kept model was opened: {opened[0]}")
    return found["server"]


def rows_to_score(case: Case, trained: Clear) -> Array:
    """The rows of a case that scores, by the columns of its training."""
    assert case.before is not None
    private = "weights" in (case.before.job.get("privacy") or {})
    return plainly.rows_to_score(case.job, trained, case.tables, case.people, private)


def see_to_scores(case: Case, clear: Clear, former: Path, output: Path) -> str:
    """See to it that scores are those of the joined rows; what they came to.

    Args:
        clear: of the training.
        former: the training's results, with how each holder's columns were read.
    """
    assert case.before is not None
    trained, holder, result = case.before.job, case.job["model"]["holder"], case.job["result"]
    model = json.loads((former / holder / "model.json").read_text())
    own = [json.loads((former / p / "columns.json").read_text()) for p in plainly.HOLDERS]
    mean, scale = (
        np.concatenate([np.array(each[what], float) for each in own]) for what in ("mean", "scale")
    )
    x = rows_to_score(case, replace(clear, mean=mean, scale=scale))
    weights = np.array([*model["weights"], model["intercept"]])
    t = x @ weights
    others = np.append(np.array(clear.holders) != holder, False)
    rounded = np.abs(weights[others]).sum() + np.abs(x[:, others]).sum(axis=1)
    bound = 2.0**-18 + 2.0**-23 * rounded + 1e-9 * (1 + np.abs(t))
    steepest = plainly.unit(trained) if isinstance(trained["model"], dict) else 0.25
    expected = plainly.scored(trained, t)
    named = list(plainly.HOLDERS) if result == "both" else [result]
    if (found := sorted(f.parent.name for f in output.glob("*/scores.csv"))) != named:
        raise FindingError(f"scores are at {found}, and not at {named}")
    worst = 0.0
    for party in named:
        with (output / party / "scores.csv").open() as file:
            scores = np.array([float(row["score"]) for row in csv.DictReader(file)])
        if len(scores) != len(expected):
            raise FindingError(f"{len(scores)} scores of {len(expected)} rows")
        off = np.abs(scores - expected) / (steepest * bound)
        worst = max(worst, float(off.max()))
        if worst > 1:
            row = int(off.argmax())
            raise FindingError(
                f"row {row} scores {scores[row]} at {party}, and {expected[row]} in clear: "
                f"{worst:.3g} times the bound; {(off > 1).sum()} of {len(off)} rows are off"
            )
    return f"{len(expected)} scores off by {worst:.2f} of the bound"


def see_to_end(case: Case, code: int, said: str) -> None:
    """See to it that a case which must fail does by what it must, unless it is refused before."""
    if case.ends and code == 1 and case.ends not in said:
        raise FindingError(f"it fails by something else than {case.ends!r}: {said[-2000:]}")


def _see_to_sizes(case: Case, output: Path) -> None:
    """See to it that all three were told the same numbers of rows."""
    assert case.pairs is not None
    sizes = {"alice": 0, "bob": 0, "common": len(case.pairs)}
    again = case.job["align"].get("duplicates") == "first"
    for party in (*plainly.HOLDERS, "server"):
        found = json.loads((output / party / "report.json").read_text())["alignment"]["sizes"]
        for holder in plainly.HOLDERS:
            rows = len(next(iter(case.tables[holder].values())))
            sizes[holder] = found[holder]
            if not (rows // 2 if again else rows) <= found[holder] <= rows:
                raise FindingError(f"{holder}'s {rows} rows are {found[holder]} for {party}")
        if found != sizes:
            raise FindingError(f"{party} was told {found}, and not {sizes}")


def write_key(case: Case, directory: Path) -> Path:
    """The key by which its labels are turned round, as a file of its owner's alone."""
    path = directory / "label.key"
    path.touch(0o600)
    path.write_text(case.label_key)
    return path


def in_clear(case: Case, files: Mapping[str, Path]) -> tuple[Clear | None, str]:
    """Its tables in clear; none and why where the docs say that they are refused."""
    if case.wrong:
        return None, case.wrong
    try:
        if not case.scores:
            turned = turned_in(case, files) if case.label_key else None
            return plainly.clear(case.job, case.tables, case.pairs, turned), ""
        assert case.before is not None
        clear = plainly.clear(case.before.job, case.before.tables, case.before.pairs)
        rows_to_score(case, clear)
        return clear, ""
    except (RefusedError, InputError) as error:
        return None, str(error)


def turned_in(case: Case, files: Mapping[str, Path]) -> plainly.Turned:
    """Which labels are turned round follows from the key, and what names the rows."""
    job = parse_job(yaml.safe_dump(case.job, allow_unicode=True), "job.yaml")
    holder, privacy = job.label_holder, job.label_privacy
    label = job.label_of(holder)
    key = LabelKey.read(write_key(case, files[holder].parent))
    assert privacy is not None and label is not None

    def turned(labels: NDArray[np.bool_]) -> NDArray[np.bool_]:
        names, named_by = by_place(len(labels)), "place"
        if job.align is not None:
            with read_here():
                identifiers = load_identifiers(files[holder], job, holder)
            named_by = "identifier"
            for row, name in identifiers.by_row().items():
                names[row] = name
        found = key.turned(label, names, labels, privacy, named_by)
        _see_to_chance(found, plainly.flip_of(case.job))
        return found

    return turned


def _see_to_chance(turned: NDArray[np.bool_], flip: float) -> None:
    """See to it that about so many labels are turned round as chance would."""
    if not binomtest(int(turned.sum()), len(turned), flip).pvalue > BY_CHANCE:
        raise FindingError(f"{turned.sum()} of {len(turned)} labels are turned round, by {flip:g}")


def deployer(*words: str) -> subprocess.CompletedProcess[str]:
    """A command of the deployer's; FindingError where it ends as none may."""
    command = [str(Path(sys.executable).with_name("deployer")), *words]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise FindingError(f"deployer {words[0]} hangs") from None
    see_to_words(done.returncode, done.stdout + done.stderr)
    return done


def see_to_words(code: int, said: str) -> None:
    """See to it that a command has ended as one may, and has said what to do."""
    if code not in (0, 1, 2):
        raise FindingError(f"exit code {code}: {said[-2000:]}")
    for never in ("Traceback (most", "internal error", "Warning:"):
        if never in said:
            raise FindingError(f"it says {never!r}: {said[-2000:]}")
    if code and "  do: " not in said:
        raise FindingError(f"it does not say what to do: {said[-2000:]}")


def see_to_failure(code: int, said: str, output: Path, case: Case, clear: Clear | None) -> str:
    """See to it that a refusal or failure is right; its first line."""
    left = [*output.glob("*/model.json"), *output.glob("*/scores.csv")]
    if left:
        raise FindingError(f"exit code {code}, and there is {left[0].name}")
    lines = [one for one in said.splitlines() if not one.startswith("warning: ")]
    first = re.sub(r"\d[\d.e+-]*", "#", lines[0])
    if code == 2:
        if case.before is None and list(output.glob("*/report.json")):
            raise FindingError("it was refused after it was run")
        return f"refused: {first}"
    if clear is None:
        raise FindingError(f"a table that does not fit failed, and was not refused: {first}")
    if case.ends:
        return f"failed: {first}"
    trained, batches = ~clear.held_out, "epochs" in case.job.get("training", {})
    x, y = clear.x[trained], clear.y[trained]
    best = plainly.batches(case.job, x, y)[0] if batches else plainly.optimum(case.job, x, y)
    largest, rarest = np.abs(x @ best).max(), min(y.mean(), 1 - y.mean())
    if largest < FAR / (2 if batches else 1) and np.abs(best).max() < 1000 and rarest > 0.02:
        raise FindingError(f"it failed, and |t| is {largest:.3g} at most in clear: {said}")
    return f"failed: {first}"


class Compared:
    """A model, beside what is computed in clear."""

    def __init__(
        self, case: Case, clear: Clear, output: Path, said: str, noisy: bool = True
    ) -> None:
        """``output``: has a directory for each receiver; ``said``: to them; ``noisy``: whether
        private weights have noise."""
        self.case, self.job, self.clear, self.said = case, case.job, clear, said
        self.noisy = noisy
        self.output = output
        self.models: dict[str, dict[str, Any]] = {
            file.parent.name: json.loads(file.read_text())
            for file in sorted(output.glob("*/model.json"))
        }
        self.linear = isinstance(self.job["model"], dict)
        self.batches = "epochs" in self.job.get("training", {})
        trained = ~clear.held_out
        self.x, self.y = clear.x[trained], clear.y[trained]
        self.flip = plainly.flip_of(self.job)
        self.told: list[str] = []

    def all(self, directory: Path) -> str:
        """See to everything; what it came to."""
        result = self.job["result"]
        holders = [p for p in plainly.HOLDERS if self.job["features"].get(p)]
        named = {"both": list(plainly.HOLDERS), "own": holders}.get(result, [result])
        self._same("receivers", sorted(self.models), sorted(named))
        self.weights = self._weights()
        self._weights_are_right()
        for party, model in self.models.items():
            self._scales(model, party)
            self._health(model, party)
            self._evaluation(model, party)
            self._statistics(model, party)
            if self._has_all(model):
                self._scores(party, directory)
        return ", ".join(self.told)

    def _fail(self, words: str) -> None:
        raise FindingError(words)

    def _same(self, what: str, found: Any, wanted: Any) -> None:
        if found != wanted:
            self._fail(f"{what}: {found}, and not {wanted}")

    def _near(self, what: str, found: Any, wanted: Any, rel: float, abs_: float = 0.0) -> None:
        try:
            np.testing.assert_allclose(
                np.array(found, float), np.array(wanted, float), rtol=rel, atol=abs_
            )
        except AssertionError as error:
            self._fail(f"{what}: {error}")

    def _weights(self) -> Array:
        found: dict[str | None, float] = {}
        for party, model in self.models.items():
            for name, weight in zip(model["features"], model["weights"], strict=True):
                self._same(f"weight of {name} at {party}", found.setdefault(name, weight), weight)
            if model["intercept"] is not None:
                found[None] = model["intercept"]
        if self.job["result"] == "own":
            for party, model in self.models.items():
                names = zip(self.clear.names, self.clear.holders, strict=True)
                own = [name for name, holder in names if holder == party]
                self._same(f"columns of {party}", model["features"], own)
        self._same("columns", [name for name in found if name is not None], self.clear.names)
        return np.array([found[name] for name in (*self.clear.names, None)])

    def _weights_are_right(self) -> None:
        if not np.isfinite(self.weights).all():
            self._fail("weights are not finite")
        settled = {model["health"]["settled"] for model in self.models.values()}
        if self.clear.unknown:
            self._are_of_some_rows(settled)
            return
        if self.batches:
            best, _ = plainly.batches(self.job, self.x, self.y)
            self._sums(best, STEPS)
            return
        best = plainly.optimum(self.job, self.x, self.y)
        if "weights" in (self.job.get("privacy") or {}):
            self._have_noise(best)
            return
        ours = plainly.loss(self.job, self.x, self.y, self.weights)
        least = plainly.loss(self.job, self.x, self.y, best)
        none = plainly.loss(self.job, self.x, self.y, np.zeros_like(best))
        above = (ours - least) / max(least, 0.01 * none)
        self.told.append(f"loss {above:.0e} above")
        if settled != {True}:
            self.told.append("not settled")
            # Of labels that were turned round, the least value may be far below any.
            if ours - least > UNSETTLED * none and not self.flip:
                self._fail(f"not settled, with a loss of {ours:.4g} over {least:.4g}, {none:.4g}")
            return
        if above > LOSS and ours - least > CLOSE:
            self._fail(f"settled, with a loss of {ours:.6g} over {least:.6g}")
        if self.linear:
            if np.linalg.cond(plainly.curvature(self.job, self.x, self.y, best)) < 1e3:
                self._sums(best, SUMS)
        else:
            self._chances(best)

    def _have_noise(self, best: Array) -> None:
        """Noise of both holders of the size that is told, which is enough by what is known of a
        Gaussian (Balle and Wang, ICML 2018)."""
        wanted, c = self.job["privacy"]["weights"], self.job["training"]["C"]
        noise = {model["health"]["private"]["noise"] for model in self.models.values()}
        self._same("sizes of noise", len(noise), 1)
        size = noise.pop()
        moved = 2 * np.sqrt(wanted["norm"] ** 2 + 1) * c
        a, b = moved / (2 * size), wanted["epsilon"] * size / moved
        delta = norm.cdf(a - b) - np.exp(wanted["epsilon"]) * norm.cdf(-a - b)
        if delta > wanted["delta"]:
            self._fail(f"noise of {size:.3g} has a delta of {delta:.3g}, over {wanted['delta']:g}")
        off, near = self.weights - best, 0.002 * np.abs(best).max() + 5e-4
        self.told.append(f"weights off by {np.abs(off).max():.2g}, noise {size:.2g} of either")
        if not self.noisy:
            size = 0.0
        elif not chi2.sf((off**2).sum() / (2 * size**2), len(off)) < 1 - BY_CHANCE:
            self._fail(f"weights are off by {off}, with noise of {size:.3g}")
        if (np.abs(off) > 8 * size + near).any():
            self._fail(f"weights are off by {off}, with noise of {size:.3g}")

    def _are_of_some_rows(self, settled: set[bool | None]) -> None:
        """Nobody knows which rows were left out: the weights are as far from those of all rows as
        those are where any others are left out."""
        best = plainly.optimum(self.job, self.x, self.y)
        p = self._chances_by(best)
        losses, offs = [], []
        draw, rows = np.random.default_rng(self.case.seed), len(self.y)
        for _ in range(SUBSETS):
            some = draw.permutation(rows)[: rows - self.clear.unknown]
            weights = plainly.optimum(self.job, self.x[some], self.y[some])
            losses.append(plainly.loss(self.job, self.x, self.y, weights))
            offs.append(_off(self._chances_by(weights), p))
        least = plainly.loss(self.job, self.x, self.y, best)
        none = plainly.loss(self.job, self.x, self.y, np.zeros_like(best))
        ours = plainly.loss(self.job, self.x, self.y, self.weights)
        most = least + 2 * (max(losses) - least)
        off, far = _off(self._chances_by(self.weights), p), 2 * max(offs)
        self.told.append(f"loss {ours:.4g} of {least:.4g} to {max(losses):.4g}, off by {off:.3g}")
        near = CLOSE + LOSS * least if settled == {True} else UNSETTLED * none
        if ours > most + near:
            self._fail(f"a loss of {ours:.6g}, over {most:.6g} of {rows - self.clear.unknown} rows")
        if settled == {True} and off > far + CHANCES:
            self._fail(f"rows' chances are off by {off:.3g}, and by {far:.3g} at most of others")

    def _chances_by(self, weights: Array) -> Array:
        found: Array = 0.5 * (1 + np.tanh(self.x @ weights / 2))
        return found

    def _sums(self, best: Array, part: float) -> None:
        ours, theirs = self.x @ self.weights, self.x @ best
        off = float(np.sqrt(np.mean((ours - theirs) ** 2)))
        size = float(np.sqrt(np.mean(theirs**2)))
        self.told.append(f"t off by {off:.0e} of {size:.2g}")
        if off > part * size + 0.01:
            self._fail(f"rows' sums are off by {off:.3g} of {size:.3g}")

    def _chances(self, best: Array) -> None:
        """Of a row that is far out on its side, any large sum says the same."""
        ours, theirs = (1 / (1 + np.exp(-self.x @ weights)) for weights in (self.weights, best))
        off = float(np.sqrt(np.mean((ours - theirs) ** 2)))
        self.told.append(f"chances off by {off:.0e}")
        if off > CHANCES:
            self._fail(f"rows' chances are off by {off:.3g}")

    def _has_all(self, model: dict[str, Any]) -> bool:
        return model["features"] == self.clear.names and None not in model["mean"]

    def _scales(self, model: dict[str, Any], party: str) -> None:
        at = {name: i for i, name in enumerate(self.clear.names)}
        for i, name in enumerate(model["features"]):
            own = self.clear.holders[at[name]] == party
            mean, scale = model["mean"][i], model["scale"][i]
            if not own:
                self._same(f"mean and scale of {name} at {party}", (mean, scale), (None, None))
                continue
            deviation = self.clear.scale[at[name]]
            self._near(f"scale of {name}", scale, deviation, 1e-5)
            self._near(f"mean of {name}", mean, self.clear.mean[at[name]], 1e-9, 1e-5 * deviation)

    def _health(self, model: dict[str, Any], party: str) -> None:
        health = model["health"]
        trained, held_out = len(self.y) - self.clear.unknown, self.clear.held_out.sum()
        self._same("rows", health["rows"], trained)
        self._same("rows held out", health["rows_held_out"], int(held_out) + self.clear.unknown)
        never = plainly.batches(self.job, self.x, self.y)[1] if self.batches else 0
        self._same("rows never used", health["rows_never_used"], never)
        own = [h == party for h in self.clear.holders]
        self._same("all columns", health["all_columns"], all(own))
        given = [*model["weights"], model["intercept"] or 0.0]
        self._near("largest weight", health["largest_weight"], np.abs(given).max(), 1e-6)
        if all(own) and health["largest_t"] is not None:
            x = self.x
            if self.case.pairs is not None:  # nobody knows which of its own rows are in common
                x = self.clear.standardised(self.case.tables)
            largest = np.abs(x @ self.weights).max()
            self._near("largest |t|", health["largest_t"], largest, 1e-3, 1e-3)
        labels = (self.job.get("privacy") or {}).get("labels") or {}
        self._same("epsilon", health["epsilon"], labels.get("epsilon"))
        line = f"{trained} rows were"
        if line not in self.said:
            self._fail(f"the health line has no {line!r}: {self.said}")

    def _evaluation(self, model: dict[str, Any], party: str) -> None:
        wanted, found = self.job.get("evaluation"), model["evaluation"]
        told = wanted is not None and party in wanted.get("to", plainly.HOLDERS)
        self._same(f"evaluation at {party}", found is not None, told)
        if wanted is None or found is None:
            return
        if found["figures"] is None:
            self._of_none(found, "folds" in wanted)
            return
        figures = found["figures"]
        if self.case.pairs is not None:
            self._of_any(figures, "folds" in wanted)
            return
        if "folds" in wanted:
            y, t, wide = self.clear.counted, self._of_folds(), 0.3
        else:
            out = self.clear.held_out
            y, t, wide = self.clear.counted[out], self.clear.x[out] @ self.weights, 0.0
        true = plainly.debiased(self.job, y)
        self._near("positives", figures["positives"], true.sum(), 1e-9)
        self._near("base rate", figures["base_rate"], true.mean(), 1e-9)
        groups = figures["groups"]
        self._same("rows of groups", sum(one["rows"] for one in groups), len(y))
        by_groups = sum(one["positives"] for one in groups)
        self._near("positives of groups", by_groups, true.sum(), 1e-9)
        if not any("evaluation.folds" in one for one in model["health"]["warnings"]):
            for one in figures["thresholds"]:
                self._threshold(one, t, t, y, wide)
        self._auc(figures, groups)
        p = plainly.scored(self.job, t)
        if not wide and len(groups) >= MANY:  # of which each counts as if all its rows were alike
            brier = float(np.mean(p**2 - 2 * p * true + true))
            self._near("Brier", figures["brier"], brier, 0.05, 0.02 / (1 - 2 * self.flip))
        if len(np.unique(y)) == 2:
            self.told.append(f"AUC {figures['auc']:.3f}, {roc_auc_score(y, t):.3f}")

    def _seen(self, positives: float, rows: int) -> float:
        """How many of some rows were counted as positive, by what is told of the true labels."""
        return round(positives * (1 - 2 * self.flip) + rows * self.flip, 6)

    def _of_none(self, found: dict[str, Any], folds: bool) -> None:
        """That there are no figures is right: rows are too far out, or of one class."""
        least, most = self._positives(folds)
        none, all_ = self._seen(0, found["rows"]), self._seen(found["rows"], found["rows"])
        if not found["beyond"] and none < least and most < all_:
            self._fail("there are no figures of rows of both classes")
        self.told.append("no figures")

    def _positives(self, folds: bool) -> tuple[int, int]:
        """How many rows may be counted as positive, at least and at most: which of the matched ones
        are held out, nobody knows."""
        rows, hits = len(self.y), int(self.clear.counted.sum())
        if self.case.pairs is None:
            out = self.clear.held_out if not folds else np.ones(rows, bool)
            hits = int(self.clear.counted[out].sum())
            return hits, hits
        counted = rows if folds else self.clear.unknown
        return max(0, hits - rows + counted), min(hits, counted)

    def _of_any(self, figures: dict[str, Any], folds: bool) -> None:
        """The figures of rows that were matched: nobody knows which are held out, or where."""
        rows, found = len(self.y), figures["positives"]
        counted = rows if folds else self.clear.unknown
        least, most = self._positives(folds)
        seen = self._seen(found, counted)
        if not least <= seen <= most or seen != int(seen):
            self._fail(f"{seen} positives of {counted} rows, and not {least} to {most}")
        self._near("base rate", figures["base_rate"], found / counted, 1e-9)
        groups = figures["groups"]
        self._same("rows of groups", sum(one["rows"] for one in groups), counted)
        by_groups = sum(one["positives"] for one in groups)
        self._near("positives of groups", by_groups, found, 1e-9)
        low = high = self.x @ self.weights
        if folds:
            draw = np.random.default_rng(self.case.seed)
            each = [self._of_folds(draw.permutation(rows)) for _ in range(ORDERS)]
            low, high = np.min(each, axis=0), np.max(each, axis=0)
        for one in figures["thresholds"]:
            wide, less = (0.3, rows // 50) if folds else (0.0, rows - counted)
            self._threshold(one, low, high, self.clear.counted, wide, less)
        self._auc(figures, groups)
        self.told.append(f"AUC {figures['auc']:.3f}")

    def _threshold(
        self, one: dict[str, Any], low: Array, high: Array, y: Array, wide: float, less: int = 0
    ) -> None:
        """``low``, ``high``: between what each row's t is; ``less``: so many of them are not
        counted, or have another t by folds of which none was dealt in clear."""
        if one["at_least"] <= 0.0:
            return
        edge = np.log(one["at_least"] / (1 - one["at_least"]))
        if wide and abs(edge) > FLAT:
            return
        more = less if wide else 0
        wide += (1 / 16 if abs(edge) < 8 else 1.0) + wide * abs(edge)
        taken = one["true_positives"] + one["false_positives"]
        hits = self._seen(one["true_positives"], round(taken))
        for what, found, rows in (
            ("positives", hits, y == 1),
            ("others", round(taken) - hits, y == 0),
        ):
            least, most = (rows & (low > edge + wide)).sum(), (rows & (high > edge - wide)).sum()
            least, most = max(0, least - less), most + more
            if not least <= found <= most:
                self._fail(f"{what} from {edge:.2f} on: {found}, not {least} to {most}")

    def _auc(self, figures: dict[str, Any], groups: list[dict[str, Any]]) -> None:
        hits = np.array([one["positives"] for one in groups], float)
        others = np.array([one["rows"] for one in groups]) - hits
        below = np.concatenate([[0.0], np.cumsum(others)[:-1]])
        pairs = hits.sum() * others.sum()
        if pairs:
            auc = float((hits * (below + others / 2)).sum() / pairs)
            self._near("AUC of the groups", figures["auc"], auc, 1e-6, 1e-6)

    def _of_folds(self, order: NDArray[np.int64] | None = None) -> Array:
        """What each row's t is by the training that has not seen it; ``order``: of the rows."""
        of, t = plainly.fold_of(self.job, len(self.y)), np.zeros(len(self.y))
        if order is not None:
            of = of[order]
        for fold in range(self.job["evaluation"]["folds"]):
            own = of == fold
            t[own] = self.x[own] @ plainly.optimum(self.job, self.x[~own], self.y[~own])
        return t

    def _statistics(self, model: dict[str, Any], party: str) -> None:
        wanted, found = self.job.get("statistics"), model["statistics"]
        to = wanted.get("to", plainly.HOLDERS) if isinstance(wanted, dict) else plainly.HOLDERS
        told = bool(wanted) and model["features"] == self.clear.names and party in to
        self._same(f"statistics at {party}", found is not None, told)
        if found is None:
            return
        self._no_row_is_alone()
        if not found["weights"]:
            return
        hessian = plainly.curvature(self.job, self.x, self.y, self.weights)
        if np.linalg.cond(hessian) > 1e6:
            return
        inverse: Array = np.asarray(np.linalg.inv(hessian), np.float64)
        freedom = len(self.y) - self.x.shape[1]
        spread: Any = norm
        covariance = inverse
        if self.linear:
            residual = self.y - self.x @ self.weights
            variance = float((residual**2).sum()) / freedom
            covariance, spread = variance * inverse, student(freedom)
            self._same("degrees of freedom", found["degrees_of_freedom"], freedom)
        elif plainly.class_weights(self.job, self.y):
            covariance = self._sandwich(inverse)
        errors = np.sqrt(np.diag(covariance))
        rows = [*found["weights"], found["intercept"]]
        level = wanted["level"] if isinstance(wanted, dict) else 0.95
        half = float(spread.ppf((1 + level) / 2))
        self._same("rows of statistics", found["rows"], len(self.y))
        self._near("weights again", [one["weight"] for one in rows], self.weights, 1e-9)
        self._near("standard errors", [one["standard_error"] for one in rows], errors, 0.03)
        told = np.array([one["standard_error"] for one in rows])
        z = self.weights / told
        self._near("z", [one["z"] for one in rows], z, 1e-6)
        self._near("p", [one["p_value"] for one in rows], 2 * spread.sf(np.abs(z)), 1e-3, 1e-6)
        ends = np.stack([self.weights - half * told, self.weights + half * told], axis=1)
        self._near("intervals", [one["interval"] for one in rows], ends, 1e-5, 1e-6)
        own = [h == party for h in self.clear.holders]
        scale = self.clear.scale
        for i, one in enumerate(found["weights"]):
            self._same("whose unit", one["per_unit"] is not None, own[i])
            if own[i]:
                by_unit = one["per_unit"]["standard_error"]
                self._near("error per unit", by_unit, told[i] / scale[i], 1e-4)
        self.told.append("errors")

    def _no_row_is_alone(self) -> None:
        """See to it that no combination of a holder's columns and the ones is next to nothing in
        all rows but one, where more is opened for standard errors."""
        if len(set(self.clear.holders)) < 2:
            return
        for holder in plainly.HOLDERS:
            own = np.append(np.array(self.clear.holders) == holder, True)
            basis, sizes, _ = np.linalg.svd(self.x[:, own], full_matrices=False)
            leverage = (basis[:, sizes > 1e-6 * sizes[0]] ** 2).sum(axis=1).max()
            if leverage > 0.1 + 1e-3:
                self._fail(f"a row stands out in {holder}'s columns by {leverage:.3g}")

    def _sandwich(self, inverse: Array) -> Array:
        weight = plainly.class_weights(self.job, self.y)
        a, b = weight[0], weight[1]
        s = 1 / (1 + np.exp(-(self.x @ self.weights)))
        d = a * s + b * (1 - s)
        penalty = np.full(self.x.shape[1], 1 / self.job["training"].get("C", 1.0))
        penalty[-1] = 0.0
        h = (self.x * (a * b * s * (1 - s) / d)[:, None]).T @ self.x + np.diag(penalty)
        m = (self.x * (a * b * s * (1 - s))[:, None]).T @ self.x + np.diag(penalty)
        outer = np.linalg.inv(h)
        found: Array = outer @ m @ outer
        return found

    # -- scores, by every way in which there are any

    def _scores(self, party: str, directory: Path) -> None:
        tables = {"training": self.case.tables[party], "new": self.case.new[party]}
        for called, table in tables.items():
            cells = {name: table[name] for name in self.job["features"][party]}
            try:
                t = self.clear.standardised({party: cells}) @ self.weights
            except RefusedError:
                continue
            expected = plainly.scored(self.job, t)
            model = self.output / party / "model.json"
            path = write(directory / f"{party}-{called}.csv", dict(reversed(cells.items())))
            told = scored(model, path)
            size = max(1.0, float(np.abs(expected).max()))
            self._near(f"scores of {called} rows", told, expected, 1e-4, 1e-4 * size)
            self._exported(model, cells, told)
        self.told.append("scores")

    def _exported(self, model: Path, cells: Cells, told: Array) -> None:
        from skops.io import loads

        from party.process.errors import InputError
        from party.scoring import Scorer
        from party.scoring.export import onnx, skops

        scorer, features = Scorer.read(model), self.clear.readings
        kinds = {one.name: one.kind for own in features.values() for one in own}
        kinds = {name: kinds[name] for name in cells}
        try:
            made = {"onnx": onnx(scorer), "skops": skops(scorer)}
        except InputError as error:
            if "date" not in kinds.values() or not error.hint:
                raise FindingError(f"no export: {error}") from None
            return
        numbers = {
            name: [plainly.number(cell) for cell in column]
            for name, column in cells.items()
            if kinds[name] == "number"
        }
        texts = {name: [c.strip() for c in cells[name]] for name in cells if name not in numbers}
        found = _by_onnx(made["onnx"], numbers, texts)
        self._near("scores by ONNX", found, told, 1e-9, 1e-9)
        rows = [numbers.get(name) or texts[name] for name in cells]
        typed = np.array(list(zip(*rows, strict=True)), dtype=object)
        pipeline = loads(made["skops"])
        if not any(one.schema for own in features.values() for one in own):
            typed = typed.astype(float)
        by = pipeline.predict(typed) if self.linear else pipeline.predict_proba(typed)[:, 1]
        self._near("scores by skops", by, told, 1e-9, 1e-9)
        self.told.append("exports")


def _off(one: Array, other: Array) -> float:
    return float(np.sqrt(np.mean((one - other) ** 2)))


def scored(model: Path, table: Path) -> Array:
    """What ``deployer score`` says, in this process."""
    from deployer.commands.score import score

    path = table.with_suffix(".scores")
    score(model, table, path, [])
    with path.open() as file:
        return np.array([float(row["score"]) for row in csv.DictReader(file)])


def _by_onnx(model: bytes, numbers: Mapping[str, Any], texts: Mapping[str, Any]) -> Array:
    import onnxruntime

    session = onnxruntime.InferenceSession(model)
    told = session.get_modelmeta().custom_metadata_map
    given: dict[str, Any] = {}
    if numbers:
        given["features"] = np.array([numbers[n] for n in told["features"].split("\n")]).T
    if texts:
        given["texts"] = np.array([texts[n] for n in told["texts"].split("\n")], dtype=object).T
    found: Array = session.run(None, given)[0]
    return found
