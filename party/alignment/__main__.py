"""The process that reads identifiers; see ``party.alignment.identifiers``."""

from party.alignment.identifiers import child

child()
