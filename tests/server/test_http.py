"""Requests good and bad: which are let in, refused with a sentence, or closed; none is ever answered with a 5xx."""

import gzip
import json
import re
import socket
import time

import pytest
import requests
from flask import request, request_started

from monitor.pipeline import pipeline_of
from tests.conftest import Monitor, answer, blocks, dial, incident, posted, rest

MEBIBYTE = 1024 * 1024
HOOK = "/webhook/statuspage"


# Content types


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        "application/json;charset=ISO-8859-1;x=y",
        "application/vnd.statuspage+json",
        'application/cloudevents+json; v="2"',
    ],
)
def test_json_content_types_are_let_in(shared, page, content_type):
    body = json.dumps(incident(page=page, name="Größe"), ensure_ascii=False).encode()

    assert shared.post(body, headers={"Content-Type": content_type}).status_code == 200
    assert len(blocks(shared, page["name"])) == 1


@pytest.mark.parametrize(
    "content_type",
    [
        "application/x-www-form-urlencoded",
        "text/plain",
        "multipart/form-data",
        "text/json",
        "application/jsonp",
        "json",
    ],
)
def test_another_content_type_is_refused_and_named(shared, content_type):
    refused = shared.post(json.dumps(incident()), headers={"Content-Type": f"{content_type}; boundary=x"})

    assert (refused.status_code, refused.json().keys()) == (400, {"error"})
    assert f"Content-Type is '{content_type}'" in refused.json()["error"]


@pytest.mark.parametrize("content_type", [[], [b"Content-Type: "], [b"Content-Type: ;\xff\x01" + b"x" * 9000]])
def test_a_missing_or_senseless_content_type_is_refused_and_named(shared, content_type):
    body = json.dumps(incident()).encode()
    head = [b"POST /webhook/statuspage HTTP/1.1", *content_type, b"Content-Length: %d" % len(body), b"", body]

    with dial(shared, b"\r\n".join(head)) as connection:
        refused = answer(connection)

    assert refused.status == 400
    assert "Content-Type" in json.loads(refused.text)["error"]


# Encodings and sizes


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "deflate", "br", "identity, gzip", "gzip, gzip"])
def test_an_encoded_body_is_refused(shared, encoding):
    refused = shared.post(gzip.compress(b"{}"), headers={"Content-Encoding": encoding})

    assert (refused.status_code, refused.json().keys()) == (415, {"error"})


def most_memory(monitor):
    """The most memory that the process has ever had, in bytes."""
    with open(f"/proc/{monitor.process.pid}/status") as status:
        return 1024 * int(re.search(r"VmHWM:\s+(\d+) kB", status.read())[1])


def test_a_compressed_bomb_is_never_inflated(shared):
    before = most_memory(shared)

    assert shared.post(gzip.compress(bytes(200 * MEBIBYTE), 1), headers={"Content-Encoding": "gzip"}).status_code == 415
    assert most_memory(shared) - before < 50 * MEBIBYTE


def chunked(body):
    """The body in pieces, as a sender gives it that does not know its length."""
    return (body[start : start + 65536] for start in range(0, len(body), 65536))


@pytest.mark.parametrize("sent_as", [bytes, chunked])
def test_a_body_of_exactly_1_mib_is_accepted(shared, page, sent_as):
    body = json.dumps(incident(page=page)).encode().ljust(MEBIBYTE)

    accepted = requests.post(shared.url + HOOK, sent_as(body), headers={"Content-Type": "application/json"}, timeout=10)

    assert accepted.json() == {"status": "accepted"}


@pytest.mark.parametrize("sent_as", [bytes, chunked])
@pytest.mark.parametrize("size", [MEBIBYTE + 1, 20 * MEBIBYTE])
def test_a_larger_body_is_refused_and_the_sender_hears_why(shared, page, sent_as, size):
    body = json.dumps(incident(page=page)).encode().ljust(size)
    refused = requests.post(shared.url + HOOK, sent_as(body), headers={"Content-Type": "application/json"}, timeout=10)

    assert refused.status_code == 413
    assert str(MEBIBYTE) in refused.json()["error"]


def test_a_body_announced_as_huge_is_refused_before_it_is_sent(shared):
    with dial(shared, posted(b"").replace(b"Length: 0", b"Length: 99999999999"), seconds=1) as connection:
        assert answer(connection).status == 413


def test_a_body_is_asked_for_by_100_continue(shared, page):
    whole = posted(incident(page=page), "Expect: 100-continue")
    head, body = whole.split(b"\r\n\r\n")

    with dial(shared, head + b"\r\n\r\n") as connection:
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        assert answer(connection).status == 200


