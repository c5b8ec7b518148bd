"""The same work as the benchmarks do, by what a user would pick instead: DuckDB, polars, frictionless.

peers.py setup                        installs them into a virtual environment, $HOME/.cache/simpul/venv-benches
peers.py csv [--rows N] [--program P] CSV → validated Parquet: runs P (target/release/csv_to_parquet), then the peers on its file
peers.py point FOLDER KEY...          one row per key from the Parquet files below FOLDER by DuckDB; prints JSON

Each peer runs in a process of its own; its CPU seconds and its peak memory are counted without the start of Python.
A peer that finds another number of good rows than the benchmark did ends the run.
"""

import argparse
import glob
import json
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import venv

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
VENV = pathlib.Path.home() / ".cache/simpul/venv-benches"
PYTHON = VENV / "bin/python"
PACKAGES = ["duckdb==2.0.0", "polars==2.1.0", "frictionless==5.21.0"]
AREAS = ROOT / "schemas/standard/wilayah/wilayah.csv"
# frictionless takes minutes for a million rows.
SLICE = 20_000


def cpu():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def sync(path):
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


DUCKDB_RULES = r"""
    nik IS NOT NULL AND regexp_full_match(nik, '[0-9]{16}')
    AND nama IS NOT NULL AND length(nama) <= 60
    AND kode_kecamatan IS NOT NULL AND regexp_full_match(kode_kecamatan, '[0-9]{2}\.[0-9]{2}\.[0-9]{2}')
    AND try_cast(tanggal_lahir AS DATE) BETWEEN DATE '1900-01-01' AND DATE '2026-12-31'
    AND jenis_kelamin IN ('L', 'P')
    AND (status_kawin IS NULL OR status_kawin IN ('belum kawin', 'kawin', 'cerai hidup', 'cerai mati'))
    AND (pendapatan IS NULL OR try_cast(pendapatan AS DOUBLE) >= 0)
    AND (jumlah_anggota IS NULL OR regexp_full_match(jumlah_anggota, '[+-]?[0-9]+')
         AND try_cast(jumlah_anggota AS BIGINT) BETWEEN 1 AND 20)
    AND regexp_full_match(tahun_data, '[+-]?[0-9]+') AND try_cast(tahun_data AS BIGINT) BETWEEN 2000 AND 2100
"""
DUCKDB_COLUMNS = """
    nik, nama, kode_kecamatan, CAST(tanggal_lahir AS DATE) AS tanggal_lahir, jenis_kelamin, status_kawin, pekerjaan,
    CAST(pendapatan AS DOUBLE) AS pendapatan, CAST(jumlah_anggota AS BIGINT) AS jumlah_anggota,
    CAST(tahun_data AS BIGINT) AS tahun_data
"""


def duckdb_run(file, out, keys):
    import duckdb

    base = duckdb.connect()
    base.execute("SET enable_progress_bar = false")
    source = f"read_csv('{file}', all_varchar = true, header = true, delim = ',', nullstr = ['', '-'], null_padding = true)"
    rules = DUCKDB_RULES
    if keys:
        base.execute(f"CREATE TEMP TABLE raw AS SELECT * FROM {source}")
        base.execute(f"CREATE TEMP TABLE areas AS SELECT kode FROM read_csv('{AREAS}', all_varchar = true, header = true)")
        base.execute(
            "CREATE TEMP TABLE twice AS SELECT nik, min(rowid) AS first FROM raw WHERE nik IS NOT NULL"
            " GROUP BY nik HAVING count(*) > 1"
        )
        source = "raw"
        rules += " AND kode_kecamatan IN (SELECT kode FROM areas)"
        rules += " AND NOT EXISTS (SELECT 1 FROM twice WHERE twice.nik = raw.nik AND raw.rowid > twice.first)"
    query = f"SELECT {DUCKDB_COLUMNS} FROM {source} WHERE {rules}"
    base.execute(f"COPY ({query}) TO '{out}' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)")
    sync(out)
    return base.execute(f"SELECT count(*) FROM '{out}'").fetchone()[0]


def polars_run(file, out, keys):
    import polars as pl

    raw = pl.scan_csv(file, infer_schema=False, null_values=["", "-"], truncate_ragged_lines=True)
    cell = pl.col
    born = cell("tanggal_lahir").str.to_date("%Y-%m-%d", strict=False)
    members = cell("jumlah_anggota").cast(pl.Int64, strict=False)
    year = cell("tahun_data").cast(pl.Int64, strict=False)
    income = cell("pendapatan").cast(pl.Float64, strict=False)

    def optional(column, rule):
        return cell(column).is_null() | rule.fill_null(False)

    rules = [
        cell("nik").str.contains("^[0-9]{16}$"),
        cell("nama").is_not_null() & (cell("nama").str.len_chars() <= 60),
        cell("kode_kecamatan").str.contains(r"^[0-9]{2}\.[0-9]{2}\.[0-9]{2}$"),
        born.is_between(pl.date(1900, 1, 1), pl.date(2026, 12, 31)),
        cell("jenis_kelamin").is_in(["L", "P"]),
        optional("status_kawin", cell("status_kawin").is_in(["belum kawin", "kawin", "cerai hidup", "cerai mati"])),
        optional("pendapatan", income >= 0),
        optional("jumlah_anggota", members.is_between(1, 20)),
        year.is_between(2000, 2100),
    ]
    if keys:
        areas = pl.read_csv(AREAS, infer_schema=False)["kode"].to_list()
        rules += [cell("kode_kecamatan").is_in(areas), cell("nik").is_first_distinct()]
    good = raw.filter(pl.all_horizontal(rules)).with_columns(
        tanggal_lahir=born, jumlah_anggota=members, tahun_data=year, pendapatan=income
    )
    good.sink_parquet(out, compression="zstd", compression_level=1)
    sync(out)
    return pl.scan_parquet(out).select(pl.len()).collect().item()


