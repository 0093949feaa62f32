"""What each kind of operation means, in one room.

A plan's operations are plain data; this says what they are: which kinds there are, of which type
and shape each makes its result, where a layout takes its elements from, and what follows from
constants. The audit reads plans by it and the lowering writes instructions by it, and neither reads
the other. Tests hold it against TensorFlow.
"""

from party.meaning.folding import fold
from party.meaning.known import Known, constant_of
from party.meaning.layouts import moved, positions
from party.meaning.signatures import holds
from party.meaning.vocabulary import KINDS

__all__ = ["KINDS", "Known", "constant_of", "fold", "holds", "moved", "positions"]
