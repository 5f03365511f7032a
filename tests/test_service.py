"""The service: the stream answers as the batch does, rejects with a reason, and stays up."""

import contextlib
import http.client
import itertools
import json
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from mlkit import model
from mlkit.dualmode import events, load
from mlkit.dualmode.events import Limits, Rejected, parse_charge, parse_chargeback
from mlkit.dualmode.log import KEPT_BYTES, Conflict, EventLog
from mlkit.dualmode.scorer import KEY, NAMES, Scorer, frame_row, one_row, plain_row
from mlkit.dualmode.service import Body, listen, outcome, to_json
from mlkit.features import card_features
from mlkit.params import stream

NOW = 1_767_225_600_000_000  # 2026-01-01, after every charge of the world
GOOD = {
    "charge_id": 1,
    "user_id": 7,
    "event_ts": "2025-12-31T23:59:50Z",
    "amount_usd": 12.5,
    "new_device": False,
    "km_home": 3.2,
}
BAD = load.malformed(load.to_body(GOOD))
REASONS = {
    "empty": "position 0 = '': expected JSON, Expecting value",
    "cut off": "expected JSON",
    "not an object": r"body = \[1, 2, 3\]: expected a JSON object",
    "missing key": "key 'amount_usd' is missing: expected charge_id",
    "unknown key": "key 'ammount_usd' = 3.0 is unknown: .* did you mean 'amount_usd'",
    "number as text": "amount_usd = '12.50': expected a number from 0.01 to 1,000,000 USD",
    "bool as number": "user_id = True: expected a whole number from 0",
    "number as bool": "new_device = 1: expected true or false",
    "negative amount": "amount_usd = -5.0: expected a number from 0.01",
    "amount of zero": "amount_usd = 0: expected a number from 0.01",
    "NaN": "value = NaN: expected a finite number",
    "Infinity": "value = -Infinity: expected a finite number",
    "more than a float holds": "amount_usd = inf: expected a number from",
    "key twice": "key 'amount_usd' = 12.5: expected each key once",
    "future": "event_ts = '2999-01-01T00:00:00Z': expected at most 60 seconds after the clock",
    "too old": "event_ts = '2001-01-01T00:00:00Z': expected at most 7 days before its arrival",
    "time without offset": "event_ts = '2025-01-01T00:00:00': expected a time like",
    "not UTF-8": "byte [0-9]+ = 0xff: expected UTF-8",
    "nested deeply": "expected one object of plain values",
    "nested value": "km_home = {'value': {'value': 3}}: expected a number from 0 to 20,040 km",
    "huge": "body = [0-9]+ bytes: expected at most 4096",
}


def raw(**changed):
    return load.to_body({**GOOD, **changed})


# --- from bytes to a charge -----------------------------------------------------------------------


def test_a_charge_is_read():
    charge = parse_charge(raw(), now_us=NOW)
    assert charge == (1, 7, NOW - 10_000_000, NOW, 12.5, 0.0, 3.2)


def test_every_spoiled_charge_has_its_reason():
    assert set(BAD) == set(REASONS)


@pytest.mark.parametrize("kind", BAD)
def test_no_charge_but_one_sentence_with_key_value_and_what_is_allowed(kind):
    with pytest.raises(Rejected, match=REASONS[kind]) as caught:
        parse_charge(BAD[kind], now_us=NOW)
    reason = str(caught.value)
    assert "expected" in reason and reason.isprintable() and len(reason) < 300


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"charge_id": 2**63}, "charge_id = 9223372036854775808: expected"),
        ({"charge_id": 1.0}, "charge_id = 1.0: expected a whole number"),
        ({"charge_id": None}, "charge_id = None: expected"),
        ({"event_ts": 1_767_225_600}, "event_ts = 1767225600: expected a time like"),
        ({"event_ts": "0001-01-01T00:00:00+14:00"}, "expected a time like"),
        ({"event_ts": "9999-12-31T23:59:59-14:00"}, "expected a time like"),
        ({"event_ts": "yesterday"}, "expected a time like"),
        ({"ingest_ts": "2026-01-01T00:02:00Z"}, "ingest_ts = .* at most 60 seconds after"),
        ({"amount_usd": 10**400}, "amount_usd = 1000"),
        ({"\ud800": 1}, r"key '\\ud800' = 1 is unknown"),
        ({"new_device": "true"}, "new_device = 'true': expected true or false"),
    ],
)
def test_values_at_the_edge(changed, message):
    with pytest.raises(Rejected, match=message) as caught:
        parse_charge(raw(**changed), now_us=NOW)
    str(caught.value).encode()


