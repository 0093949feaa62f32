"""What holds for all tests."""

from hypothesis import settings

# A property is about what is computed, never about how fast a busy machine does it.
settings.register_profile("kit", deadline=None)
settings.load_profile("kit")
