"""A holder's own noise on the weights, where the job keeps them private: of a discrete Gaussian.

OpenDP draws it, exactly and from a cryptographic generator, and says by its own accounting whether
so much noise gives the epsilon and the delta of the job. Each process draws once, and what it has
drawn goes into shares of weights that are opened once (``party.approval.permit``): of two openings
of much the same weights, with other noise in each, somebody could take the mean.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from party.process.errors import InputError

if TYPE_CHECKING:
    from party.agreement.job import Job
    from party.table.table import Table


def with_noise(table: Table, job: Job) -> Table:
    """The table, with fresh noise on all weights where the job keeps them private.

    Raises InputError where OpenDP is not there, or finds the noise too small."""
    return table if job.weight_privacy is None else replace(table, noise=drawn(job))


def drawn(job: Job) -> NDArray[np.int64]:
    """Fresh noise of one holder on all weights of a job that keeps them private, in their last
    bits, [all weights]."""
    from party.models.descent import WEIGHT_BITS
    from party.models.private_weights import bound_of, columns

    try:
        from opendp.combinators import make_zCDP_to_approxDP
        from opendp.domains import atom_domain, vector_domain
        from opendp.measurements import make_gaussian
        from opendp.metrics import l2_distance
        from opendp.mod import enable_features
    except ImportError:
        raise InputError(
            "the job keeps the weights private, and OpenDP, which draws the noise, is not there",
            "opendp",
            "install the kit's requirements.lock, or pip install 'tfe-kit[party]'",
        ) from None
    privacy, bound = job.weight_privacy, bound_of(job)
    assert privacy is not None
    enable_features("contrib")
    numbers = vector_domain(atom_domain(T="i64"), size=columns(job))
    gaussian = make_gaussian(numbers, l2_distance(T="f64"), scale=float(bound.noise))
    accounted: Any = make_zCDP_to_approxDP(gaussian)
    spent = accounted.map(bound.sensitivity * 2.0**WEIGHT_BITS)
    if (epsilon := spent.epsilon(privacy.delta)) > privacy.epsilon:
        raise InputError(
            f"OpenDP finds epsilon {epsilon:.6g} with this noise, more than the job's",
            f"privacy.weights.epsilon: {privacy.epsilon:g}",
            "report it, and do not run the job; nothing was sent",
        )
    return np.array(gaussian([0] * columns(job)), np.int64)
