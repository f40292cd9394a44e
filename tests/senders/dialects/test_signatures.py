"""Where a sender's secret is set, no payload of its shape passes without it, at any address."""

import base64
import hmac
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks import Webhook

from tests.conftest import DIALECTS, ROOT, InProcess, payload
from tests.senders.dialects.test_dialects import BLOCKS, without
from tests.test_core_alone import HIDDEN, extras

# incident.io's signature

SECRET = base64.b64encode(b"a secret of 24 characters").decode()
BODY = ROOT.joinpath("tests", "payloads", "incidentio-incident.json").read_bytes()


def signature(body=BODY, secret=SECRET, at=None, message="msg_1"):
    at = at or datetime.now(tz=UTC)
    return {
        "webhook-id": message,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(message, at, body.decode()),
    }


@pytest.fixture(scope="module")
def signed():
    return InProcess({"WEBHOOK_SECRET_INCIDENTIO": f"whsec_{SECRET}"})


@pytest.mark.parametrize("path", ["/webhook/incidentio", "/webhook/statuspage"])
def test_what_is_signed_is_accepted(path):
    app = InProcess({"WEBHOOK_SECRET_INCIDENTIO": SECRET})

    assert app.post(BODY, path, headers=signature()).json == {"status": "accepted"}
    assert app.printed == [BLOCKS["incidentio-incident"]]


TIMESTAMPS = ["soon", "nan", "inf", "1e999", "-1", "9" * 400, "ÿ", ""]
SIGNATURES = ["v1", "v1,a", "v1,ÿ", "v1,=", "v1,,", ",", " ", "v2,YQ==", "v1a," + "Y" * 5_000, "ÿ"]


# Made when the test runs: a signature is good for five minutes.
@pytest.mark.parametrize("path", ["/webhook/incidentio", "/webhook/statuspage"])
@pytest.mark.parametrize(
    "headers",
    [
        dict,
        lambda: without(signature(), ["webhook-id"]),
        lambda: without(signature(), ["webhook-timestamp"]),
        lambda: without(signature(), ["webhook-signature"]),
        lambda: signature(BODY + b" "),
        lambda: signature(secret=base64.b64encode(b"another secret").decode()),
        lambda: signature(at=datetime.now(tz=UTC) - timedelta(minutes=6)),
        lambda: signature(at=datetime.now(tz=UTC) + timedelta(minutes=6)),
        lambda: signature() | {"webhook-id": "msg_2"},
        lambda: signature() | {"webhook-id": "ÿ"},
        *(lambda value=value: signature() | {"webhook-timestamp": value} for value in TIMESTAMPS),
        *(lambda value=value: signature() | {"webhook-signature": value} for value in SIGNATURES),
    ],
)
def test_what_is_not_well_signed_is_refused_and_nothing_more(signed, path, headers):
    signed.printed.clear()
    answer = signed.post(BODY, path, headers=headers())

    assert answer.status_code == 401, answer.text
    assert SECRET not in answer.text
    assert signed.printed == []


def test_a_body_that_is_no_utf_8_is_refused_with_a_signature_too(signed):
    assert signed.post(b'{"event_type": "\xff"}', "/webhook/incidentio", headers=signature()).status_code == 400


def test_the_signature_asks_nothing_of_what_others_send(signed):
    for name in ("statusio-incident", "instatus-incident", "minimal"):
        assert signed.post(payload(name), "/webhook/statuspage").json == {"status": "accepted"}


@pytest.mark.parametrize("secret", ["", " ", "whsec_", "not base64!", "s3cr\u00e9t-", "YWJj-_", "YWJjY"])
def test_a_secret_that_cannot_be_one_stops_the_start_and_is_not_shown(secret):
    refused = start({"MONITOR_WEBHOOK_SECRET_INCIDENTIO": secret})

    assert refused.returncode == 2
    assert refused.stderr.startswith("event_monitor: MONITOR_WEBHOOK_SECRET_INCIDENTIO is ")
    assert refused.stderr.count("\n") == 1
    assert secret in ("", " ", "whsec_") or secret not in refused.stderr


