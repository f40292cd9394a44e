"""What every route needs of Flask and of a request: the payload, the token, text for the log."""

from __future__ import annotations

import hmac
import traceback
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from flask import Flask, Request, Response, abort, json, request
from werkzeug.routing import MapAdapter

from monitor.senders.payload import JSONObject, NotAnUpdate, decode

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

LARGEST_BODY = 1024 * 1024  # parsed, JSON takes 20 to 29 times its size


class App(Flask):
    """Flask, less what no request here needs, which takes it a quarter of its time.

    That is signals, sessions, coroutines, functions before and after requests, and addresses built from a Host.
    """

    def full_dispatch_request(self) -> Response:
        """Call the view, or the handler of its error."""
        try:
            answer = self.dispatch_request()
        except Exception as error:  # noqa: BLE001  # as Flask does
            answer = self.handle_user_exception(error)
        return answer if isinstance(answer, Response) else self.make_response(answer)

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        return func

    def do_teardown_request(self, exc: BaseException | None = None) -> None:
        """Do nothing: no function waits for it."""

    def do_teardown_appcontext(self, exc: BaseException | None = None) -> None:
        """Do nothing: no function waits for it."""

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        if request is None:
            return None
        return Adapter(self.url_map, "localhost", "/", "", "http", request.path, request.method)


class Adapter(MapAdapter):
    """Werkzeug's matching, done once for each address that holds no variable."""

    def match(self, *_: Any, **__: Any) -> Any:
        known = self.map.__dict__.setdefault("matched", {})
        asked = self.path_info, self.default_method
        if asked not in known:
            rule, variables = super().match(return_rule=True)
            if variables:
                return rule, variables
            known[asked] = rule, variables
        return known[asked]


class Prepared(Response):
    """An answer that is always the same, made once: making one takes Flask a third of its time for a request."""

    def __init__(self, **answer: str) -> None:
        super().__init__(json.dumps(answer) + "\n", mimetype="application/json")
        self._head = self.status, self.get_wsgi_headers({"REQUEST_METHOD": "POST"}).to_wsgi_list()

    def __call__(self, _: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response(*self._head)
        return self.response  # type: ignore[return-value]  # a list of one


def receive() -> JSONObject:
    """Return the request's JSON object; raise NotAnUpdate, or abort with 413 or 415."""
    environ = request.environ
    body = environ["event_monitor.body"] = _body(environ)
    if (encoding := environ.get("HTTP_CONTENT_ENCODING", "identity").lower()) != "identity":
        abort(415, f"Content-Encoding is {encoding!a}: send the body as it is")  # 1 MB inflates to 1 GB
    if environ.get("CONTENT_TYPE") != "application/json" and not request.is_json:
        raise NotAnUpdate(f"Content-Type is {request.mimetype!a} and must be application/json")
    return decode(body)


def _body(environ: WSGIEnvironment) -> bytes:
    """Read as Flask's get_data does, in a quarter of the time; that cuts a chunked body at the limit in silence."""
    stream, length = environ["wsgi.input"], environ.get("CONTENT_LENGTH")
    try:
        if length:
            body: bytes = stream.read(int(length)) if int(length) <= LARGEST_BODY else abort(413)
            if len(body) == int(length):
                return body
        else:
            body = stream.read(LARGEST_BODY + 1) if environ.get("wsgi.input_terminated") else b""
            return body if len(body) <= LARGEST_BODY else abort(413)
    except (OSError, ValueError):
        pass
    raise NotAnUpdate("the body ended early or is not well chunked")


def require(token: str | Mapping[str, str] | None) -> str | None:
    """Abort with 401 unless the request bears the token, if there is one; compared in constant time.

    Of several tokens that each speak for a page, return the page.
    """
    if token is None:
        return None
    scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
    offered = credentials.strip().encode("latin-1") if scheme.lower() == "bearer" else b""
    offered = offered or request.args.get("token", "").encode()
    pages = {token: None} if isinstance(token, str) else token
    # As bytes: compare_digest raises on text that is not ASCII.
    matching = [known for known in pages if hmac.compare_digest(offered, known.encode(errors="surrogateescape"))]
    if not matching:
        abort(401, "the token is missing or wrong: give it as ?token= or as Authorization: Bearer")
    return pages[matching[0]]


def where(error: Exception) -> str:
    """Return one line for the log that says what failed and where."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    said = excerpt(str(error).encode(errors="backslashreplace"))
    return f"{type(error).__name__} at {place.filename}:{place.lineno}: {said}"


def excerpt(body: bytes) -> str:
    """Return the beginning of a body for the log, where it can neither forge a line nor drive a terminal."""
    return body[:500].decode(errors="replace").encode("unicode_escape").decode("ascii")
