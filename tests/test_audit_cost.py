"""`mlkit audit cost`: folders of any content, healthy, wasteful and broken."""

import gzip
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import orc
from typer.testing import CliRunner

from mlkit import audit
from mlkit.audit import folder as folders
from mlkit.audit import samples
from mlkit.audit.measure import measure
from mlkit.cost.formats import kinds, parquet_bytes
from mlkit.params import stream

N = 30_000
unix = pytest.mark.skipif(os.name == "nt", reason="links and pipes as on Unix")
FOLDER = Path("data")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Work beside an empty folder named data."""
    monkeypatch.chdir(tmp_path)
    FOLDER.mkdir()
    return tmp_path


@pytest.fixture(scope="module")
def tables():
    return kinds(rng=stream(0, "test", "audit", "cost"), rows=N)


@pytest.fixture(scope="module")
def orders(tables):
    return tables["transactions"]


def save(frame, name, **options):
    """Write a frame below data/ in the format of its name."""
    file = FOLDER / name
    file.parent.mkdir(parents=True, exist_ok=True)
    if name.endswith(".parquet"):
        frame.to_parquet(file, index=False, **{"compression": "zstd", **options})
    elif name.endswith(".orc"):
        orc.write_table(pa.Table.from_pandas(frame, preserve_index=False), file)
    elif ".jsonl" in name:
        frame.to_json(file, orient="records", lines=True, date_format="iso")
    else:
        frame.to_csv(file, index=False)
    return file


def run(*options):
    result = CliRunner().invoke(audit.app, ["cost", "data", *options])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def report(*options):
    run(*options, "--json", "out.json")
    return json.loads(Path("out.json").read_text(encoding="utf-8"))


def failed(*options):
    return {(row["check"], row["subject"]) for row in report(*options)["findings"] if row["failed"]}


def value(check, subject, *options):
    rows = report(*options)["findings"]
    return next(r["value"] for r in rows if (r["check"], r["subject"]) == (check, subject))


def refused(result):
    """Return the one line that a refusal says, after checking that it is one."""
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    return result.stderr


def by_day(frame):
    for day, rows in frame.groupby(frame["event_ts"].dt.strftime("%Y-%m-%d")):
        save(rows, f"raw/day={day}/part-0.parquet")


# Healthy and wasteful


def test_healthy_parquet_passes_with_status_0(orders):
    save(orders, "orders.parquet")
    result = run()
    assert result.exit_code == 0
    assert result.stdout.startswith("passed: 0 of ")


def test_a_csv_that_a_rewrite_would_shrink_fails_with_status_1(orders):
    save(orders, "orders.csv")
    assert run().exit_code == 1
    assert failed() == {("rewrite", "orders.csv")}


@pytest.mark.parametrize("name", ["transactions", "floats", "low cardinality", "text logs"])
@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "parquet", "orc", "jsonl"])
def test_the_estimate_is_near_what_a_rewrite_really_gives(tables, name, suffix):
    frame = tables[name]
    size = save(
        frame, f"big.{suffix}", **({"compression": "snappy"} if suffix == "parquet" else {})
    )
    new = min(parquet_bytes(frame, codec="zstd", dictionary=d) for d in (True, False))
    truth = 1 - new / size.stat().st_size
    estimate = value("rewrite", f"big.{suffix}")
    assert truth - 0.12 <= estimate <= truth + 0.03


def test_places_of_a_file_that_changes_midway_differ_and_the_report_says_so(orders):
    odd = orders.astype("str").assign(user_id="same", merchant_id="same", amount="same")
    save(pd.concat([orders.astype("str"), odd]), "orders.csv")
    note = re.search(
        r"(\d+) places, (\d+)% to (\d+)%", " ".join(run("--places", "4").stdout.split())
    )
    assert note[1] == "4"
    assert int(note[3]) - int(note[2]) >= 5


def test_short_partitions_are_too_many_files(orders):
    by_day(orders)
    found = failed("--least-mb", "0")
    assert ("small files", "raw/part-#.parquet") in found
    assert ("rewrite", "raw/part-#.parquet") in found


def test_the_limit_of_small_files_is_an_option(orders):
    by_day(orders)
    assert not failed("--small-mb", "0.001")


def test_a_few_small_files_pass(orders):
    for part in range(5):
        save(orders.head(100), f"part-{part}.parquet")
    assert not failed("--max-copies", "1")


def test_copies_are_found_by_content(orders):
    shutil.copy(save(orders, "a.parquet"), FOLDER / "elsewhere.parquet")
    changed = bytearray((FOLDER / "a.parquet").read_bytes())
    changed[len(changed) // 2] ^= 1
    (FOLDER / "b.parquet").write_bytes(changed)
    content = report()
    row = next(row for row in content["findings"] if row["check"] == "copies")
    assert row["failed"]
    assert row["value"] == pytest.approx(1 / 3)
    assert content["notes"]["Copies"] == ["a.parquet = elsewhere.parquet"]


@unix
def test_a_second_name_of_one_file_is_no_copy(orders):
    os.link(save(orders, "a.parquet"), FOLDER / "b.parquet")
    assert not failed()
    assert "1 links and second names" in run().stdout


def test_columns_that_nobody_needs(orders):
    save(orders, "orders.parquet")
    assert ("not needed", "orders.parquet") in failed("--needed", "user_id,amount")
    assert not failed("--needed", ",".join(orders.columns))
    assert value("not needed", "orders.parquet", "--needed", ",".join(orders.columns)) == 0


def test_bytes_of_columns_are_those_of_the_footer():
    wide = pd.DataFrame({"a": np.arange(N), "b": np.arange(N)})
    save(wide, "wide.parquet")
    assert value("not needed", "wide.parquet", "--needed", "a") == pytest.approx(0.5, abs=0.01)


def test_a_column_in_the_names_of_folders_is_known(orders):
    by_day(orders)
    assert run("--needed", "day,user_id").exit_code == 1
    assert "bonus: no table has it; there are amount" in refused(run("--needed", "bonus"))
    assert "did you mean 'amount'" in refused(run("--needed", "amounts"))


def test_tables_are_told_apart_and_counted(orders):
    by_day(orders)
    save(orders, "ref/users.csv")
    text = run().stdout
    assert re.search(r"ref/users\.csv +csv +none +1 +\S+ \wB +about [\d,]+ +6", text)
    assert re.search(rf"raw/part-#\.parquet +parquet +zstd +180 +\S+ \wB +{N:,} +6", text)


def test_prices_are_options(orders):
    from mlkit.cost import prices

    text = prices.FILE.read_text(encoding="utf-8")
    dear = re.sub(r"gb_month: 0\.023", "gb_month: 1000.0", text, count=1)
    Path("dear.yaml").write_text(dear, encoding="utf-8")
    save(orders, "orders.csv")
    assert "less than 0.01 USD a month" in run().stdout
    assert "less than" not in run("--prices", "dear.yaml").stdout


def test_small_savings_pass(orders):
    save(orders.head(1000), "orders.csv")
    assert not failed()
    assert "too little to ask for" in " ".join(run().stdout.split())
    assert failed("--least-mb", "0") == {("rewrite", "orders.csv")}


# Broken and odd


def test_broken_files_are_findings_and_the_rest_is_measured(orders):
    save(orders, "good.parquet")
    for name in ("no.parquet", "no.orc", "no.jsonl", "no.csv.gz", "no.jsonl.gz"):
        (FOLDER / name).write_bytes(b"this is no such file\n")
    (FOLDER / "no.csv").write_bytes(b"\x00\x01\x02")
    whole = save(orders, "whole.parquet").read_bytes()
    (FOLDER / "cut.parquet").write_bytes(whole[:-20])
    packed = gzip.compress(orders.to_csv(index=False).encode())
    (FOLDER / "cut.csv.gz").write_bytes(packed[: len(packed) // 2])
    (FOLDER / "latin.csv").write_bytes("stadt\nZürich\n".encode("latin-1"))
    (FOLDER / "list.jsonl").write_bytes(b"[1, 2]\n")
    broken = {subject for check, subject in failed() if check == "unreadable"}
    assert broken >= {
        f"no.{end}" for end in ("parquet", "orc", "jsonl", "csv", "csv.gz", "jsonl.gz")
    }
    assert broken >= {"cut.parquet", "latin.csv", "list.jsonl"}
    assert "good.parquet" not in broken
    assert value("rewrite", "good.parquet") < 0.2


def test_pages_that_are_broken_behind_a_good_footer(orders):
    file = save(orders, "bad.parquet")
    data = bytearray(file.read_bytes())
    data[4:-4000] = bytes(len(data) - 4004)
    file.write_bytes(data)
    assert ("unreadable", "bad.parquet") in failed()


def test_files_without_rows_are_a_finding(orders):
    save(orders.head(0), "zero.parquet")
    save(orders.head(0), "zero.csv")
    (FOLDER / "zero.jsonl").write_bytes(b"")
    save(orders.head(0), "zero.orc")
    found = failed()
    assert {subject for _, subject in found} == {
        "zero.parquet",
        "zero.csv",
        "zero.jsonl",
        "zero.orc",
    }
    assert ("empty", "zero.parquet") in found


def test_mixed_columns_of_one_table_are_a_finding(orders):
    for part in range(4):
        save(orders.head(50), f"part-{part}.parquet")
    save(orders.head(50).rename(columns={"amount": "betrag"}), "part-4.parquet")
    assert value("mixed columns", "part-#.parquet") == pytest.approx(0.2)
    assert ("mixed columns", "part-#.parquet") in failed()


def test_mixed_types_of_one_table_are_a_finding(orders):
    save(orders.head(50), "part-0.parquet")
    save(orders.head(50).astype({"amount": "str"}), "part-1.parquet")
    assert ("mixed columns", "part-#.parquet") in failed()


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"a": [np.nan, np.inf, -np.inf]}),
        pd.DataFrame({"a": [None, None]}),
        pd.DataFrame({"a": ["007", "7", "-0"], "b": ["x\ny", 'he said "no"', "ü"]}),
        pd.DataFrame({"ts": ["2025-01-31T12:00:00Z", "2025-02-30", ""]}),
        pd.DataFrame({"ts": ["2025-01-31T12:00:00+02:00", "2025-01-31 12:00:00Z"] * 2}),
        pd.DataFrame([[1, 2]], columns=["a", "a"]),
        pd.DataFrame({"": [1], "b;c": [2]}),
        pd.DataFrame({"n": ["99999999999999999999999", "1"], "e": ["1e999", "x"]}),
    ],
)
@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "jsonl"])
def test_odd_columns_never_end_in_a_traceback(frame, suffix):
    if suffix == "jsonl" and not frame.columns.is_unique:
        pytest.skip("JSON has no such objects")
    save(frame, f"odd.{suffix}")
    result = run()
    assert result.exit_code in (0, 1)
    assert "odd." in result.stdout


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_a_file_below_a_megabyte_is_read_whole_and_its_rows_are_counted(orders, suffix):
    save(orders.head(3000), f"small.{suffix}")
    assert 30_000 < (FOLDER / f"small.{suffix}").stat().st_size < samples.BLOCK
    result = run()
    assert "3,000 rows from 1 places" in result.stdout and "read whole" in result.stdout


def test_a_parquet_file_of_which_some_rows_are_read_is_not_called_read_whole():
    pq.write_table(pa.table({"a": np.zeros(5_000_000, dtype="int64")}), FOLDER / "same.parquet")
    assert "read whole" not in run().stdout


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000])
def test_json_that_is_too_deep_is_a_finding(text):
    (FOLDER / "deep.jsonl").write_text(text + "\n", encoding="utf-8")
    assert ("unreadable", "deep.jsonl") in failed()


def test_bytes_that_are_no_text_are_measured():
    pq.write_table(pa.table({"b": [b"\xff\xfe", None], "n": [1, 2]}), FOLDER / "bytes.parquet")
    assert run().exit_code == 0


def test_lines_that_are_too_long_warn_nobody(recwarn):
    (FOLDER / "ragged.csv").write_text("a,b\n1,2,3,4\n1\n\n5,6\n", encoding="utf-8")
    run()
    assert not recwarn.list


@unix
def test_zeros_behind_a_gzip_stream_are_not_read_to_their_end():
    with (FOLDER / "padded.csv.gz").open("wb") as file:
        file.write(gzip.compress(b"a,b\n1,2\n"))
        file.truncate(1 << 33)
    assert ("unreadable", "padded.csv.gz") in failed()


def test_lists_and_mixed_values_of_json_lines_are_measured():
    lines = [{"a": [1, 2], "b": {"c": None}}, {"a": "x", "d": 1}, {"a": 1.5}] * 10
    (FOLDER / "odd.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    assert run().exit_code == 0


def test_nested_columns_of_parquet_are_measured():
    table = pa.table({"a": [[1, 2], [3]], "b": [{"c": 1, "d": "x"}, None], "e.f": [1, 2]})
    pq.write_table(table, FOLDER / "nested.parquet")
    assert run("--needed", "a").exit_code == 1


def test_a_line_without_end_is_one_finding():
    (FOLDER / "line.csv").write_bytes(b"a" * (3 << 20))
    (FOLDER / "line.jsonl").write_bytes(b'{"a": "' + b"a" * (3 << 20))
    assert {("unreadable", "line.csv"), ("unreadable", "line.jsonl")} <= failed()


def test_a_parquet_file_of_many_equal_rows_fits_into_memory():
    schema = pa.schema([("a", pa.int64())])
    with pq.ParquetWriter(FOLDER / "same.parquet", schema) as writer:
        writer.write_table(pa.table({"a": np.zeros(20_000_000, dtype="int64")}))
    assert len(samples.piece(FOLDER / "same.parquet", "parquet").frame) <= samples.CELLS
    assert run().exit_code == 0


@unix
def test_links_are_not_followed_and_loops_end(orders):
    save(orders, "a/orders.parquet")
    (FOLDER / "a/again").symlink_to(FOLDER.resolve(), target_is_directory=True)
    (FOLDER / "b.parquet").symlink_to((FOLDER / "a/orders.parquet").resolve())
    (FOLDER / "dangling.csv").symlink_to("nowhere.csv")
    assert not failed()
    assert "3 links and second names" in run().stdout


def test_other_files_are_counted_and_open_tables_named(orders):
    save(orders, "table/part-0.parquet")
    (FOLDER / "table/_delta_log").mkdir()
    (FOLDER / "table/_delta_log/0.json").write_text("{}", encoding="utf-8")
    (FOLDER / "table/_SUCCESS").touch()
    text = " ".join(run().stdout.split())
    assert "2 files that are no data by their names" in text
    assert "_delta_log or metadata says that a table format owns files" in text


def test_a_file_that_goes_away_is_counted(orders, monkeypatch):
    save(orders, "a.parquet")
    save(orders, "b.csv")
    walk = folders.walk

    def then_gone(*args, **options):
        walked = walk(*args, **options)
        (FOLDER / "b.csv").unlink()
        return walked

    monkeypatch.setattr("mlkit.audit.cost.walk", then_gone)
    result = run()
    assert result.exit_code == 0
    assert "1 files that went away meanwhile" in result.stdout


def test_a_file_that_grows_is_measured_as_it_was_met(orders, monkeypatch):
    save(orders, "b.csv")
    walk = folders.walk

    def then_longer(*args, **options):
        walked = walk(*args, **options)
        with (FOLDER / "b.csv").open("a", encoding="utf-8") as stream:
            stream.write("2025-01-")
        return walked

    monkeypatch.setattr("mlkit.audit.cost.walk", then_longer)
    assert run().exit_code == 1


@unix
def test_pipes_are_not_opened(orders):
    save(orders, "a.parquet")
    os.mkfifo(FOLDER / "pipe.csv")
    assert run().exit_code == 0


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read all")
def test_a_folder_that_cannot_be_listed_is_a_finding(orders):
    save(orders, "a.parquet")
    (FOLDER / "locked").mkdir()
    (FOLDER / "locked").chmod(0)
    assert ("unreadable", "locked") in failed()
    (FOLDER / "locked").chmod(0o700)


def test_a_walk_that_stops_is_a_finding():
    for part in range(30):
        (FOLDER / f"part-{part}.csv").write_text("a\n1\n", encoding="utf-8")
    assert ("walk", "folder") in failed("--most-files", "20")
    assert ("walk", "folder") not in failed("--most-files", "30")


def test_the_walk_is_bounded_in_one_folder_of_very_many():
    for part in range(3000):
        (FOLDER / f"{part}.csv").touch()
    walked = folders.walk(FOLDER, most_files=500)
    assert (len(walked.files), walked.complete) == (500, False)


def test_tables_beyond_the_most_are_named(orders):
    for name in "abc":
        save(orders, f"{name}x.parquet")
    assert "1 smaller tables" in run("--most-tables", "2", "--max-copies", "1").stdout


def test_a_large_file_is_never_read_whole(monkeypatch):
    line = b"1,2,3,4,5,6,7,8\n"
    with (FOLDER / "large.csv").open("wb") as file:
        file.write(b"a,b,c,d,e,f,g,h\n")
        for _ in range(40):
            file.write(line * 65_536)
    [table] = folders.tables(folders.walk(FOLDER, most_files=9).files)
    item = measure(FOLDER, table, rng=stream(0), places=5)
    assert sum(item.old) <= 5 * samples.BLOCK
    assert table.size > 40 * (1 << 20)
    rows, exact = item.all_rows
    assert not exact
    assert rows == pytest.approx(40 * 65_536, rel=0.02)


# Refusals


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--small-mb", "0"], "small_mb"),
        (["--max-saving", "1.5"], "max_saving"),
        (["--places", "0"], "places"),
        (["--most-files", "0"], "most_files"),
        (["--prices", "none.yaml"], "none.yaml"),
        (["--html", "data/report.html"], "nothing is written"),
        (["--json", "data"], "name another|folder"),
    ],
)
def test_bad_options_are_refused(orders, options, message):
    save(orders.head(10), "a.csv")
    assert re.search(message, refused(run(*options)))


def test_an_empty_folder_is_refused():
    assert "expected files that end in .csv" in refused(run())
    (FOLDER / "notes.txt").touch()
    assert "came none among 1 files" in refused(run())


def test_what_is_no_folder_is_refused(orders):
    save(orders.head(10), "a.csv")
    line = CliRunner().invoke(audit.app, ["cost", "data/a.csv"])
    assert "expected a folder, came a file" in refused(line)
    assert "no such folder" in refused(CliRunner().invoke(audit.app, ["cost", "nowhere"]))


# Reports


def test_nothing_is_written_into_the_folder(orders):
    by_day(orders)
    save(orders, "orders.csv")
    before = {file: file.stat().st_mtime_ns for file in FOLDER.rglob("*")}
    run("--html", "out.html", "--json", "out.json")
    assert {file: file.stat().st_mtime_ns for file in FOLDER.rglob("*")} == before


def test_reports_are_the_same_bytes_each_time(orders):
    by_day(orders)
    save(orders, "orders.csv.gz")
    pages = []
    for _ in range(2):
        run("--html", "out.html", "--json", "out.json")
        pages.append((Path("out.html").read_bytes(), Path("out.json").read_bytes()))
    assert pages[0] == pages[1]


def test_json_has_standard_numbers_and_its_columns(orders):
    save(orders, "orders.csv")
    (FOLDER / "bad.parquet").touch()
    content = json.loads(
        (run("--json", "out.json"), Path("out.json").read_text(encoding="utf-8"))[1],
        parse_constant=lambda word: pytest.fail(word),
    )
    assert list(content["findings"][0]) == ["check", "subject", "value", "limit", "failed"]
    assert content["asked"]["folder"] == "data"


def test_text_fits_its_width_and_names_are_shown_not_obeyed(orders):
    save(orders.head(10), "x" * 200 + ".csv")
    save(orders.head(10), "\x1b[2Jred.csv")
    text = run().stdout
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 120


def test_names_that_are_no_text_are_shown(orders):
    file = os.fsencode("data/x") + b"\xe9.csv"
    try:
        with open(file, "wb") as stream:  # noqa: PTH123
            stream.write(b"a\n1\n")
    except OSError:
        pytest.skip("this file system takes text alone")
    assert run("--json", "out.json", "--html", "out.html").exit_code == 0


def test_the_page_needs_nothing_else(orders):
    save(orders, "<b>.csv")
    run("--html", "out.html")
    page = Path("out.html").read_text(encoding="utf-8")
    assert "<b>.csv" not in page
    assert not re.search(r"<(script|link|img)|https?:", page)


def test_help_shows_examples_and_statuses():
    text = " ".join(CliRunner().invoke(audit.app, ["cost", "--help"]).stdout.split())
    assert "Example: mlkit audit cost data/raw" in text
    assert "Exit status: 0 all passed" in text


def test_a_progress_bar_is_seen_on_terminals_alone(orders):
    save(orders.head(10), "a.parquet")
    assert run().stderr == ""


def test_a_folder_that_may_not_be_listed_is_a_finding_for_anybody(orders, monkeypatch):
    save(orders, "a.parquet")
    save(orders, "locked/b.parquet")
    scan = os.scandir

    def refuse(place):
        if Path(place).name == "locked":
            raise PermissionError(place)
        return scan(place)

    monkeypatch.setattr(folders.os, "scandir", refuse)
    assert failed() == {("unreadable", "locked")}