# Broken requests: their bodies are good updates, and what follows them is never taken for a request

POST = "POST /webhook/statuspage HTTP/1.1\r\nContent-Type: application/json\r\n"
BODY = json.dumps(incident("broken"))
SIZE, HEX = len(BODY), f"{len(BODY):x}"
AS_CHUNKS = f"{HEX}\r\n{BODY}\r\n0\r\n\r\n"
CHUNKED, WHOLE = f"{POST}Transfer-Encoding: chunked\r\n\r\n", f"Content-Length: {SIZE}\r\n\r\n{BODY}"
NEXT = b"GET /health HTTP/1.1\r\n\r\n"

BROKEN = {
    "a chunk size that is no number": CHUNKED + "zz" + AS_CHUNKS,
    "a negative chunk size": CHUNKED + "-" + AS_CHUNKS,
    "a chunk size in Python's notation": CHUNKED + "0x" + AS_CHUNKS,
    "an empty chunk size": CHUNKED + "\r\n" + AS_CHUNKS,
    "a chunk size of 20 digits": CHUNKED + "0" * 17 + AS_CHUNKS,
    "a chunk longer than its size": f"{CHUNKED}{HEX}\r\n{BODY} \r\n0\r\n\r\n",
    "chunks with bare line feeds": CHUNKED + AS_CHUNKS.replace("\r\n", "\n"),
    "an endless chunk extension": CHUNKED + AS_CHUNKS.replace("\r", ";" + "x" * 20_000 + "\r", 1),
    "a line feed in a chunk extension": CHUNKED + AS_CHUNKS.replace("\r", ";a\nb\r", 1),
    "a NUL in a chunk extension": CHUNKED + AS_CHUNKS.replace("\r", ";\0\r", 1),
    "extensions much longer than their chunks": CHUNKED
    + "".join(f"1;{'x' * 200}\r\n{byte}\r\n" for byte in BODY)
    + "0\r\n\r\n",
    "a line feed in a trailer": f"{CHUNKED}{HEX}\r\n{BODY}\r\n0\r\nX: a\nY: b\r\n\r\n",
    "a NUL in a trailer": f"{CHUNKED}{HEX}\r\n{BODY}\r\n0\r\nX: \0\r\n\r\n",
    "5 MB of trailers": f"{CHUNKED}{HEX}\r\n{BODY}\r\n0\r\n" + f"X: {'x' * 1000}\r\n" * 5000 + "\r\n",
    "a malformed trailer": f"{CHUNKED}{HEX}\r\n{BODY}\r\n0\r\nno trailer\r\n\r\n",
    "chunked beside Content-Length": f"{POST}Transfer-Encoding: chunked\r\nContent-Length: {SIZE}\r\n\r\n{AS_CHUNKS}",
    "chunked twice": f"{POST}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n{AS_CHUNKS}",
    **{
        f"Transfer-Encoding {encoding}": f"{POST}Transfer-Encoding: {encoding}\r\n\r\n{AS_CHUNKS}"
        for encoding in ("gzip, chunked", "chunked, chunked", "xchunked", "identity")
    },
    "Content-Length twice": f"{POST}Content-Length: {SIZE}\r\n{WHOLE}",
    "two Content-Lengths": f"{POST}Content-Length: 2\r\n{WHOLE}",
    **{
        f"Content-Length {length!a}": f"{POST}Content-Length: {length}\r\n\r\n{BODY}"
        for length in (f"-{SIZE}", f"+{SIZE}", hex(SIZE), f"0_{SIZE}", f"{SIZE}, {SIZE}", f"{SIZE}.0", "9" * 20, "\xb2")
    },
    "two hosts": f"{POST}Host: a.example\r\nHost: b.example\r\n{WHOLE}",
    "a Content-Length that is too short": f"{POST}Content-Length: {SIZE - 1}\r\n\r\n{BODY}",
    "a space before the colon": POST + WHOLE.replace(":", " :", 1),
    "a folded header": f"{POST}X: a\r\n b\r\n{WHOLE}",
    "a header without a colon": f"{POST}no header\r\n{WHOLE}",
    "a header without a name": f"{POST}: x\r\n{WHOLE}",
    "a NUL in a header's name": f"{POST}X\0: x\r\n{WHOLE}",
    "a NUL in a header's value": f"{POST}X: a\0b\r\n{WHOLE}",
    "a carriage return in a header's value": f"{POST}X: a\rY: b\r\n{WHOLE}",
    "a control character beside a length": f"{POST}Content-Length: \x0b{SIZE}\r\n\r\n{BODY}",
    "a header of 40 KB": f"{POST}X: {'x' * 40_000}\r\n{WHOLE}",
    "1,000 headers": POST + "".join(f"X{number}: x\r\n" for number in range(1000)) + WHOLE,
    "a request line of 9 KB": POST.replace("statuspage", f"statuspage?{'x' * 9000}") + WHOLE,
    "a request line without an end": "x" * 20_000,
    "no version": POST.replace(" HTTP/1.1", "") + WHOLE,
    **{
        f"version {version}": POST.replace("HTTP/1.1", version) + WHOLE
        for version in ("", "HTTP/1", "HTTP/2.0", "HTTP/9.9", "HTTP/a.b", "HTTP/-1.1", "FTP/1.1", "HTTP/1.1 x")
    },
    "a control character in place of a space": POST.replace(" ", "\x1f", 1) + WHOLE,
    "a TLS hello": "\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n",
}


