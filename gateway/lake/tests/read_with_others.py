#!/usr/bin/env python3
"""Opens the tables of a lake with software that is not ours and compares what it finds.

    cargo run -p simpul-lake --example lake_sample -- table FOLDER > expected.json
    read_with_others.py FOLDER expected.json

Needs deltalake, polars, duckdb and pyarrow from PyPI. Exit 0 only if every reader agrees on rows, sums and version, from
the log and (table `ringkasan`) from a checkpoint alone. DuckDB's own Delta extension has to be downloaded, so DuckDB reads
the list of active files that deltalake gives.
"""

import json
import sys
from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import Path

import duckdb
import polars
from deltalake import DeltaTable


def by_deltalake(table):
    rows = table.to_pyarrow_table() if hasattr(table, "to_pyarrow_table") else table.to_pyarrow_dataset().to_table()
    return {"rows": rows.num_rows, "jumlah": sum(n for n in rows["jumlah"].to_pylist() if n is not None)}


def by_polars(path):
    frame = polars.scan_delta(str(path)).select(polars.len().alias("rows"), polars.col("jumlah").sum()).collect()
    return frame.to_dicts()[0]


def by_duckdb(table):
    query = "SELECT count(*), sum(jumlah) FROM read_parquet(?, union_by_name = true)"
    [(rows, total)] = duckdb.connect().execute(query, [table.file_uris()]).fetchall()
    return {"rows": rows, "jumlah": int(total)}


def filtered(path):
    """Filters that the statistics in the log answer in part: bounds that are wrong lose rows here."""
    column, whole = polars.col, polars.scan_delta(str(path)).collect()
    conditions = [
        column("jumlah").is_between(3050, 5010),
        column("kode") == "64.03",
        column("nilai") >= Decimal("750.25"),
        column("pecahan") < 100.5,
        column("tanggal") > date(1978, 3, 30),
        column("waktu") <= datetime(1970, 1, 1, 1, 0, tzinfo=timezone.utc),
        column("_period") == "2024",
    ]
    found = [(polars.scan_delta(str(path)).filter(c).collect().height, whole.filter(c).height) for c in conditions]
    return all(fast == slow and 0 < slow < whole.height for fast, slow in found)


def check(name, path, expected):
    table = DeltaTable(str(path))
    wanted = {key: expected[key] for key in ("rows", "jumlah")}
    found = {"deltalake": by_deltalake(table), "polars": by_polars(path), "duckdb": by_duckdb(table)}
    wrong = [reader for reader, value in found.items() if value != wanted]
    if table.version() != expected["version"]:
        wrong.append(f"version {table.version()}")
    if not filtered(path):
        wrong.append("filtered")
    if sorted(table.metadata().partition_columns) != ["_origin", "_period"]:
        wrong.append("partition columns")
    if table.transaction_version("64.02.dukcapil/simpeg") is None:
        wrong.append("txn")
    print(f"{name}: wanted {wanted} at version {expected['version']}, found {found}{' WRONG: ' + str(wrong) if wrong else ''}")
    return not wrong


def main():
    folder, expected = Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text())
    results = [check(name, folder / name, values) for name, values in expected.items()]
    sys.exit(0 if results and all(results) else 1)


if __name__ == "__main__":
    main()
