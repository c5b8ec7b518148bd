"""The same work as the benchmarks do, by what a user would pick instead: raw arrow-csv, polars, DuckDB, pyarrow, frictionless.

peers.py setup                        installs them into a virtual environment, $HOME/.cache/simpul/venv-benches
peers.py csv [--rows N] [--programs F] CSV → validated Parquet, in one run: F/csv_to_parquet with and without primary key, then
                                      F/raw_arrow_csv, which checks nothing, and the peers with the same checks, on its file
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
PACKAGES = ["duckdb==2.0.0", "polars==2.1.0", "pyarrow==26.0.1", "frictionless==5.21.0"]
AREAS = ROOT / "schemas/standard/wilayah/wilayah.csv"
# frictionless takes minutes for a million rows: it gets the first rows only.
SLICE = 100_000


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
    nik, nama, kode_kecamatan, CAST(tanggal_lahir AS DATE) AS tanggal_lahir, jenis_kelamin, status_kawin, alamat,
    CAST(pendapatan AS DOUBLE) AS pendapatan, CAST(jumlah_anggota AS BIGINT) AS jumlah_anggota,
    CAST(tahun_data AS BIGINT) AS tahun_data
"""


def duckdb_run(file, out, keys):
    import duckdb

    base = duckdb.connect()
    base.execute("SET enable_progress_bar = false")
    source = f"read_csv('{file}', all_varchar = true, header = true, delim = ',', nullstr = ['', '-'], null_padding = true)"
    base.execute(f"CREATE TEMP TABLE areas AS SELECT kode FROM read_csv('{AREAS}', all_varchar = true, header = true)")
    rules = DUCKDB_RULES + " AND kode_kecamatan IN (SELECT kode FROM areas)"
    if keys:
        base.execute(f"CREATE TEMP TABLE raw AS SELECT * FROM {source}")
        base.execute(
            "CREATE TEMP TABLE twice AS SELECT nik, min(rowid) AS first FROM raw WHERE nik IS NOT NULL"
            " GROUP BY nik HAVING count(*) > 1"
        )
        source = "raw"
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
    areas = pl.read_csv(AREAS, infer_schema=False)["kode"].to_list()
    rules.append(cell("kode_kecamatan").is_in(areas))
    if keys:
        rules.append(cell("nik").is_first_distinct())
    good = raw.filter(pl.all_horizontal(rules)).with_columns(
        tanggal_lahir=born, jumlah_anggota=members, tahun_data=year, pendapatan=income
    )
    good.sink_parquet(out, compression="zstd", compression_level=1)
    sync(out)
    return pl.scan_parquet(out).select(pl.len()).collect().item()


def pyarrow_run(file, out, keys):
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.csv as pc_csv
    import pyarrow.parquet as pq

    names = "nik nama kode_kecamatan tanggal_lahir jenis_kelamin status_kawin alamat pendapatan jumlah_anggota tahun_data".split()
    with open(AREAS) as areas:
        codes = pa.array([line.split(",", 1)[0] for line in areas][1:])

    def typed(table):
        def fits(name, pattern):
            return pc.fill_null(pc.match_substring_regex(table[name], f"^(?:{pattern})$"), False)

        def number(name, pattern, kind):
            return pc.cast(pc.if_else(fits(name, pattern), table[name], pa.scalar(None, pa.string())), kind)

        def within(values, low, high):
            return pc.fill_null(pc.and_(pc.greater_equal(values, low), pc.less_equal(values, high)), False)

        def optional(name, rule):
            return pc.or_(pc.is_null(table[name]), rule)

        born = pc.strptime(table["tanggal_lahir"], format="%Y-%m-%d", unit="s", error_is_null=True)
        # strptime takes 31 February for 3 March: the date has to be written as it was read.
        real = pc.fill_null(pc.equal(pc.strftime(born, format="%Y-%m-%d"), table["tanggal_lahir"]), False)
        born = pc.cast(born, pa.date32())
        members = number("jumlah_anggota", "[+-]?[0-9]{1,18}", pa.int64())
        year = number("tahun_data", "[+-]?[0-9]{1,18}", pa.int64())
        income = number("pendapatan", r"[+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?", pa.float64())
        day = lambda text: pc.cast(pa.scalar(text), pa.date32())
        rules = [
            fits("nik", "[0-9]{16}"),
            pc.fill_null(pc.less_equal(pc.utf8_length(table["nama"]), 60), False),
            fits("kode_kecamatan", r"[0-9]{2}\.[0-9]{2}\.[0-9]{2}"),
            pc.is_in(table["kode_kecamatan"], value_set=codes),
            real,
            within(born, day("1900-01-01"), day("2026-12-31")),
            pc.is_in(table["jenis_kelamin"], value_set=pa.array(["L", "P"])),
            optional("status_kawin", pc.is_in(table["status_kawin"], value_set=pa.array(["belum kawin", "kawin", "cerai hidup", "cerai mati"]))),
            optional("pendapatan", pc.fill_null(pc.greater_equal(income, 0), False)),
            optional("jumlah_anggota", within(members, 1, 20)),
            within(year, 2000, 2100),
        ]
        good = rules[0]
        for rule in rules[1:]:
            good = pc.and_(good, rule)
        columns = [table[name] for name in names[:3]] + [born] + [table[name] for name in names[4:7]] + [income, members, year]
        return pa.table(columns, names=names), good

    options = {
        "read_options": pc_csv.ReadOptions(block_size=8 << 20),
        "parse_options": pc_csv.ParseOptions(invalid_row_handler=lambda row: "skip"),
        "convert_options": pc_csv.ConvertOptions(
            column_types={name: pa.string() for name in names}, null_values=["", "-"], strings_can_be_null=True
        ),
    }
    rows, writer = 0, None
    if keys:
        # The first row of each key stays: a table of all keys with their first row.
        table = pc_csv.read_csv(file, **options)
        order = pa.array(range(len(table)), pa.int64())
        first = pa.table([table["nik"], order], names=["nik", "row"]).group_by("nik").aggregate([("row", "min")])
        batches = [(table, pc.is_in(order, value_set=first["row_min"]))]
    else:
        batches = ((pa.table(batch), None) for batch in pc_csv.open_csv(file, **options))
    for table, once in batches:
        table, good = typed(table)
        good = good if once is None else pc.and_(good, once)
        table = table.filter(good)
        rows += len(table)
        writer = writer or pq.ParquetWriter(out, table.schema, compression="zstd", compression_level=1)
        writer.write_table(table)
    writer.close()
    sync(out)
    return rows