def test_the_requests_that_are_broken_below_are_accepted_when_whole(shared):
    for sent in (POST + WHOLE, CHUNKED + AS_CHUNKS):
        with dial(shared, sent.encode()) as connection:
            assert answer(connection).status == 200


def assert_refused_and_closed(received):
    head, _, body = received.partition(b"\r\n\r\n")
    assert received.count(b"HTTP/1.1 ") == 1
    assert re.match(rb"HTTP/1\.1 4(00|13|14|31) ", head), head
    assert json.loads(body).keys() == {"error"}
    assert rb"Content-Type: application/json" in head


@pytest.mark.parametrize("sent", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_request_is_refused_and_its_connection_closed(shared, page, sent):
    with dial(shared, sent.encode("latin-1") + NEXT) as connection:
        received = rest(connection)

    assert_refused_and_closed(received)
    assert shared.post(incident(page=page)).json() == {"status": "accepted"}


@pytest.mark.parametrize(
    "sent",
    [
        POST[:20],
        POST[:-10],
        POST + WHOLE[:10],
        POST + WHOLE[:-1],
        CHUNKED + AS_CHUNKS[:1],
        CHUNKED + "2;x",
        CHUNKED + AS_CHUNKS[:20],
        CHUNKED + AS_CHUNKS[:-5],
        CHUNKED + AS_CHUNKS[:-2],
        CHUNKED + AS_CHUNKS[:-2] + "X: x",
    ],
)
def test_a_request_that_ends_early_is_refused_and_closed(shared, sent):
    with dial(shared, sent.encode("latin-1")) as connection:
        connection.shutdown(socket.SHUT_WR)
        received = rest(connection)

    assert_refused_and_closed(received)


def test_a_client_that_speaks_tls_is_refused_at_once_and_the_log_says_perhaps_https(shared):
    began = time.monotonic()
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(shared.url.replace("http:", "https:"), timeout=10)

    assert time.monotonic() - began < 2
    assert "refused: the request is TLS: perhaps https (from 127.0.0.1)" in shared.log()


# Connections


@pytest.mark.parametrize("field", ["close", "Close", "TE, close"])
def test_a_client_that_asks_to_close_is_told_so(shared, field):
    with dial(shared, f"GET /health HTTP/1.1\r\nConnection: {field}\r\n\r\n".encode() + NEXT) as connection:
        received = rest(connection)

    assert received.count(b"HTTP/1.1 200 OK") == 1
    assert received.count(b"\r\nConnection: close\r\n") == 1


def test_a_client_that_does_not_ask_to_close_stays_connected(shared):
    with dial(shared, b"GET /health HTTP/1.1\r\n\r\n") as connection:
        first = answer(connection)
        connection.sendall(NEXT)

        assert (first.headers["Connection"], answer(connection).status) == (None, 200)


# Addresses and methods


@pytest.mark.parametrize(
    "target", ["http://status.localhost/webhook/statuspage", "HTTPS://[::1]:8080/webhook/statuspage?x=y"]
)
def test_an_absolute_address_is_served(shared, page, target):
    sent = posted(incident(page=page)).replace(b"/webhook/statuspage", target.encode())

    with dial(shared, sent) as connection:
        assert answer(connection).status == 200
    assert len(blocks(shared, page["name"])) == 1


def test_an_absolute_address_without_a_path_is_the_root(shared):
    with dial(shared, b"GET http://status.localhost?x HTTP/1.1\r\n\r\n" + NEXT) as connection:
        assert answer(connection).status == shared.get("/").status_code


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "path",
    [
        "/webhook/statuspage/",
        "//webhook/statuspage",
        "/webhook//statuspage",
        "/webhook/../webhook/statuspage",
        "/webhook/%2e%2e/webhook/statuspage",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/webhook/statuspage%2f",
        "/WEBHOOK/STATUSPAGE",
        "/health/",
        "//health",
        "//evil.example/%2e%2e",
        "/incidents/",
        "/%00%ff%0d%0aLocation:%20x",
        "/\xff",
        "http://evil.localhost/health",
        "*",
        "/" + "x" * 8000,
    ],
)
def test_no_variant_of_an_address_redirects(shared, method, path):
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"

    with dial(shared, head.encode("latin-1")) as connection:
        answered = answer(connection)

    assert (answered.status in (200, 400, 404, 405), answered.headers["Location"]) == (True, None)
    assert answered.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", HOOK, {"POST"}),
        ("PUT", HOOK, {"POST"}),
        ("POST", "/health", {"GET", "HEAD"}),
        ("DELETE", "/incidents", {"GET", "HEAD"}),
        ("FROB", "/ready", {"GET", "HEAD"}),
        ("TRACE", "/ready", {"GET", "HEAD"}),
    ],
)
def test_another_method_is_refused_naming_those_that_serve(shared, method, path, allowed):
    refused = requests.request(method, shared.url + path, timeout=5)

    assert (refused.status_code, refused.json()) == (
        405,
        {"error": f"{method} is not allowed here, only {' and '.join(sorted(allowed))}"},
    )
    assert set(refused.headers["Allow"].split(", ")) == allowed


