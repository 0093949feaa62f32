"""The compiler: from a job to the schedules of its plan, in a process of its own that ends."""

from party.compiler.driver import Prepared, audited, build_schedules, is_cached, prepared

__all__ = ["Prepared", "audited", "build_schedules", "is_cached", "prepared"]
