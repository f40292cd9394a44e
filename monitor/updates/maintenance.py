"""Which incidents are maintenances, and when: what the calendar and the aggregate ask of an incident."""

from __future__ import annotations

from datetime import datetime, timedelta

from monitor.updates.incident import ended_at
from monitor.updates.update import Update

USUAL = timedelta(hours=1)  # how long a maintenance is taken to last where nobody says


def is_maintenance(incident: Update) -> bool:
    """Tell a maintenance by its impact, or by its being scheduled: an owner may override the impact."""
    return not incident.is_component_update and (incident.impact == "maintenance" or incident.scheduled_for is not None)


def window(maintenance: Update) -> tuple[datetime, datetime]:
    """Return when a maintenance begins and ends, as planned, else as it was; the end is after the beginning."""
    begins_at = maintenance.scheduled_for or maintenance.created_at
    for end in (maintenance.scheduled_until, ended_at(maintenance)):
        if end is not None and end > begins_at:
            return begins_at, end
    return begins_at, begins_at + USUAL