# Tokens

WEBHOOK_TOKEN, READ_TOKEN = "0123456789", "läsnyckel"  # a token of digits stays text
WRONG = {
    "none": {},
    "empty": {"params": {"token": ""}},
    "wrong": {"params": {"token": "9876543210"}},
    "the number without its leading zero": {"params": {"token": "123456789"}},
    "the beginning": {"params": {"token": WEBHOOK_TOKEN[:-1]}},
    "longer": {"params": {"token": WEBHOOK_TOKEN + "0"}},
    "not ASCII": {"params": {"token": "０１２３４５６７８９"}},
    "not UTF-8": {"params": b"token=%ff%00%ed%a0%80"},
    "7 KB": {"params": {"token": "0" * 7000}},
    "10 KB": {"headers": {"Authorization": "Bearer " + "0" * 10_000}},
    "another's": {"params": {"token": READ_TOKEN}},
    "wrong bearer": {"headers": {"Authorization": "Bearer 9876543210"}},
    "bearer that is not ASCII": {"headers": {"Authorization": b"Bearer \xff\xfe"}},
    "no scheme": {"headers": {"Authorization": WEBHOOK_TOKEN}},
    "another scheme": {"headers": {"Authorization": f"Basic {WEBHOOK_TOKEN}"}},
    "in the body": {"data": f"token={WEBHOOK_TOKEN}"},
}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A monitor that asks for tokens, and never shows them."""
    tokens = {"MONITOR_WEBHOOK_TOKEN": WEBHOOK_TOKEN, "MONITOR_READ_TOKEN": READ_TOKEN}
    running = Monitor(tmp_path_factory.mktemp("guarded"), environment=tokens)
    yield running
    assert running.stop() == 0
    for secret in (WEBHOOK_TOKEN, READ_TOKEN, "9876543210"):
        assert secret not in running.log() + running.printed()


@pytest.mark.parametrize("offered", WRONG.values(), ids=WRONG.keys())
def test_without_the_token_every_answer_is_one_and_the_same_401(guarded, offered):
    refused = requests.post(guarded.url + HOOK, **{"json": incident(), "timeout": 5} | offered)
    missing = requests.post(guarded.url + HOOK, timeout=5)

    assert (refused.status_code, refused.json().keys()) == (401, {"error"})
    assert refused.content == missing.content


@pytest.mark.parametrize(
    "offered",
    [
        {"params": {"token": WEBHOOK_TOKEN}},
        {"params": {"token": WEBHOOK_TOKEN, "page": "Fabrikam"}},
        {"headers": {"Authorization": f"Bearer {WEBHOOK_TOKEN}"}},
        {"headers": {"Authorization": f"bearer {WEBHOOK_TOKEN}"}},
    ],
)
def test_the_token_lets_in_and_is_not_said(guarded, page, offered):
    accepted = requests.post(guarded.url + HOOK, json=incident(page=page), timeout=5, **offered)

    assert accepted.json() == {"status": "accepted"}


@pytest.mark.parametrize(
    "request_line",
    ["POST {}&x={} HTTP/1.1", "POST {} HTTP/9.9", "POST {}", "DELETE {} HTTP/1.1", "GET /nowhere{} HTTP/1.1"],
)
def test_a_request_that_is_refused_for_another_reason_does_not_say_the_token(guarded, request_line):
    line = request_line.format(f"{HOOK}?token={WEBHOOK_TOKEN}", "x" * 9000)
    field = f"Authorization: Bearer {WEBHOOK_TOKEN}"

    with dial(guarded, f"{line}\r\n{field}\r\n{field}\r\n\r\n".encode()) as connection:
        refused = answer(connection)

    assert 400 <= refused.status < 500
    assert WEBHOOK_TOKEN not in f"{refused.headers}{refused.text}{guarded.log()}"


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "address",
    [
        "/webhook/statuspage%3Ftoken={}",
        "/webhook/statuspage%3ftoken%3d{}",
        "/webhook/statuspage%253Ftoken%253D{}",
        "/webhook/statuspage&Token={}",
        "/incidents?token%3D{}",
        "/status?x%26token={}",
    ],
)
def test_a_token_in_an_address_that_is_encoded_amiss_is_not_said(guarded, method, address):
    refused = requests.request(method, guarded.url + address.format(WEBHOOK_TOKEN), timeout=5)
    beside = guarded.get("/incidents", params={f"token={WEBHOOK_TOKEN}": "x", "token": READ_TOKEN})

    assert 400 <= refused.status_code < 500
    assert beside.status_code == 400
    assert WEBHOOK_TOKEN not in refused.text + beside.text + guarded.log()


@pytest.mark.parametrize(
    "offered",
    [{"params": {"token": READ_TOKEN}}, {"headers": {"Authorization": f"Bearer {READ_TOKEN}".encode()}}],
)
def test_the_read_token_lets_read(guarded, offered):
    assert requests.get(guarded.url + "/incidents", timeout=5, **offered).status_code == 200


@pytest.mark.parametrize("offered", [{}, {"params": {"token": WEBHOOK_TOKEN}}])
def test_incidents_are_not_read_without_the_read_token(guarded, offered):
    assert requests.get(guarded.url + "/incidents", timeout=5, **offered).status_code == 401


def test_health_is_open_to_all(guarded):
    assert guarded.get("/health").status_code == 200


def test_an_address_that_is_not_served_is_named(shared):
    refused = shared.get("/incident%0As")

    assert (refused.status_code, refused.json()) == (404, {"error": r"nothing is served at /incident\ns"})


@pytest.mark.parametrize(
    ("path", "status"),
    [("/incidents", 200), ("/pages", 200), ("/status", 200), ("/ready", 200), ("/nowhere", 404), ("/incidents?x", 400)],
)
def test_what_is_answered_is_neither_stored_nor_taken_for_another_type(shared, path, status):
    read = shared.get(path)

    assert (read.status_code, read.headers["Cache-Control"]) == (status, "no-store")
    assert read.headers["X-Content-Type-Options"] == "nosniff"


# The application


def test_a_function_around_requests_sees_every_webhook(app):
    seen = []
    app.application.before_request(lambda: seen.append(request.get_json()["incident"]["id"]))
    app.application.after_request(lambda response: seen.append(response.status_code) or response)

    assert app.post(incident("i1")).json == {"status": "accepted"}
    assert app.post(incident("i1")).json == {"status": "duplicate"}
    assert seen == ["i1", 200, "i1", 200]
    assert len(app.printed) == 1


def test_a_signal_of_flask_is_sent_for_every_webhook(app):
    seen = []

    with request_started.connected_to(lambda *_, **__: seen.append(1), app.application):
        app.post(incident())

    assert seen == [1]


def test_the_program_itself_registers_no_function_around_requests(app):
    flask = app.application

    assert not any((flask.before_request_funcs, flask.after_request_funcs))
    assert not any((flask.teardown_request_funcs, flask.teardown_appcontext_funcs))


def test_an_output_that_fails_hinders_neither_the_answer_nor_the_others(app, caplog):
    def fail(*_):
        raise ValueError("\ud800 \x1b[2J")

    pipeline_of(app.application).outputs.insert(0, fail)

    assert app.post(incident()).status_code == 200
    assert len(app.printed) == 1
    assert "output failed: ValueError" in caplog.text
    assert "\x1b" not in caplog.text
