"""No test is timed, and none of hypothesis' examples is."""

from hypothesis import settings

settings.register_profile("ponas", deadline=None)
settings.load_profile("ponas")
