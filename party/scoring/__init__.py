"""What a party does with a model that it has whole: scores of rows, a service, other tools' files.

Nothing here needs another party, a cluster or TensorFlow.
"""

from party.scoring.scorer import LinearDocument, Scorer

__all__ = ["LinearDocument", "Scorer"]
