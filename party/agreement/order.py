"""The order in which an epoch takes the rows: public, and the same at every party.

Alice's batch holds the features of some rows and Bob's the labels of the same rows, so both need
one order without talking about it. It comes from the job alone: SHAKE-256 (FIPS 202) expands the
seed and the epoch to one 64-bit number a row, and the rows are taken by rising number. Nothing in
it depends on a library's own random generator, whose numbers change between versions.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from party.agreement.job import Job

_DOMAIN = b"tfe-kit order"


def order(job: Job, epoch: int) -> NDArray[np.int32]:
    """The rows of an epoch's whole batches, one batch after the other.

    Args:
        job: gives the number of rows, the batch size and the public seed.
        epoch: counted from 0.

    Returns:
        Different rows, [steps_per_epoch * batch_size]: step ``s`` of the epoch takes entries
        ``s * batch_size`` up to ``(s + 1) * batch_size``. Rows that would make only a part of a
        batch are not in it; they sit this epoch out.
    """
    seed = job.training.order_seed.to_bytes(8, "little") + epoch.to_bytes(8, "little")
    stream = hashlib.shake_256(_DOMAIN + seed).digest(8 * job.rows)
    # Equal numbers (one pair in 2**64) keep the rows' own order: the sort is stable.
    ranks = np.argsort(np.frombuffer(stream, dtype="<u8"), kind="stable")
    return ranks[: job.steps_per_epoch * job.training.batch_size].astype(np.int32)
