"""What a party does with a model that it has: scores of rows, a service, other tools' files.

Nothing here needs a cluster or TensorFlow; ``joint`` is what two parties do of it together.
"""

from party.scoring.scorer import Scorer

__all__ = ["Scorer"]
