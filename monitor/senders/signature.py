"""Signed webhooks, as https://www.standardwebhooks.com describes them: the secret and the check of a request.

The signature covers the id, the time and the body as it came over the wire, and is good for five minutes.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping

from flask import abort
from standardwebhooks import Webhook, WebhookVerificationError


class Signature:
    """What a sender's signature is checked with; the secret shows in no text of it."""

    def __init__(self, secret: bytes) -> None:
        self._webhook = Webhook(secret)

    def verify(self, headers: Mapping[str, str], body: bytes) -> None:
        """Abort with 401 unless the headers sign this body."""
        try:
            self._webhook.verify(body, dict(headers), json_parse=False)
        # ValueError: what the library lets out on malformed signatures, binascii.Error and UnicodeDecodeError with it.
        except (WebhookVerificationError, ValueError):
            abort(401, "webhook-id, webhook-timestamp and webhook-signature do not sign this body, or not just now")


def parse(value: str) -> Signature:
    """Return what checks with this secret, base64 with or without `whsec_` before it; raise ValueError."""
    encoded = value.strip().removeprefix("whsec_").rstrip("=")
    try:
        secret = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):  # ValueError: not ASCII
        raise ValueError("is not base64, with or without whsec_ before it") from None
    if not secret:
        raise ValueError("is empty: give it the secret, or unset it to take webhooks without a signature")
    return Signature(secret)
