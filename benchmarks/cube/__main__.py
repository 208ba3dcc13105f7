"""Full enumeration of the iceberg cube: ours against DuckDB's GROUP BY CUBE, the same rows on the same cores.

`python -m benchmarks.cube`; exits with 1 if the two do not give the same rows, counts and sums.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from typing import Any, NamedTuple

import duckdb
import numba
import numpy as np
import numpy.typing as npt

from learning.cube import Enumeration, enumerate_tree
from learning.kernels import compile_kernels
from learning.parameters import Parameters

CARDINALITIES = (8, 8, 8, 5, 6, 3, 6, 4, 3, 3)
DIMS = len(CARDINALITIES)
N_MIN = np.array([0, *(Parameters().n_min(k) for k in range(1, DIMS + 1))])
SUMS = ("n", "wins", "rr_q", "rr_q2", "payback_ms")
RR_SCALE, RR_CAP = 100_000, 10.0
Columns = dict[str, npt.NDArray[Any]]


class Took(NamedTuple):
    """Seconds of one run: on the clock, and of all processors together."""

    wall_s: float
    cpu_s: float


def outcomes(rows: int, groups: int, zipf: float, seed: int) -> Columns:
    """One action per trade, so that count(*) counts distinct trades; value v of a dimension has weight 1/v^zipf."""
    rng = np.random.default_rng(seed)
    columns: Columns = {"grp": np.sort(rng.integers(0, groups, rows)).astype(np.uint8)}
    for d, cardinality in enumerate(CARDINALITIES):
        weights = 1.0 / np.arange(1, cardinality + 1) ** zipf
        columns[f"d{d}"] = (1 + rng.choice(cardinality, rows, p=weights / weights.sum())).astype(np.uint8)
    rr = np.clip(rng.normal(0.1, 1.5, rows), -RR_CAP, RR_CAP)
    columns["rr_q"] = np.round(rr * RR_SCALE).astype(np.int64)
    columns["payback_ms"] = rng.integers(60_000, 30 * 86_400_000, rows)
    return columns


def ours(columns: Columns, threads: int) -> Callable[[], list[Enumeration]]:
    """Enumerate every group, and write out the codes of every subset."""
    cards = np.array(CARDINALITIES) + 1
    codes = np.array([columns[f"d{d}"] for d in range(DIMS)])
    trade = np.arange(len(columns["grp"]))
    edges = np.searchsorted(columns["grp"], np.arange(int(columns["grp"].max()) + 2))

    def one(group: int) -> Enumeration:
        at = slice(edges[group], edges[group + 1])
        tree = enumerate_tree(
            codes[:, at], trade[at], columns["rr_q"][at], columns["payback_ms"][at], cards, N_MIN, DIMS
        )
        tree.codes(DIMS)
        return tree

    def run() -> list[Enumeration]:
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(one, range(len(edges) - 1)))

    return run


def theirs(columns: Columns, threads: int) -> tuple[duckdb.DuckDBPyConnection, Callable[[], None]]:
    """DuckDB with the columns in a table of its own, small integers, what can be computed per row computed."""
    connection = duckdb.connect()
    connection.execute(f"SET threads = {threads}")
    connection.register("source", columns)
    connection.execute(
        "CREATE TABLE outcomes AS SELECT *, rr_q * rr_q AS rr_q2, (rr_q > 0)::UTINYINT AS win FROM source"
    )
    dims = ", ".join(f"d{d}" for d in range(DIMS))
    pinned = f"({DIMS} - bit_count(GROUPING({dims})))"
    n_min = " ".join(f"WHEN {k} THEN {n}" for k, n in enumerate(N_MIN.tolist()) if k)
    query = f"""
        CREATE OR REPLACE TEMP TABLE cube AS
        SELECT grp, {dims}, count(*) AS n, sum(win) AS wins, sum(rr_q) AS rr_q, sum(rr_q2) AS rr_q2,
               sum(payback_ms) AS payback_ms
        FROM outcomes GROUP BY grp, CUBE ({dims})
        HAVING count(*) >= CASE {pinned} {n_min} END
    """  # without a dimension the CASE is null, which drops the row

    def run() -> None:
        connection.execute(query)

    return connection, run


def table_of(trees: list[Enumeration]) -> npt.NDArray[np.int64]:
    """Group, codes and sums of every subset, in one order: (n_subsets, columns)."""
    parts = [
        np.column_stack((np.full(len(tree.n), group), tree.codes(DIMS), *(getattr(tree, name) for name in SUMS)))
        for group, tree in enumerate(trees)
    ]
    return _sorted(np.concatenate(parts).astype(np.int64))


def table_in(connection: duckdb.DuckDBPyConnection) -> npt.NDArray[np.int64]:
    """Return the same of DuckDB's result."""
    names = ("grp", *(f"d{d}" for d in range(DIMS)), *SUMS)
    found = connection.execute(
        f"SELECT {', '.join(f'coalesce({name}, 0)::BIGINT AS {name}' for name in names)} FROM cube"
    )
    columns = found.fetchnumpy()
    return _sorted(np.column_stack([np.asarray(columns[name], dtype=np.int64) for name in names]))


def _sorted(table: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return table[np.lexsort(table[:, : DIMS + 1].T[::-1])]


def timed(run: Callable[[], object]) -> Took:
    """Run once."""
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return Took(time.perf_counter() - wall, time.process_time() - cpu)


def compare(columns: Columns, threads: int, runs: int) -> bool:
    """Check that both give the same, then run them in turns; False if they differ."""
    enumerate_all = ours(columns, threads)
    connection, cube = theirs(columns, threads)
    cube()
    mine, other = table_of(enumerate_all()), table_in(connection)
    same = mine.shape == other.shape and bool((mine == other).all())
    print(f"threads {threads}: {len(mine)} subsets, DuckDB {len(other)}: {'the same rows' if same else 'THEY DIFFER'}")
    pairs = [(timed(cube), timed(enumerate_all)) for _ in range(runs)]
    connection.close()
    for number, name in enumerate(Took._fields):
        duck, us = (median(pair[side][number] for pair in pairs) for side in (0, 1))
        ratio = median(pair[0][number] / pair[1][number] for pair in pairs)
        print(f"  {name:6}  DuckDB {duck:8.3f}  ours {us:8.3f}  medians of {runs}; median ratio of pairs 1/{ratio:.1f}")
    return same


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cube", description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--groups", type=int, default=20)
    parser.add_argument("--zipf", type=float, default=0.0, help="0: all values as frequent; 1: value v has weight 1/v")
    parser.add_argument("--runs", type=int, default=5, help="timed runs of each, in turns")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, nargs="*", default=[2, 1])
    asked = parser.parse_args()
    columns = outcomes(asked.rows, asked.groups, asked.zipf, asked.seed)
    print(
        f"{asked.rows} outcomes, {asked.groups} groups, cardinalities {CARDINALITIES}, zipf {asked.zipf:g}, "
        f"seed {asked.seed}, n_min {tuple(N_MIN[1:].tolist())}\nPython {platform.python_version()}, "
        f"NumPy {np.__version__}, Numba {numba.__version__}, DuckDB {duckdb.__version__}, {os.cpu_count()} cores"
    )
    took = timed(compile_kernels)
    print(f"kernels compiled or loaded in {took.wall_s:.1f} s")
    same = [compare(columns, threads, asked.runs) for threads in asked.threads]
    return 0 if all(same) else 1


if __name__ == "__main__":
    sys.exit(main())
