"""What a job will take, before it runs."""

from deployer.estimate.estimate import Apart, estimate

__all__ = ["Apart", "estimate"]
