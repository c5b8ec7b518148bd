#!/usr/bin/env python3
"""Opens extracts (Parquet) with the programs of statisticians and compares what they find: read_extracts.py FILE...

Needs pandas, polars, duckdb and pyarrow from PyPI. Exit 0 only if every program finds the same rows, columns and sums.
"""

import sys

import duckdb
import pandas
import polars


def by_pandas(path):
    frame = pandas.read_parquet(path)
    numbers = {name: frame[name].sum() for name in frame.columns if pandas.api.types.is_integer_dtype(frame[name])}
    return list(frame.columns), len(frame), numbers


def by_polars(path):
    frame = polars.read_parquet(path)
    numbers = {name: frame[name].sum() for name, kind in frame.schema.items() if kind.is_integer()}
    return frame.columns, frame.height, numbers


def by_duckdb(path):
    table = duckdb.connect().read_parquet(path)
    numbers = {}
    for name, kind in zip(table.columns, table.types):
        if "INT" in str(kind):
            [(total,)] = table.aggregate(f'sum("{name}")').fetchall()
            numbers[name] = total or 0
    return table.columns, table.shape[0], numbers


def check(path):
    (columns, rows, sums), polars_found, duckdb_found = by_pandas(path), by_polars(path), by_duckdb(path)
    # A column of whole numbers with gaps is one of fractions to pandas: it is compared between the other two.
    wrong = [] if rows > 0 else ["no rows"]
    for found_columns, found_rows, found in (polars_found, duckdb_found):
        if (found_columns, found_rows) != (columns, rows) or any(found.get(name) != sums[name] for name in sums):
            wrong.append((found_columns, found_rows, found))
    if polars_found[2] != duckdb_found[2]:
        wrong.append("sums")
    print(f"{path.rsplit('/', 1)[-1]}: {rows} rows, {len(columns)} columns, sums {polars_found[2]}{' WRONG: ' + str(wrong) if wrong else ''}")
    return not wrong


if __name__ == "__main__":
    results = [check(path) for path in sys.argv[1:]]
    sys.exit(0 if results and all(results) else 1)