def test_clocks_may_differ_a_little():
    ahead = {"event_ts": "2026-01-01T00:00:59Z"}
    assert parse_charge(raw(**ahead), now_us=NOW).at_us == NOW + 59_000_000


def test_a_stamp_of_the_gateway_is_the_arrival():
    stamped = parse_charge(raw(ingest_ts="2026-01-01T00:00:01Z"), now_us=NOW + 10**12)
    assert stamped.arrived_us == NOW + 1_000_000


def test_limits_are_options():
    with pytest.raises(Rejected, match="expected at most 20"):
        parse_charge(raw(), now_us=NOW, limits=Limits(bytes=20))
    old = raw(event_ts="2025-12-31T00:00:00Z")
    with pytest.raises(Rejected, match=r"at most 0.5 days before"):
        parse_charge(old, now_us=NOW, limits=Limits(late_days=0.5))


def test_random_bytes_are_rejected_and_nothing_else_happens():
    rng, good = np.random.default_rng(0), raw()
    for _ in range(2_000):
        spoiled = bytearray(good)
        for place in rng.integers(0, len(good), rng.integers(1, 4)):
            spoiled[place] = rng.integers(0, 256)
        with contextlib.suppress(Rejected):
            parse_charge(bytes(spoiled), now_us=NOW)


def test_a_chargeback_is_read():
    told = {"charge_id": 1, "user_id": 7, "known_ts": "2025-12-31T23:59:50Z"}
    assert parse_chargeback(load.to_body(told), now_us=NOW)["known_us"] == NOW - 10_000_000
    with pytest.raises(Rejected, match="known_ts = '2027"):
        later = {**told, "known_ts": "2027-01-01T00:00:00Z"}
        parse_chargeback(load.to_body(later), now_us=NOW)


# --- the scorer, without HTTP ---------------------------------------------------------------------


class Material(NamedTuple):
    """A world of cards, its model and the bodies that a gateway sends, in order of arrival."""

    model: object
    charges: pd.DataFrame
    messages: list[tuple[str, bytes]]
    wanted: pd.DataFrame


@pytest.fixture(scope="module")
def material(params) -> Material:
    knobs = {**params["worlds"]["cards"], "n_users": 60, "n_days": 120, "episodes": 40}
    world = model.make_world("cards", rng=stream(params["seed"], "cards", "make"), **knobs)
    charges = world["charges"].sort_values("ingest_ts", kind="stable").head(2_500)
    charges = charges.reset_index(drop=True)
    told = charges.dropna(subset=["fraud_known_ts"])
    sent = [*charges["ingest_ts"], *told["fraud_known_ts"]]
    bodies = [("/charges", body) for body in load.bodies_of(charges)]
    bodies += [("/chargebacks", body) for body in load.chargebacks_of(charges)]
    order = np.argsort(pd.Series(sent).to_numpy(), kind="stable")
    wanted = card_features(charges)[list(NAMES)]
    return Material(model.fit(world), charges, [bodies[i] for i in order], wanted)


def table(answers):
    rows = [answer["features"] for answer in answers]
    return pd.DataFrame(rows, columns=list(NAMES), dtype=float)


@pytest.fixture
def scorer(material):
    with EventLog(":memory:", key=KEY) as log:
        yield Scorer(log, material.model, now=lambda: NOW)


def replay(scorer, messages):
    answers = []
    for path, body in messages:
        if path == "/charges":
            answers.append(scorer.charge(body))
        else:
            scorer.chargeback(body)
    return answers


def test_stream_equals_batch(scorer, material):
    got = replay(scorer, material.messages)
    assert (material.wanted["chargebacks"] > 0).any() and (material.wanted["charges_5m"] > 1).any()
    pd.testing.assert_frame_equal(table(got), material.wanted, rtol=0, atol=1e-9)
    score = material.model.predict_proba(material.wanted)[:, 1]
    np.testing.assert_allclose([answer["score"] for answer in got], score, rtol=0, atol=1e-9)


