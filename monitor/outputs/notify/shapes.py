"""Shapes: where Apprise's own way with a service does not reach a phone, or does not close what it opened.

Each is given Apprise's plugin and changes how that one builds what it posts. A plugin that has a place of its own for
an update's link takes it as `click`; one that shapes what it is told has `subject`, the incident's own title, too.
"""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any

from apprise import NotifyFormat
from apprise.plugins.jira import JIRA_API_LOOKUP
from apprise.plugins.opsgenie import OPSGENIE_API_LOOKUP
from apprise.plugins.slack import SlackMode
from requests import post


def slack(plugin: Any) -> None:
    """Give a message `text`, without which a phone shows that there is something and not what, and link its title.

    https://docs.slack.dev/reference/methods/chat.postMessage and legacy-secondary-message-attachments there.
    """
    if plugin.mode not in (SlackMode.WEBHOOK, SlackMode.WEBHOOK_GOV, SlackMode.BOT) or plugin.template:
        return
    post_to_slack = plugin._send
    if not plugin.use_blocks:
        plugin.subject, plugin.click = "", None

    def with_preview(url: str, payload: Any, **rest: Any) -> Any:
        if payload.get("attachments"):
            (shown,) = payload["attachments"]
            title = shown.get("title") or shown["blocks"][0]["text"]["text"]
            if not plugin.use_blocks and plugin.subject:
                shown = shown | {"title": html.escape(plugin.subject, quote=False), "title_link": plugin.click}
            payload = payload | {"text": title, "attachments": [shown]}
        return post_to_slack(url, payload, **rest)

    plugin._send = with_preview


def teams(plugin: Any) -> None:
    """Write a card of plain runs of text, which wrap, with a button: a TextBlock reads Markdown and cuts a title.

    https://learn.microsoft.com/adaptive-cards/authoring-cards/text-features
    """
    if plugin.template:
        return
    generic, plugin.subject, plugin.click = plugin.gen_payload, "", None
    plugin.notify_format = NotifyFormat.TEXT

    def card(body: str, title: str = "", **rest: Any) -> Any:
        payload = generic(body=body, title=title, **rest)
        content = payload["attachments"][0]["content"]
        content["body"] = [_runs(title, weight="bolder", size="large"), *map(_runs, body.splitlines())]
        content["actions"] = [{"type": "Action.OpenUrl", "title": "Open", "url": plugin.click}] if plugin.click else []
        return payload

    plugin.gen_payload = card


def _runs(text: str, **style: str) -> dict[str, Any]:
    return {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": text} | style]}


def as_text(plugin: Any) -> None:
    """Send text as text: as Markdown, dashes and addresses would be full of backslashes where that is not rendered."""
    plugin.notify_format = NotifyFormat.TEXT


def _close_by_alias(alerts_of_regions: dict[str, str]) -> Callable[[Any], None]:
    """Make Apprise's Opsgenie and Jira close the alert: they ask by the id of a request, which is not the alert's."""

    def shape(plugin: Any) -> None:
        send, alerts = plugin.send, alerts_of_regions[plugin.region_name]

        def send_or_close(body: str, **rest: Any) -> bool:
            if plugin.action != "close":
                return bool(send(body=body, **rest))
            note, by_alias = {"source": plugin.app_id, "note": body}, {"identifierType": "alias"}
            return bool(plugin._fetch(post, f"{alerts}/{plugin.alias}/close", note, by_alias)[0])

        plugin.send = send_or_close

    return shape


# By Apprise's plugin.
SHAPES: dict[str, Callable[[Any], None]] = {
    "NotifyGoogleChat": as_text,
    "NotifyJira": _close_by_alias(JIRA_API_LOOKUP),
    "NotifyOpsgenie": _close_by_alias(OPSGENIE_API_LOOKUP),
    "NotifySlack": slack,
    "NotifyWebexTeams": as_text,
    "NotifyWorkflows": teams,
}
