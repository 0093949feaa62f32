"""Turns labels round at their holder, as the job's ``privacy`` says, before all else.

**Always the same ones.** Which labels are turned round follows from a secret key of the holder's
own, the row and its label. So a job that is repeated, with other features or other rows beside it,
meets the same labels again, and nothing can be learnt by averaging.

**What names a row.** Its identifier, where the job's ``align`` names one, in the same form by which
tables are matched: it stays with the individual when rows are added, left out or put in another
order. Else its place in the table: then a table whose rows move is another one. It cannot be the
row's content: two rows that are alike would be turned round together, and a holder of labels alone
has two rows.

**Why its label counts, too.** Of a row whose label changes from one job to the next, another draw
decides. Were it the same, two answers that differ would prove the change.

**Whatever epsilon.** Along an axis s, labels are turned round at random moments, on average every
two units of it (a Poisson process of rate 1/2). By ``s = -log(tanh(epsilon / 2))`` that has
happened an odd number of times with the chance ``1 / (1 + e**epsilon)``. A smaller epsilon is
further along: what it shows is made of what a larger one shows and of further chance. So jobs of
several epsilons, over the same rows, together give away what the largest alone does.

The key says all of this: HMAC-SHA256 (OpenSSL's) of the column's name and of what names the row;
of each digest four numbers of 53 bits, for the distances of four such moments. Neither key nor draw
is logged, or leaves the holder.
"""

from __future__ import annotations

import base64
import contextlib
import hmac
import json
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from party.identity import read_secret
from party.process.errors import InputError
from party.table.table import Table

if TYPE_CHECKING:
    from party.agreement.job import Job, Party
    from party.agreement.privacy import LabelPrivacy

KEY_BYTES = 32
_BEGIN, _END = "-----BEGIN TFE-KIT LABEL KEY-----", "-----END TFE-KIT LABEL KEY-----"
_HINT = "make one, once, and keep it as long as the table: deployer data label-key FILE"

_PURPOSE = "tfe-kit labels"
_DISTANCES = 4  # of a digest

_CLEAR = 4.0
"""Standard errors by which the share of each class must be away from none."""


@dataclass(frozen=True)
class LabelKey:
    """The secret that says which labels are turned round."""

    secret: bytes = field(repr=False)

    @classmethod
    def drawn(cls) -> LabelKey:
        """A new one."""
        return cls(secrets.token_bytes(KEY_BYTES))

    @classmethod
    def read(cls, path: Path) -> LabelKey:
        """The key in a file. Raises InputError for any other, or one that others can read."""
        lines = read_secret(path, "the label key").decode("ascii", "replace").splitlines()
        if len(lines) == 3 and (lines[0], lines[2]) == (_BEGIN, _END):
            with contextlib.suppress(ValueError):
                secret = base64.b64decode(lines[1], validate=True)
                if len(secret) == KEY_BYTES:
                    return cls(secret)
        raise InputError("the file holds no label key", str(path), _HINT)

    def text(self) -> str:
        """What stands in its file."""
        return f"{_BEGIN}\n{base64.b64encode(self.secret).decode()}\n{_END}\n"

    def turned(
        self,
        column: str,
        names: Sequence[bytes],
        labels: NDArray[np.bool_],
        privacy: LabelPrivacy,
        named_by: str,
    ) -> NDArray[np.bool_]:
        """Which labels are turned round.

        Args:
            column: the label's name.
            names: what names each row.
            labels: which of them are 1.
            named_by: what that is: rows that are named by something else are other rows.
        """
        purpose = json.dumps([_PURPOSE, named_by, column]).encode()
        key = hmac.digest(self.secret, purpose, "sha256")
        odd = np.zeros(len(names), np.bool_)
        left = np.arange(len(names))
        reached = np.zeros(len(names))
        more = 0
        while len(left):  # few need a second digest
            ends = [bytes([label, more]) for label in (0, 1)]
            drawn = b"".join(
                [
                    hmac.digest(key, names[row] + ends[label], "sha256")
                    for row, label in zip(left.tolist(), labels[left].tolist(), strict=True)
                ]
            )
            numbers = np.frombuffer(drawn, "<u8").reshape(-1, _DISTANCES) >> np.uint64(11)
            distances = -2.0 * np.log1p(-(numbers * 2.0**-53))
            moments = reached[:, None] + np.cumsum(distances, axis=1)
            odd[left] ^= ((moments <= privacy.time).sum(axis=1) % 2).astype(np.bool_)
            further = moments[:, -1] <= privacy.time
            left, reached, more = left[further], moments[further, -1], more + 1
        return odd


