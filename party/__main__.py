"""``python -m party`` is the ``party`` command."""

from party.roles import main

main()
