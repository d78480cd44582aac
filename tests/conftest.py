"""What all tests share: how hard hypothesis tries, whatever else the machine does at the time."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile(
    "ringback", max_examples=40, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("ringback")