def test_a_charge_is_not_part_of_its_own_history(scorer):
    first, second = (
        scorer.charge(raw(charge_id=i, event_ts=t))
        for i, t in enumerate(("2025-12-31T23:59:00Z", "2025-12-31T23:59:50Z"))
    )
    assert first["features"]["charges_5m"] == 0.0
    assert second["features"]["charges_5m"] == 0.0  # the first arrived at NOW, ten seconds later


def test_a_charge_sent_again_the_same_day_gets_the_same_answer(scorer, material):
    once = {answer["charge_id"]: answer for answer in replay(scorer, material.messages)}
    again = replay(scorer, material.messages[-20:])
    first = [once[answer["charge_id"]] for answer in again]
    assert all(answer["again"] for answer in again) and not any(a["again"] for a in first)
    assert [answer["offset"] for answer in again] == [answer["offset"] for answer in first]
    pd.testing.assert_frame_equal(table(again), table(first))
    assert len(scorer.log) == len(material.messages)


def test_a_charge_without_a_stamp_can_be_sent_again_later(scorer):
    first = scorer.charge(raw())
    scorer.now = lambda: NOW + 3_000_000
    again = scorer.charge(raw())
    assert again == {**first, "again": True, "features": again["features"]}
    assert scorer.log.count_dead_letters() == 0


def test_another_charge_under_the_same_id_is_a_conflict(scorer):
    scorer.charge(raw())
    with pytest.raises(Conflict, match="charge 1: is there with another content"):
        scorer.charge(raw(amount_usd=99.0))
    assert len(scorer.log) == 1 and scorer.log.count_dead_letters() == 1
    assert len(scorer.cards[7].kept) == 1


@pytest.mark.parametrize("kind", BAD)
def test_a_rejected_charge_is_a_dead_letter_and_changes_nothing(scorer, kind):
    with pytest.raises(Rejected):
        scorer.charge(BAD[kind])
    [letter] = scorer.log.dead_letters()
    assert letter["payload"] == BAD[kind][:KEPT_BYTES] and letter["bytes"] == len(BAD[kind])
    assert not scorer.cards and len(scorer.log) == 0


def test_state_is_made_again_from_the_log(scorer, material):
    half = len(material.messages) // 2
    first = replay(scorer, material.messages[:half])
    again = Scorer(scorer.log, material.model, now=lambda: NOW)
    rest = replay(again, material.messages[half:])
    got = table(first + rest)
    pd.testing.assert_frame_equal(got, material.wanted, rtol=0, atol=1e-9)


def test_a_charge_that_is_days_late_is_answered_and_counted_as_in_batch(scorer, material):
    happened = [31.0, 20.0, 2.5, 8.9, 0.5]  # days before NOW
    arrived = [31.0, 20.0, 2.5, 2.4, 0.5]  # the last but one comes 6.5 days late
    bodies = [
        raw(
            charge_id=i,
            event_ts=events.written(NOW - int(days * events.DAY_US)),
            ingest_ts=events.written(NOW - int(until * events.DAY_US)),
        )
        for i, (days, until) in enumerate(zip(happened, arrived, strict=True))
    ]
    got = [scorer.charge(body)["features"]["charges_30d"] for body in bodies]
    assert got == [0, 1, 2, 2, 3]
    again = Scorer(scorer.log, material.model, now=lambda: NOW)
    assert {u: c.kept for u, c in again.cards.items()} == {
        u: c.kept for u, c in scorer.cards.items()
    }


def test_a_complaint_of_another_card_is_rejected(scorer):
    scorer.charge(raw())
    told = {"charge_id": 1, "user_id": 8, "known_ts": "2025-12-31T23:59:55Z"}
    with pytest.raises(Rejected, match="user_id = 8: expected the card of charge 1"):
        scorer.chargeback(load.to_body(told))
    assert set(scorer.cards) == {7} and not scorer.cards[7].told
    assert scorer.log.count_dead_letters() == 1
    scorer.chargeback(load.to_body({**told, "user_id": 7}))
    assert len(scorer.cards[7].told) == 1