def frictionless_run(file, out, keys):
    from frictionless import Package

    folder = pathlib.Path(out).parent
    descriptor = json.loads((HERE / "penduduk-uji.json").read_text())
    people = descriptor["resources"][0]
    people["path"] = "slice.csv"
    shutil.copy(file, folder / "slice.csv")
    shutil.copy(AREAS, folder / "wilayah.csv")
    if keys:
        people["schema"]["foreignKeys"][0]["reference"].pop("package")
        fields = AREAS.open().readline().strip().split(",")
        schema = {"fields": [{"name": name, "type": "string"} for name in fields]}
        areas = {"name": "wilayah", "type": "table", "path": "wilayah.csv", "format": "csv", "schema": schema}
        descriptor["resources"].append(areas)
    else:
        people["schema"].pop("primaryKey")
        people["schema"].pop("foreignKeys")
    report = Package.from_descriptor(descriptor, basepath=str(folder)).validate(limit_errors=1_000_000)
    bad = {error.row_number for task in report.tasks for error in task.errors}
    return report.tasks[0].stats["rows"] - len(bad)


PEERS = {"duckdb": duckdb_run, "polars": polars_run, "frictionless": frictionless_run}


def child(name, file, out, keys):
    __import__(name)
    before, started = cpu(), time.monotonic()
    good = PEERS[name](file, out, keys == "keys")
    wall, used = time.monotonic() - started, cpu() - before
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    size = os.path.getsize(out) / 1e6 if os.path.exists(out) else 0
    print(json.dumps({"good": good, "wall": wall, "cpu": used, "peak": peak, "parquet": size}))


def run(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{command}\n{done.stdout}{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def csv(rows, program):
    for keys in ("keys", "no keys"):
        with tempfile.TemporaryDirectory() as folder:
            file = os.path.join(folder, "penduduk.csv")
            flags = [] if keys == "keys" else ["--no-keys"]
            told = run([program, "--rows", str(rows), "--file", file, "--json", *flags])["figures"]
            own = {name: figure["value"] for name, figure in told.items()}
            table = [("simpul", rows, own["wall"], own["CPU"], own["peak memory"], own["Parquet"], own["rows accepted"])]
            for peer in ("duckdb", "polars"):
                table.append(measure(peer, file, rows, keys, folder, own["rows accepted"]))
            slice_rows = min(rows, SLICE)
            few = os.path.join(folder, "few.csv")
            with open(file) as source, open(few, "w") as target:
                target.writelines(line for line, _ in zip(source, range(slice_rows + 1)))
            table.append(measure("frictionless", few, slice_rows, keys, folder, None))
            tell(keys, table)


def measure(peer, file, rows, keys, folder, good):
    out = os.path.join(folder, f"{peer}.parquet")
    told = run([str(PYTHON), __file__, "child", peer, file, out, keys])
    if good is not None and told["good"] != good:
        sys.exit(f"{peer} finds {told['good']} good rows, the benchmark {good}")
    return (peer, rows, told["wall"], told["cpu"], told["peak"], told["parquet"], told["good"])


def tell(keys, table):
    own = table[0][3] / table[0][1]
    print(f"\nCSV → validated Parquet, {keys}")
    print(f"{'':14}{'rows':>10}{'good':>10}{'wall s':>9}{'CPU s':>9}{'CPU s/1M rows':>15}{'to simpul':>11}{'peak MiB':>10}{'Parquet MB':>12}")
    for name, rows, wall, used, peak, size, good in table:
        each = used / rows
        print(
            f"{name:14}{rows:>10}{good:>10.0f}{wall:>9.2f}{used:>9.2f}{each * 1e6:>15.2f}{each / own:>10.2f}x"
            f"{peak:>10.0f}{size:>12.1f}"
        )


def point(folder, keys):
    import duckdb

    files = sorted(glob.glob(os.path.join(folder, "**/*.parquet"), recursive=True))
    files = [file for file in files if "_delta_log" not in file]
    base = duckdb.connect()
    query = "SELECT * FROM read_parquet(?) WHERE nik = ?"
    base.execute(query, [files, keys[0]]).fetchall()
    taken, before = [], cpu()
    for key in keys:
        started = time.monotonic()
        found = base.execute(query, [files, key]).fetchall()
        taken.append((time.monotonic() - started) * 1000)
        if len(found) != 1:
            sys.exit(f"{len(found)} rows for {key}")
    used = cpu() - before
    taken.sort()
    rank = lambda part: taken[max(0, -(-int(part * 100) * len(taken) // 100) - 1)]
    print(json.dumps({"p50": rank(0.5), "p99": rank(0.99), "CPU per 1000": used * 1000 / len(keys)}))


def main():
    if sys.argv[1:2] == ["child"]:
        return child(*sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("setup")
    of_csv = commands.add_parser("csv")
    of_csv.add_argument("--rows", type=int, default=1_000_000)
    of_csv.add_argument("--program", default=str(ROOT / "target/release/csv_to_parquet"))
    of_point = commands.add_parser("point")
    of_point.add_argument("folder")
    of_point.add_argument("keys", nargs="+")
    options = parser.parse_args()
    if options.command == "setup":
        venv.create(VENV, with_pip=True)
        subprocess.run([PYTHON, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    elif options.command == "csv":
        csv(options.rows, options.program)
    else:
        point(options.folder, options.keys)


if __name__ == "__main__":
    main()