def test_a_secret_is_taken_with_and_without_its_prefix_and_its_padding():
    for secret in ("whsec_YQ==", "YQ==", "whsec_YQ", "YQ"):
        app = InProcess({"WEBHOOK_SECRET_INCIDENTIO": secret})

        assert app.post(BODY, "/webhook/incidentio", headers=signature(secret="YQ==")).status_code == 200


def test_a_secret_without_the_extra_says_how_to_install_it(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(HIDDEN.format(names=extras()))
    refused = start({"PYTHONPATH": str(tmp_path), "MONITOR_WEBHOOK_SECRET_INCIDENTIO": SECRET})

    assert refused.returncode == 2
    assert refused.stderr == (
        "event_monitor: MONITOR_WEBHOOK_SECRET_INCIDENTIO needs standardwebhooks: "
        "pip install -r requirements-extras.txt\n"
    )


def start(environment):
    command = [sys.executable, "event_monitor.py", "--port", "0"]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=30)


# Instatus' signature, and the secret that Cloudflare sends

INSTATUS = json.dumps(payload("instatus-incident")).encode()


def signed_by_instatus(body=INSTATUS, secret="a sécret"):
    return {"X-Instatus-Webhook-Signature": hmac.digest(secret.encode(), body, "sha256").hex()}


@pytest.mark.parametrize("path", ["/webhook/instatus", "/webhook/statuspage"])
def test_what_instatus_signs_is_accepted_and_nothing_else_of_its_shape(path):
    app = InProcess({"WEBHOOK_SECRET_INSTATUS": "a sécret"})
    wrong = [
        {}, {"X-Instatus-Webhook-Signature": ""}, {"X-Instatus-Webhook-Signature": "ÿ"},
        signed_by_instatus(INSTATUS + b" "), signed_by_instatus(secret="another"),
    ]  # fmt: skip

    assert [app.post(INSTATUS, path, headers=headers).status_code for headers in wrong] == [401] * len(wrong)
    assert app.post(INSTATUS, path, headers=signed_by_instatus()).json == {"status": "accepted"}
    assert app.printed == [BLOCKS["instatus-incident"]]


@pytest.mark.parametrize("path", ["/webhook/cloudflare", "/webhook/statuspage"])
def test_what_bears_cloudflares_secret_is_accepted_and_nothing_else_of_its_shape(path):
    app = InProcess({"WEBHOOK_SECRET_CLOUDFLARE": "a secret"})
    made = payload("cloudflare-incident")

    assert [app.post(made, path, headers={"cf-webhook-auth": secret}).status_code for secret in ("", "ÿ", "a s")] == [
        401, 401, 401,
    ]  # fmt: skip
    assert app.post(made, path, headers={"cf-webhook-auth": "a secret"}).json == {"status": "accepted"}


@pytest.mark.parametrize("sender", ["INSTATUS", "CLOUDFLARE"])
def test_an_empty_secret_stops_the_start(sender):
    refused = start({f"MONITOR_WEBHOOK_SECRET_{sender}": " "})

    assert refused.returncode == 2
    assert refused.stderr.startswith(f"event_monitor: MONITOR_WEBHOOK_SECRET_{sender} is empty")


# A payload of two shapes

SECRETS = {"incidentio-incident": SECRET, "instatus-incident": "a secret", "cloudflare-incident": "a secret"}


@pytest.mark.parametrize("address", ["statuspage", *DIALECTS])
@pytest.mark.parametrize("name", SECRETS)
def test_nothing_of_a_signers_shape_passes_unsigned_whatever_else_it_is_and_wherever_it_comes_to(address, name):
    app = InProcess({f"WEBHOOK_SECRET_{name.split('-')[0].upper()}": SECRETS[name]})

    for other in ("minimal", "component-update", *BLOCKS):
        answer = app.post(payload(other) | payload(name), f"/webhook/{address}")

        assert answer.status_code == 401, other
    assert app.printed == []