def test_a_log_of_another_key_is_refused(material):
    with EventLog(":memory:") as log, pytest.raises(ValueError, match="expected 'event_id'"):
        Scorer(log, material.model)


def test_a_threshold_that_is_no_share_is_refused(material):
    with EventLog(":memory:", key=KEY) as log, pytest.raises(ValueError, match="threshold = 50"):
        Scorer(log, material.model, threshold=50)


def test_one_row_is_scored_as_the_pipeline_scores_it(material):
    rows = material.wanted.iloc[::25]
    assert rows.isna().any().any()
    want = material.model.predict_proba(rows)[:, 1]
    for row in (plain_row, frame_row, one_row):
        got = [row(material.model)(features) for features in rows.to_dict("records")]
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-12)


def test_a_model_of_another_make_is_asked_as_it_is(material):
    from sklearn.ensemble import RandomForestClassifier

    X, y = material.wanted.fillna(0.0).iloc[:500], np.arange(500) % 2
    forest = RandomForestClassifier(5, random_state=0).fit(X, y)
    assert one_row(forest)(X.iloc[3].to_dict()) == forest.predict_proba(X.iloc[[3]])[0, 1]


# --- over HTTP, in a process of its own -----------------------------------------------------------


@pytest.fixture(scope="module")
def model_file(material, tmp_path_factory):
    file = tmp_path_factory.mktemp("service") / "model.skops"
    model.save_model(material.model, file)
    return file


@pytest.fixture(scope="module")
def child(model_file):
    """Yield a service that runs for all tests of HTTP, and its log."""
    file = model_file.with_name("shared.sqlite")
    with load.running(file, model_file, "--body-s", "2", "--idle-s", "120") as child:
        yield child, file


def post(port, body, path="/charges"):
    [reply] = load.send(port, [body], path=path)
    return reply


def stamped(**changed):
    """Return a charge as a gateway stamps it: the service runs by the clock on the wall."""
    return raw(**{"ingest_ts": "2026-01-01T00:00:00Z", **changed})


def still_right(port):
    """Return whether the service is up and answers a known charge as it should."""
    reply = post(
        port,
        stamped(
            charge_id=10**6,
            user_id=10**6,
            event_ts="2025-01-01T00:00:00Z",
            ingest_ts="2025-01-01T00:00:01Z",
        ),
    )
    return reply.status == 200 and reply.answer["features"]["amount_usd"] == 12.5


def last_letter(file):
    with EventLog(file, key=KEY) as log:
        return log.dead_letters()[-1]


def send_until_lost(port, messages):
    """Return the replies, in the order of the messages, until the service is gone."""
    replies = []
    for path, group in itertools.groupby(messages, key=lambda message: message[0]):
        bodies = [body for _, body in group]
        got = load.send(port, bodies, path=path)
        replies += [(path, reply) for reply in got]
        if len(got) < len(bodies):
            break
    return replies


def kill_behind(process, file, events):
    """Kill a service in the middle of its work: once its log holds so many events."""
    with EventLog(file, key=KEY) as log:
        while log.last() < events and process.poll() is None:
            time.sleep(0.001)
    process.kill()


def test_stream_over_http_survives_a_kill_and_equals_batch(material, model_file, tmp_path):
    file, messages = tmp_path / "log.sqlite", material.messages[:1_000]
    with load.running(file, model_file) as child:
        killer = threading.Thread(target=kill_behind, args=[child.process, file, 300])
        killer.start()
        first = send_until_lost(child.port, messages)
        killer.join()
    with load.running(file, model_file) as child:  # what was not acknowledged is sent again
        replies = first + send_until_lost(child.port, messages[len(first) :])
    assert 250 < len(first) < len(replies) == len(messages)
    assert {reply.status for _, reply in replies} == {200}
    answers = {r.answer["charge_id"]: r.answer for path, r in replies if path == "/charges"}
    sent = material.charges["charge_id"].isin(list(answers))
    got = table([answers[charge_id] for charge_id in material.charges.loc[sent, "charge_id"]])
    want = material.wanted[sent].reset_index(drop=True)
    pd.testing.assert_frame_equal(got, want, rtol=0, atol=1e-9)
    with EventLog(file, key=KEY) as log:
        assert len(log) == len(messages) and log.low() == 0 and not log.dead_letters()


