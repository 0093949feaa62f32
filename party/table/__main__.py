"""The process that reads a table; see ``party.table.loading``."""

from party.table.loading import child

child()
