"""The service: one charge comes in over HTTP, one score goes out, on this machine only.

Bodies are read by the event loop, so that a slow client holds up nobody; what follows is done by
one thread, because it computes and waits for the disk, and because a log wants one writer.

    python -m mlkit.dualmode.service log.sqlite model.skops --threshold 0.1
"""

import argparse
import asyncio
import hashlib
import json
import math
import socket
import sqlite3
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

from mlkit.dualmode.events import LIMITS, Limits, Rejected, too_large
from mlkit.dualmode.log import Conflict, EventLog
from mlkit.dualmode.scorer import KEY, Scorer

HOST = "127.0.0.1"
NAMES = (HOST, "localhost")
BODY_SECONDS = 5.0  # within which a body has to come
IDLE_SECONDS = 60.0  # without a request, after which the service stops by itself
Act = Callable[[bytes], dict[str, Any]]


class Body:
    """The bytes of a request, as many as may be an event; of the rest only length and digest."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        """Begin with nothing."""
        self.limits, self.kept, self.size, self._digest = limits, b"", 0, hashlib.sha256()

    async def read(self, stream: AsyncIterator[bytes]) -> None:
        """Read to the end, chunk by chunk, whatever Content-Length says.

        What is too much is read and thrown away: a client that is cut off in the middle of a
        sentence never hears the reason.
        """
        async for chunk in stream:
            self.size += len(chunk)
            self._digest.update(chunk)
            self.kept += chunk[: self.limits.bytes + 1 - len(self.kept)]

    def bury(self, log: EventLog, reason: str) -> None:
        """Keep what came as a dead letter."""
        log.reject(self.kept, reason, size=self.size, sha256=self._digest.hexdigest())


def create_app(scorer: Scorer, *, body_seconds: float = BODY_SECONDS) -> Any:
    """Return the FastAPI application around a scorer.

    POST /charges and POST /chargebacks answer 200, or 4xx with the reason: 403 a page in a browser
    (see `foreign`; no client, so nothing of it is kept), 408 a body that does not come, 409 another
    event under the same id, 413 too large, 422 no event; 503 when the log cannot
    be written, so that nothing is promised. GET /health counts.
    """
    from fastapi import FastAPI, Request, Response

    writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="writer")

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        writer.shutdown()

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    app.state.last_seen = time.monotonic()

    def as_json(status: int, answer: dict[str, Any]) -> Response:
        return Response(to_json(answer), status, media_type="application/json")

    async def reply(work: Callable[[], tuple[int, dict[str, Any]]]) -> Response:
        status, answer = await asyncio.get_running_loop().run_in_executor(writer, work)
        app.state.last_seen = time.monotonic()
        return as_json(status, answer)

    async def handle(request: Request, act: Act) -> Response:
        if reason := foreign(request.headers):
            return as_json(403, {"reason": reason})
        app.state.last_seen = time.monotonic()
        body = Body(scorer.limits)
        problem = await receive(request, body, seconds=body_seconds)
        return await reply(lambda: outcome(scorer, act, body, problem))

    @app.post("/charges")
    async def charges(request: Request) -> Response:
        return await handle(request, scorer.charge)

    @app.post("/chargebacks")
    async def chargebacks(request: Request) -> Response:
        return await handle(request, scorer.chargeback)

    @app.get("/health")
    async def health(request: Request) -> Response:
        if reason := foreign(request.headers):
            return as_json(403, {"reason": reason})
        return await reply(lambda: (200, scorer.health()))

    return app


def foreign(headers: Mapping[str, str]) -> str | None:
    """Return why a request is not from a program of this machine, or nothing.

    A page in a browser reaches the loopback too: blindly, and then it names its origin, or by a
    name of its own that leads to 127.0.0.1 (DNS rebinding), and then it names that as the host.
    """
    if headers.get("host", "").partition(":")[0] not in NAMES:
        return f"host: expected one of {', '.join(NAMES)}"
    return "origin: expected none, pages may not ask" if "origin" in headers else None


async def receive(request: Any, body: Body, *, seconds: float) -> tuple[int, str] | None:
    """Return what went wrong while the body came in, as status and reason, or nothing."""
    from starlette.requests import ClientDisconnect

    try:
        async with asyncio.timeout(seconds):
            await body.read(request.stream())
    except ClientDisconnect:
        return 400, f"body = {body.size} bytes: expected more, the client left before its end"
    except TimeoutError:
        return 408, f"body = {body.size} bytes: expected its end within {seconds:g} seconds"
    if body.size > body.limits.bytes:
        return 413, str(too_large(body.size, body.limits))
    return None


def outcome(
    scorer: Scorer, act: Act, body: Body, problem: tuple[int, str] | None
) -> tuple[int, dict[str, Any]]:
    """Return status and answer of a request whose body has come, or has not."""
    try:
        if problem:
            body.bury(scorer.log, problem[1])
            return problem[0], {"reason": problem[1]}
        return 200, act(body.kept)
    except Conflict as error:
        return 409, {"reason": str(error)}
    except Rejected as error:
        return 422, {"reason": str(error)}
    except sqlite3.Error as error:
        return 503, {"reason": f"the log cannot be written ({error}); send it again later"}


def to_json(answer: dict[str, Any]) -> bytes:
    """Return an answer as JSON; NaN, which JSON lacks, becomes null."""
    if "features" in answer:
        features = answer["features"].items()
        known = {name: None if math.isnan(value) else value for name, value in features}
        answer = {**answer, "features": known}
    return json.dumps(answer, allow_nan=False).encode()


def listen(port: int = 0) -> socket.socket:
    """Return a socket that listens on this machine, with TCP named as its protocol.

    asyncio turns Nagle's algorithm off only where the protocol is named, and
    `socket.create_server` leaves it open. An answer is two small packets, head and body: the second
    would wait for the client's delayed acknowledgement, some forty milliseconds.
    """
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    if sys.platform != "win32":  # there it would let two services share a port
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((HOST, port))
    listening.listen()
    return listening


def serve(
    scorer: Scorer,
    *,
    port: int = 0,
    idle_s: float = IDLE_SECONDS,
    body_seconds: float = BODY_SECONDS,
    listener: Callable[[int], socket.socket] = listen,
    announce: Callable[[int], None] = lambda port: print(f"ready {port}", flush=True),
) -> None:
    """Serve on this machine until SIGTERM, or until nobody has asked for a while.

    Parameters
    ----------
    port: 0 lets the system choose
    idle_s: seconds without a request after which the service stops
    listener: returns the socket for a port
    announce: called with the port once it can be connected to
    """
    import uvicorn

    app = create_app(scorer, body_seconds=body_seconds)
    config = uvicorn.Config(
        app, log_level="error", access_log=False, lifespan="on", timeout_graceful_shutdown=2
    )
    server = uvicorn.Server(config)

    def watch() -> None:
        while time.monotonic() - app.state.last_seen < idle_s:
            time.sleep(min(0.2, idle_s / 5))
        server.should_exit = True

    with listener(port) as listening:
        announce(listening.getsockname()[1])
        threading.Thread(target=watch, daemon=True).start()
        server.run(sockets=[listening])


def naive_listen(port: int = 0) -> socket.socket:
    """Return a socket as one would write it: each answer waits for an acknowledgement."""
    return socket.create_server((HOST, port))


def main(arguments: list[str] | None = None) -> None:
    """Serve a log and a model that are named on the command line."""
    parser = argparse.ArgumentParser(prog="mlkit.dualmode.service", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("log", help="the file of the event log; made when it is not there")
    parser.add_argument("model", help="a skops file of a model of CARD_FEATURES")
    parser.add_argument("--threshold", type=float, default=0.5, help="review from this score on")
    parser.add_argument("--port", type=int, default=0, help="0: the system chooses (default)")
    parser.add_argument("--idle-s", type=float, default=IDLE_SECONDS, help="stop after this long")
    parser.add_argument("--body-s", type=float, default=BODY_SECONDS, help="wait for a body")
    given = parser.parse_args(arguments)
    from mlkit.model import load_model

    with EventLog(given.log, key=KEY) as log:
        scorer = Scorer(log, load_model(given.model), threshold=given.threshold)
        serve(scorer, port=given.port, idle_s=given.idle_s, body_seconds=given.body_s)


if __name__ == "__main__":
    main()