@pytest.mark.parametrize("kind", BAD)
def test_a_malformed_body_gets_its_reason_and_is_kept(child, kind):
    (service, file), before = child, load.health(child[0].port)
    reply = post(service.port, BAD[kind])
    assert reply.status == (413 if kind == "huge" else 422)
    letter = last_letter(file)
    assert letter["reason"] == reply.answer["reason"]
    assert letter["payload"] == BAD[kind][:KEPT_BYTES] and letter["bytes"] == len(BAD[kind])
    after = load.health(service.port)
    assert after == {**before, "dead_letters": before["dead_letters"] + 1}
    assert still_right(service.port)


def test_ten_megabytes_are_refused_and_not_kept(child):
    service, file = child
    body = b"x" * 10_000_000
    reply = post(service.port, body)
    assert (reply.status, reply.answer["reason"]) == (
        413,
        "body = 10000000 bytes: expected at most 4096",
    )
    letter = last_letter(file)
    assert letter["bytes"] == 10_000_000 and len(letter["payload"]) == KEPT_BYTES
    assert still_right(service.port)


@contextlib.contextmanager
def connected(port):
    with contextlib.closing(socket.create_connection(("127.0.0.1", port), timeout=20)) as line:
        yield line


HEAD = b"POST /charges HTTP/1.1\r\nHost: 127.0.0.1\r\n"


def test_chunks_without_a_length_are_counted(child):
    service, _ = child
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", service.port)) as asked:
        asked.request(
            "POST",
            "/charges",
            iter([b"x" * 3_000] * 3),
            encode_chunked=True,
            headers={"Transfer-Encoding": "chunked"},
        )
        assert asked.getresponse().status == 413
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", service.port)) as asked:
        body = stamped(charge_id=5_000)
        asked.request(
            "POST",
            "/charges",
            iter([body[:9], body[9:]]),
            encode_chunked=True,
            headers={"Transfer-Encoding": "chunked"},
        )
        assert asked.getresponse().status == 200


def test_a_client_that_leaves_in_the_middle_is_a_dead_letter(child):
    service, file = child
    before = load.health(service.port)
    with connected(service.port) as line:
        line.sendall(HEAD + b"Content-Length: 500\r\n\r\n" + stamped()[:40])
    for _ in range(100):  # until the service has noticed
        after = load.health(service.port)
        if after != before:
            break
        time.sleep(0.05)
    assert after == {**before, "dead_letters": before["dead_letters"] + 1}
    assert (
        last_letter(file)["reason"]
        == "body = 40 bytes: expected more, the client left before its end"
    )
    assert still_right(service.port)


def test_a_slow_client_is_told_so_and_holds_up_nobody(child):
    service, file = child
    with connected(service.port) as slow:
        slow.sendall(HEAD + b"Content-Length: 500\r\n\r\n" + stamped()[:40])
        assert still_right(service.port)  # while the other one dawdles
        answer = slow.recv(4_096)
    assert answer.startswith(b"HTTP/1.1 408")
    assert last_letter(file)["reason"] == "body = 40 bytes: expected its end within 2 seconds"


@pytest.mark.parametrize(
    "headers",
    [{"Host": "rebound.example:80"}, {"Host": ""}, {"Origin": "https://page.example"}],
    ids=["another name", "no name", "a page"],
)
@pytest.mark.parametrize(("method", "path"), [("POST", "/charges"), ("GET", "/health")])
def test_what_a_page_in_a_browser_asks_is_refused(child, headers, method, path):
    before = load.health(child[0].port)
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", child[0].port)) as asked:
        asked.request(method, path, stamped(charge_id=8_000), headers)
        answer = asked.getresponse()
        assert answer.status == 403 and b"expected" in answer.read()
    assert load.health(child[0].port) == before


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/charges", 405),
        ("PUT", "/charges", 405),
        ("POST", "/health", 405),
        ("GET", "/docs", 404),
        ("GET", "/openapi.json", 404),
    ],
)
def test_another_method_or_path_is_refused(child, method, path, status):
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", child[0].port)) as asked:
        asked.request(method, path)
        assert asked.getresponse().status == status


