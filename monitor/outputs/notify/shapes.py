"""Shapes: functions that change what an Apprise plugin posts, where its own message shows no preview on a phone, or
where it does not close the alert that it opened.

`Service.tell` sets the attributes `click`, an update's link, and `subject`, the incident's own title, of a plugin that
has them.
"""

from __future__ import annotations

import html
from collections.abc import Callable
from functools import partial
from typing import Any

from apprise import NotifyType
from apprise.plugins.jira import JIRA_API_LOOKUP
from apprise.plugins.opsgenie import OPSGENIE_API_LOOKUP
from apprise.plugins.slack import SlackMode
from requests import post


def slack(plugin: Any) -> None:
    """Add the `text` that a phone shows as the preview, and link the title.

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
    """Write a card of TextRuns, which are plain and wrap, with a button; a TextBlock reads Markdown and cuts a title.

    https://learn.microsoft.com/adaptive-cards/authoring-cards/text-features
    """
    if plugin.template:
        return
    generic, plugin.subject, plugin.click = plugin.gen_payload, "", None

    def card(body: str, title: str = "", **rest: Any) -> Any:
        payload = generic(body=body, title=title, **rest)
        content = payload["attachments"][0]["content"]
        content["body"] = [_runs(title, weight="bolder", size="large"), *map(_runs, body.splitlines())]
        content["actions"] = [{"type": "Action.OpenUrl", "title": "Open", "url": plugin.click}] if plugin.click else []
        return payload

    plugin.gen_payload = card


def _runs(text: str, **style: str) -> dict[str, Any]:
    return {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": text} | style]}


def close_by_alias(alerts_of_regions: dict[str, str], plugin: Any) -> None:
    """Make Apprise's Opsgenie and Jira close an alert by its alias; they use a request's id, which is not the alert's.

    An alert is raised for every type of message but SUCCESS: Apprise's own map only adds a note for INFO.
    """
    send, alerts = plugin.send, alerts_of_regions[plugin.region_name]

    def send_or_close(body: str, notify_type: NotifyType, **rest: Any) -> bool:
        if notify_type != NotifyType.SUCCESS:
            plugin.action = "new"
            return bool(send(body=body, notify_type=notify_type, **rest))
        note, by_alias = {"source": plugin.app_id, "note": body}, {"identifierType": "alias"}
        return bool(plugin._fetch(post, f"{alerts}/{plugin.alias}/close", note, by_alias)[0])

    plugin.send = send_or_close


# By Apprise's plugin.
SHAPES: dict[str, Callable[[Any], None]] = {
    "NotifyJira": partial(close_by_alias, JIRA_API_LOOKUP),
    "NotifyOpsgenie": partial(close_by_alias, OPSGENIE_API_LOOKUP),
    "NotifySlack": slack,
    "NotifyWorkflows": teams,
}