def by_place(rows: int) -> list[bytes]:
    """Names of rows that have no identifier: their places, from 0."""
    return [row.to_bytes(8, "little") for row in range(rows)]


def with_private_labels(
    table: Table,
    job: Job,
    party: Party,
    path: Path | None,
    identified: Callable[[], dict[int, bytes]] | None = None,
) -> Table:
    """The table, with debiased labels in the training's rows and plain 0 and 1 in those that are
    counted or may be, some of all turned round; the same table where the job does not ask for that,
    or the party does not hold the label. Of a row that is trained on and counted the training's
    programs debias the label.

    Args:
        path: of the label key.
        identified: the identifiers of rows by their place; None where they have none. Of others no
            label goes anywhere.

    Raises:
        InputError: there is no key, or one that is not asked for; or so few labels of one class
            are left that nothing could be learnt of them. That is found from labels of which some
            were turned round, and says no more than these.
    """
    privacy, label = job.label_privacy, job.label_of(party)
    if privacy is None or label is None:
        if path is not None:
            what = f"the job turns no label of {party}'s round"
            raise InputError(what, "--label-key", "leave it out, or agree on a job with privacy")
        return table
    if path is None:
        raise InputError(
            f"the job keeps {label!r} private, and {party} has given no key by which labels are "
            "turned round",
            "--label-key",
            _HINT,
        )
    key, labels = LabelKey.read(path), table.matrix[:, -1] > 0.5
    names, named_by = by_place(len(labels)), "place"
    if identified is not None:
        named_by = "identifier"
        for row, name in identified().items():
            names[row] = name
    seen = labels ^ key.turned(label, names, labels, privacy, named_by)
    parts, counted = _parts(job, len(seen))
    for of, rows in parts:
        _see_to_both_classes(float(seen[rows].mean()), int(rows.sum()), of, privacy, party)
    values = np.where(seen, privacy.debiased[1], privacy.debiased[0]).astype(np.float32)
    values[counted] = seen[counted]
    if table.room is not None and np.may_share_memory(table.room, table.matrix):
        table.room[: len(values), -1] = values
        return table
    matrix = table.matrix.copy()
    matrix[:, -1] = values
    return replace(table, matrix=matrix)


def _parts(job: Job, rows: int) -> tuple[list[tuple[str, NDArray[np.bool_]]], NDArray[np.bool_]]:
    """The rows of which each training, or what counts them, must see both classes; and those whose
    labels are counted, or may be. Which rows of matched tables are in common, nobody knows."""
    everything, nothing = np.ones(rows, np.bool_), np.zeros(rows, np.bool_)
    if job.evaluation is None or job.matches:
        counted = everything if job.labels_serve_both else nothing
        return [("the training's rows", everything)], counted
    if job.folds:
        of = [
            (f"the training's rows without fold {i + 1}", job.fold_of != i)
            for i in range(job.folds)
        ]
        return of, everything
    held_out = job.held_out
    return [("the training's rows", ~held_out), ("the held-out rows", held_out)], held_out


def _see_to_both_classes(
    share: float, rows: int, of: str, privacy: LabelPrivacy, party: Party
) -> None:
    """Without both classes the loss of debiased labels has no least value."""
    error = (share * (1.0 - share) / rows) ** 0.5
    if min(share - privacy.flip, 1.0 - privacy.flip - share) < _CLEAR * error:
        raise InputError(
            f"so many labels are turned round that one of the two classes is lost in {of}",
            f"{party}'s table, with privacy.labels.epsilon {privacy.epsilon:g}",
            "agree on a larger epsilon, or on more rows of the rarer class",
        )
