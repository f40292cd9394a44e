"""Services: which updates each takes, and how it is told of one. Apprise does the telling."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import gevent
from apprise import Apprise, NotifyFormat, NotifyType

from monitor.history.query import names_of_components
from monitor.updates.impacts import COMPONENT_IMPACTS, RANK, impact_of, in_words, is_maintenance
from monitor.updates.text import one_line
from monitor.updates.update import LONGEST_PRODUCT, Update, message, product

# Apprise's colours, and PagerDuty's severities; otherwise info.
ALARMS = {
    "critical": (NotifyType.FAILURE, "critical"),
    "major": (NotifyType.FAILURE, "error"),
    "minor": (NotifyType.WARNING, "warning"),
    "unstated": (NotifyType.WARNING, "warning"),
}
# Services that keep an incident for each of ours, by Apprise's plugin: the attribute that holds its key, and the
# actions that open and end it.
DEDUP = ("dedup", "trigger", "resolve")
INCIDENT_KEYS = {
    "NotifyFireHydrant": DEDUP,  # https://docs.firehydrant.com/docs/events-data-model
    "NotifyGoAlert": ("dedup", "trigger", "close"),  # https://github.com/target/goalert: IntegrationKeys.md
    "NotifyILert": DEDUP,  # https://docs.ilert.com/developer-docs/rest-api/api-reference/events
    "NotifyIncidentIO": DEDUP,  # https://docs.incident.io/alerts/http
    "NotifyJira": ("alias", "new", "close"),  # https://jira.atlassian.com/browse/JSDCLOUD-14179
    "NotifyOpsgenie": ("alias", "new", "close"),  # https://docs.opsgenie.com/docs/alert-api#close-alert
    "NotifyOpsiMate": DEDUP,  # https://docs.opsimate.dev/docs/integrations/custom-alerts
    "NotifyPagerDuty": DEDUP,  # https://developer.pagerduty.com/docs/events-api-v2-overview
    "NotifyPagerTree": ("thirdparty", "create", "resolve"),  # https://pagertree.com/docs/integration-guides/webhook
    "NotifySIGNL4": ("external_id", "trigger", "resolve"),  # https://docs.signl4.com/integrations/webhook/webhook.html
    "NotifySplunk": ("entity_id", "map", "recovery"),  # https://kb.victorops.com/?p=593
    "NotifySquadcast": DEDUP,  # https://support.squadcast.com/integrations/incident-webhook-incident-webhook-api
}
SECONDS_IN_ALL = 60

# What rings somewhere: `@here`, `<@U1>`, `<!channel>`, `<users/all>`. Discord finds its own within words too:
# https://discord.com/developers/docs/reference#message-formatting
_ringing = re.compile(r"(?<!\w)@|@(?=everyone|here)|<(?=[^\s\d=])", re.IGNORECASE)
URL_CHARACTERS = "%/:?#[]!$&'()*+,;=~"  # RFC 3986, but for @, which may ring


@dataclass(frozen=True, slots=True)
class Service:
    """One service: `name` is for people, such as slack-2; `key`, a hash of its address, names its queue.

    `pages` and `components` are names or ids, folded, as case does not matter; empty sets let all pass.
    """

    name: str
    key: str
    pages: frozenset[str] = frozenset()
    components: frozenset[str] = frozenset()
    min_impact: str = "none"
    maintenance: bool = True
    incident_key: tuple[str, str, str] | None = None
    plugin: Any = field(default=None, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def takes(self, update: Update) -> bool:
        """Tell whether the update passes the filter.

        What ended passes for a service with incident keys whatever else the filter says: what was raised must be
        resolved, also after the component was taken off the incident, or the incident made maintenance.
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
        # An impact that nobody gave passes: a message too many costs less than one too few.
        return self.min_impact == "none" or impact == "unstated" or RANK[impact] <= RANK[self.min_impact]

    def tell(self, update: Update) -> str | None:
        """Send an update; return None, or why it was not taken."""
        kind, severity = ALARMS.get(impact_told(update), (NotifyType.INFO, "info"))
        if self.incident_key:
            attribute, opens, ends = self.incident_key
            setattr(self.plugin, attribute, key_of(update))
            self.plugin.action, self.plugin.click = opens if update.is_open else ends, link_of(update)
        if self.name.startswith("pagerduty"):
            self.plugin.severity = severity
        return self.send(*texts(update), kind if update.is_open else NotifyType.SUCCESS)

    def send(self, title: str, body: str, kind: NotifyType = NotifyType.INFO) -> str | None:
        """Send a text; return None, or why it was not taken."""
        sender = Apprise(asset=self.plugin.asset)
        sender.add(self.plugin)
        try:
            with gevent.Timeout(SECONDS_IN_ALL):
                result = sender.notify(body=body, title=title, notify_type=kind, body_format=NotifyFormat.TEXT)
        except gevent.Timeout:
            return f"no answer within {SECONDS_IN_ALL} s"
        if result:
            return None
        said = " ".join([entry.message for entry in result.logs()][:1]) or "refused"
        for secret in self.secrets:
            said = said.replace(secret, "…")
        return one_line(said, 200)


def texts(update: Update) -> tuple[str, str]:
    """Return a title and a body for a reader in a hurry, which ring nobody."""
    words = [in_words(update.status)] if update.status else []
    if update.impact and update.impact != "none":
        words.append(update.impact)
    title = f"{product(update)}: {', '.join(words)}" if words else product(update)
    began = f"{update.created_at:%Y-%m-%d %H:%M} UTC"
    said = f"{update.updated_at:%Y-%m-%d %H:%M} UTC"
    name = one_line(update.name, LONGEST_PRODUCT)
    lines = [message(update), said if update.is_component_update or began == said else f"{said}, began {began}"]
    if update.components and not update.is_component_update and name not in lines[0]:
        lines.insert(0, name)
    link = link_of(update)
    return _quiet(title), _quiet("\n".join(lines)) + (f"\n{link}" if link else "")


def _quiet(text: str) -> str:
    """Write `@` and `<` full-width where they ring: it reads the same, hides nothing, and no service takes it so."""
    return _ringing.sub(lambda found: chr(ord(found[0]) + 0xFEE0), text)


def link_of(update: Update) -> str | None:
    """Return the address of an update's page with nothing in it that ends a line, rings or formats."""
    return quote(update.shortlink, safe=URL_CHARACTERS) if update.shortlink else None


def impact_told(update: Update) -> str:
    """Return one of IMPACTS; a component's change counts as the worse of both its statuses, so on its way back too."""
    impact = impact_of(update)
    if not update.is_component_update or impact == "maintenance":
        return impact
    return min(impact, COMPONENT_IMPACTS.get(update.old_status or "", "unstated"), key=RANK.__getitem__)


def key_of(update: Update) -> str:
    """Return what a service knows an incident by: a hash, as no separator is safe in a provider's ids."""
    identity = [update.page_id, "component" if update.is_component_update else "incident", update.subject]
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()