def frictionless_run(file, out, keys):
    from frictionless import Package

    folder = pathlib.Path(out).parent
    descriptor = json.loads((HERE / "penduduk-uji.json").read_text())
    people = descriptor["resources"][0]
    people["path"] = "slice.csv"
    shutil.copy(file, folder / "slice.csv")
    shutil.copy(AREAS, folder / "wilayah.csv")
    people["schema"]["foreignKeys"][0]["reference"].pop("package")
    fields = AREAS.open().readline().strip().split(",")
    schema = {"fields": [{"name": name, "type": "string"} for name in fields]}
    areas = {"name": "wilayah", "type": "table", "path": "wilayah.csv", "format": "csv", "schema": schema}
    descriptor["resources"].append(areas)
    if not keys:
        people["schema"].pop("primaryKey")
    report = Package.from_descriptor(descriptor, basepath=str(folder)).validate(limit_errors=1_000_000)
    bad = {error.row_number for task in report.tasks for error in task.errors}
    return report.tasks[0].stats["rows"] - len(bad)


PEERS = {"duckdb": duckdb_run, "polars": polars_run, "pyarrow": pyarrow_run, "frictionless": frictionless_run}


def child(name, file, out, keys):
    __import__(name)
    before, started = cpu(), time.monotonic()
    good = PEERS[name](file, out, keys == "primary key")
    wall, used = time.monotonic() - started, cpu() - before
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    size = os.path.getsize(out) / 1e6 if os.path.exists(out) else 0
    print(json.dumps({"good": good, "wall": wall, "cpu": used, "peak": peak, "parquet": size}))


def run(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{command}\n{done.stdout}{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def own(told):
    return {name: figure["value"] for name, figure in told["figures"].items()}


def csv(rows, programs):
    for keys in ("no primary key", "primary key"):
        with tempfile.TemporaryDirectory() as folder:
            file = os.path.join(folder, "penduduk.csv")
            flags = ["--no-primary-key"] if keys == "no primary key" else []
            told = own(run([programs / "csv_to_parquet", "--rows", str(rows), "--file", file, "--json", *flags]))
            good = told["rows accepted"]
            table = [("simpul", rows, told["wall"], told["CPU"], told["peak memory"], told["Parquet"], good)]
            raw = own(run([programs / "raw_arrow_csv", file, os.path.join(folder, "raw.parquet"), "--json"]))
            table.append(("unchecked", rows, raw["wall"], raw["CPU"], raw["peak memory"], raw["Parquet"], raw["rows accepted"]))
            for peer in ("polars", "duckdb", "pyarrow"):
                table.append(measure(peer, file, rows, keys, folder, good))
            slice_rows = min(rows, SLICE)
            few = os.path.join(folder, "few.csv")
            with open(file) as source, open(few, "w") as target:
                target.writelines(line for line, _ in zip(source, range(slice_rows + 1)))
            table.append(measure("frictionless", few, slice_rows, keys, folder, None))
            tell(f"{keys}, {os.path.getsize(file) / 1e6:.0f} MB of CSV", table)


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
    of_csv.add_argument("--rows", type=int, default=5_000_000)
    of_csv.add_argument("--programs", type=pathlib.Path, default=ROOT / "target/release")
    of_point = commands.add_parser("point")
    of_point.add_argument("folder")
    of_point.add_argument("keys", nargs="+")
    options = parser.parse_args()
    if options.command == "setup":
        venv.create(VENV, with_pip=True)
        subprocess.run([PYTHON, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    elif options.command == "csv":
        csv(options.rows, options.programs)
    else:
        point(options.folder, options.keys)


if __name__ == "__main__":
    main()