def test_what_is_not_http_does_no_harm(child):
    with connected(child[0].port) as line:
        line.sendall(b"\x16\x03\x01 this is not HTTP\r\n\r\n")
        assert line.recv(4_096).startswith(b"HTTP/1.1 400")
    assert still_right(child[0].port)


def test_two_clients_with_the_same_id_are_one_event(child):
    service, file = child
    bodies = [stamped(charge_id=6_000 + i) for i in range(50)]
    with ThreadPoolExecutor(2) as pool:
        mine, other = pool.map(lambda _: load.send(service.port, bodies), range(2))
    assert {reply.status for reply in mine + other} == {200}
    pairs = list(zip(mine, other, strict=True))
    assert all(a.answer["offset"] == b.answer["offset"] for a, b in pairs)
    assert all(a.answer["again"] != b.answer["again"] for a, b in pairs)
    with EventLog(file, key=KEY) as log:
        offsets = {log.find(f"charge {6_000 + i}").offset for i in range(50)}
    assert offsets == {a.answer["offset"] for a, _ in pairs}


def test_two_clients_with_different_charges_of_one_id_are_one_event_and_one_conflict(child):
    with ThreadPoolExecutor(2) as pool:
        bodies = [stamped(charge_id=7_000, amount_usd=amount) for amount in (1.0, 2.0)]
        replies = list(pool.map(lambda body: post(child[0].port, body), bodies))
    assert sorted(reply.status for reply in replies) == [200, 409]


def test_only_the_loopback_is_listened_to():
    with listen() as listening:
        assert listening.getsockname()[0] == "127.0.0.1"
        assert listening.proto == socket.IPPROTO_TCP  # else asyncio leaves Nagle's algorithm on


# --- beginnings and ends --------------------------------------------------------------------------


def test_service_stops_by_itself_when_nobody_asks(model_file, tmp_path):
    with load.running(tmp_path / "log.sqlite", model_file, "--idle-s", "0.5") as child:
        assert child.process.wait(30) == 0


def test_service_stops_on_sigterm_and_leaves_a_whole_log(model_file, tmp_path):
    file = tmp_path / "log.sqlite"
    with load.running(file, model_file) as child:
        assert post(child.port, stamped()).status == 200
    assert child.process.returncode in (0, -signal.SIGTERM, 1)  # 1: Windows; not killed
    with contextlib.closing(sqlite3.connect(file)) as con:
        assert con.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert con.execute("SELECT COUNT(*) FROM events").fetchone() == (1,)


def test_a_service_that_cannot_start_says_why(model_file, tmp_path):
    file = tmp_path / "log.sqlite"
    file.write_bytes(b"no database " * 100)
    with pytest.raises(RuntimeError, match="expected an event log"), load.running(file, model_file):
        pass


def test_help_is_there():
    command = [sys.executable, "-m", "mlkit.dualmode.service", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "--threshold" in done.stdout and not done.stderr


@pytest.mark.parametrize("host", ["example.org", "10.0.0.1", "0.0.0.0", "127.0.0.1.example.org"])
def test_load_refuses_other_hosts(host):
    with pytest.raises(ValueError, match="expected one of 127.0.0.1"):
        load.send(80, [b""], host=host)


def test_load_is_bounded_in_count_and_time():
    with pytest.raises(ValueError, match="expected at most 100000"):
        load.send(80, [b""] * 100_001)
    assert load.send(1, [b""] * 10, seconds=-1.0) == []


@pytest.mark.parametrize("kind", [sqlite3.OperationalError, sqlite3.DatabaseError])
def test_a_log_that_cannot_be_written_promises_nothing(scorer, monkeypatch, kind):
    def full(*_):
        raise kind("database or disk is full")

    body = Body()
    body.kept = raw()
    monkeypatch.setattr(scorer.log, "append", full)
    status, answer = outcome(scorer, scorer.charge, body, None)
    assert status == 503 and "disk is full" in answer["reason"] and not scorer.cards


def test_json_has_no_nan():
    sent = to_json({"features": {"avg_30d": float("nan"), "km_home": 1.0}})
    assert json.loads(sent) == {"features": {"avg_30d": None, "km_home": 1.0}}


def test_reasons_are_short():
    assert len(events.shown("x" * 10_000)) < 70
