"""Services: which updates each takes, and what it is sent of them. Apprise does the sending."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

import gevent
from apprise import Apprise, NotifyFormat, NotifyType

from monitor.history.query import names_of_components
from monitor.outputs.notify import wording
from monitor.updates.impacts import COMPONENT_IMPACTS, RANK, impact_of, is_maintenance
from monitor.updates.text import one_line
from monitor.updates.update import Update

# Apprise's colour and PagerDuty's severity of an impact; every other impact is info.
ALARMS = {
    "critical": (NotifyType.FAILURE, "critical"),
    "major": (NotifyType.FAILURE, "error"),
    "minor": (NotifyType.WARNING, "warning"),
    "unstated": (NotifyType.WARNING, "warning"),
}
# Services that keep an incident for each of ours: Apprise's plugin, and its attribute for the incident's key.
INCIDENT_KEYS = {
    "NotifyFireHydrant": "dedup",  # https://docs.firehydrant.com/docs/events-data-model
    "NotifyGoAlert": "dedup",  # https://github.com/target/goalert: IntegrationKeys.md
    "NotifyILert": "dedup",  # https://docs.ilert.com/developer-docs/rest-api/api-reference/events
    "NotifyIncidentIO": "dedup",  # https://docs.incident.io/alerts/http
    "NotifyJira": "alias",  # https://jira.atlassian.com/browse/JSDCLOUD-14179
    "NotifyOpsgenie": "alias",  # https://docs.opsgenie.com/docs/alert-api#close-alert
    "NotifyOpsiMate": "dedup",  # https://docs.opsimate.dev/docs/integrations/custom-alerts
    "NotifyPagerDuty": "dedup",  # https://developer.pagerduty.com/docs/events-api-v2-overview
    "NotifyPagerTree": "thirdparty",  # https://pagertree.com/docs/integration-guides/webhook
    "NotifySIGNL4": "external_id",  # https://docs.signl4.com/integrations/webhook/webhook.html
    "NotifySplunk": "entity_id",  # https://kb.victorops.com/?p=593
    "NotifySquadcast": "dedup",  # https://support.squadcast.com/integrations/incident-webhook-incident-webhook-api
}
# The plugins' attributes for the address that a tap on the message, or on its button, opens.
PLACES_OF_LINKS = frozenset({"click", "supplemental_url"})
SECONDS_IN_ALL = 60


@dataclass(frozen=True, slots=True)
class Service:
    """One service: `name` is for people, such as slack-2; `key`, a hash of its address, names its queue.

    `pages` and `components` are names or ids, folded, as case does not matter; empty sets let all pass.
    """

    name: str
    key: str
    pages: frozenset[str]
    components: frozenset[str]
    min_impact: str
    maintenance: bool
    incident_key: str | None
    plugin: Any = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)

    def takes(self, update: Update) -> bool:
        """Tell whether the update passes the filter.

        For a service with incident keys the end of an incident passes every filter but `pages`: what was raised must be
        resolved, also after the component was taken off the incident, or the incident became maintenance.
        """
        if self.pages and self.pages.isdisjoint((update.page.casefold(), update.page_id.casefold())):
            return False
        if self.incident_key and not update.is_open:
            return True
        if self.components and self.components.isdisjoint(names_of_components(update)):
            return False
        impact = impact_told(update)
        if impact == "maintenance" or is_maintenance(update):
            return self.maintenance
        # An unstated impact passes: a message too many costs less than one too few.
        return self.min_impact == "none" or impact == "unstated" or RANK[impact] <= RANK[self.min_impact]

    def tell(self, update: Update) -> str | None:
        """Send an update; return None, or why it was not taken."""
        kind, severity = ALARMS.get(impact_told(update), (NotifyType.INFO, "info"))
        body, link = wording.body(update), wording.link_of(update)
        if self.incident_key:
            setattr(self.plugin, self.incident_key, key_of(update))
            self.plugin.action = "map"  # resolve on SUCCESS, else raise
        if self.name.startswith("pagerduty"):
            self.plugin.severity = severity
        if hasattr(self.plugin, "subject"):
            self.plugin.subject = wording.quiet(wording.subject(update))
        elif link:
            body += f"\n{link}"
        for place in PLACES_OF_LINKS.intersection(vars(self.plugin)):
            setattr(self.plugin, place, link)
        return self.send(wording.title(update), body, kind if update.is_open else NotifyType.SUCCESS)

    def send(self, title: str, body: str, kind: NotifyType = NotifyType.INFO) -> str | None:
        """Send a text; return None, or why it was not taken."""
        sender = Apprise([self.plugin], asset=self.plugin.asset)  # a plugin without targets is false by itself
        try:
            with gevent.Timeout(SECONDS_IN_ALL):
                result = sender.notify(body=body, title=title, notify_type=kind, body_format=NotifyFormat.TEXT)
        except gevent.Timeout:
            return f"no answer within {SECONDS_IN_ALL} s"
        if result:
            return None
        said = next((entry.message for entry in result.logs()), "refused")
        for secret in self.secrets:
            said = said.replace(secret, "…")
        return one_line(said, 200)


def impact_told(update: Update) -> str:
    """Return one of IMPACTS: of a component's change that of the worse of its two statuses, also when it recovers."""
    impact = impact_of(update)
    if not update.is_component_update or impact == "maintenance":
        return impact
    return min(impact, COMPONENT_IMPACTS.get(update.old_status or "", "unstated"), key=RANK.__getitem__)


def key_of(update: Update) -> str:
    """Return an incident's key at a service: a hash, as no separator is safe in a provider's ids."""
    identity = [update.page_id, "component" if update.is_component_update else "incident", update.subject]
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()
