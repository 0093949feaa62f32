"""The kit for data scientists: a model of two tables that behaves as scikit-learn's do.

``JointLogisticRegression`` is a trial on one machine, with three real parties on the loopback
interface; ``Party`` is one of the three of a job among organisations. See docs/python.md.
"""

from importlib.util import find_spec

if find_spec("sklearn") is None:
    raise ImportError(
        "tfe_kit needs scikit-learn, which is not installed: pip install 'tfe-kit[party,python]'"
    )

from tfe_kit.estimator import JointLogisticRegression
from tfe_kit.party import Party

__all__ = ["JointLogisticRegression", "Party"]
