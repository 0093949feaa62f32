"""``python -m party`` is the ``party`` command."""

from party.cli import main

main()
