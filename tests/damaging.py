"""A process of its own that reads damaged files, in bounded memory: an abort would end the tests."""

from __future__ import annotations

import contextlib
import io
import random
import resource
import sys
import warnings
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq

N = 60
ROOM = 2 << 30  # bytes beyond those that the imports take
ENCODINGS = {
    "shown": "BYTE_STREAM_SPLIT",
    "i64": "DELTA_BINARY_PACKED",
    "time": "DELTA_BINARY_PACKED",
    "room": "DELTA_BYTE_ARRAY",
    "note": "DELTA_LENGTH_BYTE_ARRAY",
}


def originals() -> list[tuple[str, bytes]]:
    """Gives the same readings as Parquet and Arrow, as Polars and pyarrow write them."""
    columns = {
        "shown": [40 + 0.9 * row + 0.1 * (row % 7) for row in range(N)],
        "ref": [5 + 0.5 * row for row in range(N)],
        "i64": [row * row for row in range(N)],
        "room": [f"n{row % 7}" for row in range(N)],
        "note": [f"a note of more than twelve bytes, {row}" for row in range(N)],
        "time": [datetime(2026, 3, 2) + timedelta(minutes=row) for row in range(N)],
        "gaps": [None if row % 3 else row / 2 for row in range(N)],
        "hot": [row > 30 for row in range(N)],
    }
    frame = pl.DataFrame(columns).with_columns(
        kind=pl.col("room").cast(pl.Categorical), pair=pl.concat_list("ref", "shown")
    )
    table = pa.table(columns).append_column("kind", pa.array(columns["room"]).dictionary_encode())
    found = []

    def keep(name: str, write: object, **options: object) -> None:
        stream = io.BytesIO()
        write(stream, **options)  # type: ignore[operator]
        found.append((name, stream.getvalue()))

    for codec in ("uncompressed", "snappy", "zstd", "gzip", "lz4", "brotli"):
        keep("t.parquet", frame.write_parquet, compression=codec, row_group_size=25)
    for options in (
        {"compression": "none"},
        {"compression": "snappy", "data_page_version": "2.0", "data_page_size": 100},
        {"compression": "none", "use_dictionary": False, "column_encoding": ENCODINGS},
    ):
        keep("t.parquet", lambda stream, **how: pq.write_table(table, stream, row_group_size=35, **how), **options)
    views = table.append_column("view", pa.array(columns["room"], pa.string_view()))
    for codec in ("uncompressed", "lz4", "zstd"):
        keep("t.arrow", frame.write_ipc, compression=codec)
        keep(
            "t.arrow",
            lambda stream, **how: feather.write_feather(views, stream, chunksize=25, **how),
            compression=codec,
        )
    return found


def damaged(content: bytes, chance: random.Random) -> bytes:
    """Changes one to three bytes, half of them near the end, where footers stand."""
    changed = bytearray(content)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(changed))
        if chance.random() < 0.5:
            at = len(changed) - 1 - chance.randrange(min(len(changed), 2500))
        changed[at] = chance.choice([changed[at] ^ 1 << chance.randrange(8), 0, 127, 255, chance.randrange(256)])
    return bytes(changed)


def calibrations() -> bytes:
    import thermofit_pl

    x = [float(k % 20) for k in range(60)]
    thermofit_pl.fit(x, [0.5 * k + (k % 3) for k in x], ["abc"[k // 20] for k in range(60)]).save("fleet.parquet")
    return Path("fleet.parquet").read_bytes()


def words(command: str, path: str) -> list[str]:
    """The command to read a file by."""
    if command == "fit":
        quick = ["--trainer.logger=false", "--trainer.max_epochs=1", "--figures=false"]
        return ["fit", f"--data.path={path}", "--data.indication=shown", "--data.reference=ref", *quick]
    if command == "apply":
        return ["apply", "c.json", path, "--indication=shown", "--output=out.parquet"]
    return ["show", path]


def main(command: str, times: int, seed: int) -> None:
    """Prints a line for each file: the exit code, and what was said."""
    import thermofit_pl
    from thermofit_pl.__main__ import main as run

    warnings.simplefilter("ignore")
    shown = [40.0, 60.0, 80.0, 90.0]
    thermofit_pl.fit(shown, [0.5 * each for each in shown]).save("c.json")
    files = [("c.parquet", calibrations())] if command == "show" else originals()
    run(words(command, _write(*files[0])))  # imports everything
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + ROOM,) * 2)
    chance = random.Random(seed)
    for number in range(times):
        name, content = files[number % len(files)]
        Path("out.parquet").unlink(missing_ok=True)
        path, said = _write(name, damaged(content, chance)), io.StringIO()
        before = sorted(Path().rglob("*"))
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO(), "utf-8")):
            code = run(words(command, path))
        assert code in (0, 2), (number, code, said.getvalue())
        if code == 2:
            assert said.getvalue().count("\n") == 1, (number, said.getvalue())
            assert sorted(Path().rglob("*")) == before, number
        print(code, flush=True)


def _write(name: str, content: bytes) -> str:
    Path(name).write_bytes(content)
    return name


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
