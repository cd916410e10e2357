"""Tens of millions of rows: time and memory of every step, beside its peers, in one run.

Usage: python benchmarks/scale.py [search narrow pool cluster generate growth recall]
                                  [--folder DIR] [--rows 50000000] [--repeats 5] [--plot FILE]

Without names, all steps are run; together they take about an hour on two cores, 7 GB of disk and,
for the peers that hold the table in memory, 20 GB of memory (their own limit is set to that, so
that a machine is not brought down). Times are medians over repeats taken in turns; peak memory is
the largest resident size of a process of its own (Linux only). Rows are independent normal
numbers, the hardest kind for any search that hopes to leave something out.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import resource
import statistics
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

K = 10
COLUMNS = 32
ANOMALIES = 500
FILES = 10
GROUP_ROWS = 1_000_000
GIB = 2**30


def table(n_rows: int, n_features: int, seed: int = 0) -> np.ndarray:
    """Make independent normal numbers, in pieces so that making them takes little memory."""
    out = np.empty((n_rows, n_features), dtype=np.float32)
    rng = np.random.default_rng(seed)
    for start in range(0, n_rows, GROUP_ROWS):
        part = out[start : start + GROUP_ROWS]
        rng.standard_normal(dtype=np.float32, out=part)
    return out


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def in_turns(calls: dict[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Time several calls in turns, so that all meet the machine in the same mood."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            times[name].append(seconds(call))
    return times


def peak() -> int:
    """Return the largest resident size of this process so far, in bytes."""
    # Not getrusage: a child's figure there starts from its parent's.
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


def _child(
    job: Callable[..., Any], arguments: tuple[Any, ...], limit: int | None, pipe: Any
) -> None:
    if limit is not None:
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    try:
        start = time.perf_counter()
        result = job(*arguments)
        pipe.send({"seconds": time.perf_counter() - start, "peak": peak(), "result": result})
    except MemoryError:
        pipe.send({"error": "memory error", "peak": peak()})
    except BaseException as error:  # all of it must reach the parent
        text = "".join(traceback.format_exception_only(error)).strip().splitlines()[-1]
        pipe.send({"error": text[:200], "peak": peak()})


def alone(job: Callable[..., Any], *arguments: Any, limit: int | None = None) -> dict[str, Any]:
    """Run a job in a process of its own; give back its time, peak memory and result, or error."""
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(job, arguments, limit, theirs))
    process.start()
    theirs.close()
    try:
        answer: dict[str, Any] = mine.recv()
    except EOFError:  # it was killed
        answer = {"error": "killed"}
    process.join()
    return answer


def show(title: str, header: list[str], rows: Iterable[list[str]]) -> None:
    """Print a table as Markdown, so that it can go into the documentation as it is."""
    print(f"\n### {title}\n\n| {' | '.join(header)} |\n|{' --- |' * len(header)}", flush=True)
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)


# Search ---------------------------------------------------------------------------------------


def _bare(A: np.ndarray, H: np.ndarray) -> Callable[[], None]:
    """Return the product alone, in the blocks that the search here uses, on all threads."""
    rows = min((1 << 20) // min(len(A), 1024), (1 << 18) // (A.shape[1] + 2))
    out = np.empty((rows, len(A)), dtype=A.dtype)

    def call() -> None:
        for start in range(0, len(H) - rows + 1, rows):
            np.matmul(H[start : start + rows], A.T, out=out)

    return call


def _torch_top_k(A: np.ndarray, H: np.ndarray, k: int) -> np.ndarray:
    """Search as one would write it in torch: blocks of distances, topk, merge by topk."""
    import torch

    a, h = torch.from_numpy(A), torch.from_numpy(H)
    best = torch.full((len(a), k), torch.inf)
    where = torch.zeros((len(a), k), dtype=torch.int64)
    for start in range(0, len(h), 8192):
        block = h[start : start + 8192]
        distance = torch.addmm((block * block).sum(1), a, block.T, alpha=-2)
        near, index = distance.topk(min(k, len(block)), largest=False)
        both = torch.cat([best, near], 1)
        best, chosen = both.topk(k, largest=False)
        where = torch.cat([where, index + start], 1).gather(1, chosen)
    return where.numpy()


def _peers(A: np.ndarray, H: np.ndarray, k: int) -> dict[str, Callable[[], Any]]:
    import faiss
    import torch  # noqa: F401  (loaded from the first round on)
    from sklearn.neighbors import NearestNeighbors

    from nngmix.neighbors import exact, k_nearest

    def in_single_precision() -> Any:
        with mock.patch.object(exact, "_coarse_kinds", return_value=[]):
            return k_nearest(A, H, k, n_jobs=os.cpu_count() or 1).index

    def scikit_learn() -> Any:
        near = NearestNeighbors(n_neighbors=k, algorithm="brute", n_jobs=-1).fit(H)
        return near.kneighbors(A, return_distance=False)

    return {
        "nngmix": lambda: k_nearest(A, H, k, n_jobs=os.cpu_count() or 1).index,
        "nngmix, where torch is not loaded": in_single_precision,
        "blocked torch product, topk": lambda: _torch_top_k(A, H, k),
        "scikit-learn, brute force": scikit_learn,
        "faiss, knn": lambda: faiss.knn(A, H, k)[1],
    }


def _tree(A: np.ndarray, H: np.ndarray, k: int) -> np.ndarray:
    from scipy.spatial import cKDTree

    tree = cKDTree(H, balanced_tree=False, compact_nodes=False)
    return np.asarray(tree.query(A, k=k, workers=-1)[1])


def _same(found: np.ndarray, expected: np.ndarray, A: np.ndarray, H: np.ndarray) -> float:
    """Share of neighbours found that are as near as the true ones, ties aside."""

    def distances(index: np.ndarray) -> np.ndarray:
        difference = A[:, None].astype(np.float64) - H[index]
        return np.sort(np.einsum("ijk,ijk->ij", difference, difference), axis=1)

    return float((distances(found) <= distances(expected) * (1 + 1e-5)).mean())


def search(options: argparse.Namespace) -> None:
    """1000 anomalies x 1 000 000 rows x 64."""
    A, H = table(1000, 64, 1), table(1_000_000, 64)
    calls = {"bare product": _bare(A, H), **_peers(A, H, K)}
    expected = calls["nngmix"]()
    assert isinstance(expected, np.ndarray)
    times = in_turns(calls, options.repeats)
    bare = times["bare product"]
    rows = []
    for name, took in times.items():
        ratio = statistics.median(t / b for t, b in zip(took, bare, strict=True))
        same = "" if name == "bare product" else f"{_same(calls[name](), expected, A, H):.4%}"  # type: ignore[arg-type]
        rows.append([name, _spread(took), f"{ratio:.2f}", same])
    # In 64 columns a tree visits all of itself for every query: a few tell its pace.
    few = 10
    build, whole = seconds(lambda: _tree(A[:1], H, K)), seconds(lambda: _tree(A[:few], H, K))
    took = build + max(whole - build, 0) * len(A) / (few - 1)
    rows.append(
        [
            f"scipy, KD-tree (reckoned from {few} queries)",
            f"{took:.0f}",
            f"{took / statistics.median(bare):.0f}",
            f"{_same(_tree(A[:few], H, K), expected[:few], A[:few], H):.4%}",
        ]
    )
    show(
        "Search: 1000 anomalies, 1 000 000 rows, 64 columns, float32, k = 10",
        ["", "seconds (least to most)", "x bare product", "same neighbours"],
        rows,
    )


def narrow(options: argparse.Namespace) -> None:
    """100 anomalies x 1 000 000 rows x 8."""
    A, H = table(100, 8, 1), table(1_000_000, 8)
    calls = {**_peers(A, H, K), "scipy, KD-tree": lambda: _tree(A, H, K)}
    expected = calls["nngmix"]()
    times = in_turns(calls, options.repeats)
    mine = times["nngmix"]
    rows = [
        [
            name,
            _spread(took),
            f"{statistics.median(t / m for t, m in zip(took, mine, strict=True)):.2f}",
            f"{_same(calls[name](), expected, A, H):.4%}",
        ]
        for name, took in times.items()
    ]
    show(
        "Few columns: 100 anomalies, 1 000 000 rows, 8 columns, float32, k = 10",
        ["", "seconds (least to most)", "x nngmix", "same neighbours"],
        rows,
    )


def _spread(times: list[float]) -> str:
    return f"{statistics.median(times):.3f} ({min(times):.3f} to {max(times):.3f})"


# Files ----------------------------------------------------------------------------------------


def _names() -> list[str]:
    return [f"x{i}" for i in range(COLUMNS)]


def make_files(folder: Path, n_rows: int) -> tuple[list[Path], Path]:
    """Write the table as Parquet, once: files of row groups of a million rows.

    ``label`` marks 500 labelled anomalies, spread evenly; they are also in a file of their own.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([*((name, pa.float32()) for name in _names()), ("label", pa.int8())])
    paths = [folder / f"rows-{n_rows}-{i:02}.parquet" for i in range(FILES)]
    known = folder / f"known-{n_rows}.parquet"
    if known.exists():
        return paths, known
    every = n_rows // ANOMALIES
    rng = np.random.default_rng(0)
    cases, at = [], 0
    for path in paths:
        with pq.ParquetWriter(path, schema, use_dictionary=False) as writer:
            left = n_rows // FILES
            while left:
                n = min(left, GROUP_ROWS)
                X = rng.standard_normal((n, COLUMNS), dtype=np.float32)
                label = (np.arange(at, at + n) % every == every // 2).astype(np.int8)
                X[label == 1, :4] += 2.0
                cases.append(X[label == 1])
                columns = [pa.array(np.ascontiguousarray(column)) for column in X.T]
                writer.write_table(pa.table([*columns, pa.array(label)], schema=schema))
                at, left = at + n, left - n
    X = np.concatenate(cases)
    columns = [pa.array(np.ascontiguousarray(column)) for column in X.T]
    pq.write_table(pa.table(columns, names=_names()), known)
    return paths, known


def forget(paths: Iterable[Path]) -> None:
    """Put files out of the system's cache, so that the next read comes from the disk."""
    for path in paths:
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _read_only(paths: list[Path]) -> int:
    """Read the columns with pyarrow and drop them, a row group at a time."""
    import pyarrow.parquet as pq

    n = 0
    for path in paths:
        with pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                n += file.read_row_group(group, columns=_names()).num_rows
    return n


def _scan_only(paths: list[Path]) -> int:
    """Read the columns as pyarrow's datasets stream them, and drop them."""
    import pyarrow.dataset as ds

    batches = ds.dataset([str(path) for path in paths]).to_batches(columns=_names())
    return sum(batch.num_rows for batch in batches)


def _fit(paths: list[Path], known: Path | None) -> str:
    return _digest(_fitted(paths, known).pool_)


def _fitted(paths: list[Path], known: Path | None) -> Any:
    from nngmix import NNGMix

    # In a child process "all cores" means one: its parent is taken to have shared them out.
    sampler = NNGMix(random_state=0, n_jobs=os.cpu_count())
    return sampler.fit_files(
        paths, "label", anomalies=None if known is None else known, columns=_names()
    )


def _digest(pool: Any) -> str:
    import hashlib

    digest = hashlib.sha256()
    for part in (pool.anomalies, pool.unlabelled, pool.near_anomalies, pool.near_unlabelled):
        digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()[:16]


def _pandas_scikit_learn(paths: list[Path], known: Path) -> None:
    import pandas as pd
    from sklearn.neighbors import NearestNeighbors

    X = pd.concat([pd.read_parquet(path, columns=_names()) for path in paths])
    cases = pd.read_parquet(known)
    NearestNeighbors(n_neighbors=K, algorithm="brute", n_jobs=-1).fit(X).kneighbors(cases)


def _pandas_faiss(paths: list[Path], known: Path) -> None:
    import faiss
    import pandas as pd

    X = pd.concat([pd.read_parquet(path, columns=_names()) for path in paths])
    faiss.knn(pd.read_parquet(known).to_numpy(np.float32), np.ascontiguousarray(X), K)


def _pandas_smote(paths: list[Path]) -> None:
    import pandas as pd
    from imblearn.over_sampling import SMOTE

    X = pd.concat([pd.read_parquet(path) for path in paths])
    y = X.pop("label")
    SMOTE(sampling_strategy={1: 11 * ANOMALIES}, random_state=0).fit_resample(X, y)


def pool(options: argparse.Namespace) -> None:
    """Build the pool of tens of millions of rows in Parquet."""
    with _folder(options) as folder:
        paths, known = make_files(folder, options.rows)
        size = sum(path.stat().st_size for path in paths)
        rows, repeats = [], min(options.repeats, 3)
        for state, clear in (("from disk", True), ("from the system's cache", False)):
            took: dict[str, list[float]] = {}
            peaks: dict[str, list[int]] = {}
            digests = set()
            jobs: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
                "pyarrow, merely reading": (_read_only, (paths,)),
                "pyarrow, reading as its datasets stream": (_scan_only, (paths,)),
                "pool, anomalies in a file of their own": (_fit, (paths, known)),
                "pool, anomalies among the rows": (_fit, (paths, None)),
            }
            for _ in range(repeats):
                for name, (job, arguments) in jobs.items():
                    if clear:
                        forget(paths)
                    else:
                        _read_only(paths)
                    answer = alone(job, *arguments)
                    if "error" in answer:
                        raise RuntimeError(f"{name}: {answer['error']}")
                    took.setdefault(name, []).append(answer["seconds"])
                    peaks.setdefault(name, []).append(answer["peak"])
                    if job is _fit:
                        digests.add(answer["result"])
            assert len(digests) == 1, "the same pool every time"
            reading = took["pyarrow, merely reading"]
            rows += [
                [
                    f"{name}, {state}",
                    _spread(times),
                    f"{statistics.median(t / r for t, r in zip(times, reading, strict=True)):.2f}",
                    f"{max(peaks[name]) / GIB:.2f}",
                ]
                for name, times in took.items()
            ]
        limit = options.limit * GIB
        peers: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
            "pandas, scikit-learn's brute force": (_pandas_scikit_learn, (paths, known)),
            "pandas, faiss's knn": (_pandas_faiss, (paths, known)),
            "pandas, imbalanced-learn's SMOTE": (_pandas_smote, (paths,)),
        }
        for name, (job, arguments) in peers.items():
            answer = alone(job, *arguments, limit=limit)
            outcome = answer.get("error") or f"{answer['seconds']:.1f}"
            ratio = (
                f"{answer['seconds'] / statistics.median(reading):.2f}"
                if "seconds" in answer
                else ""
            )
            rows.append([name, outcome, ratio, f"{answer.get('peak', 0) / GIB:.2f}"])
        show(
            f"{options.rows:,} rows x {COLUMNS} float32 in {FILES} Parquet files "
            f"({size / 1e9:.1f} GB), {ANOMALIES} anomalies; peers may take {options.limit} GiB",
            ["", "seconds (least to most)", "x reading", "peak GiB"],
            rows,
        )


@contextlib.contextmanager
def _folder(options: argparse.Namespace) -> Iterator[Path]:
    if options.folder is not None:
        options.folder.mkdir(parents=True, exist_ok=True)
        yield options.folder
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def cluster(options: argparse.Namespace) -> None:
    """Build the same pool on a local cluster of two workers."""
    from dask.distributed import Client, LocalCluster

    from nngmix import NNGMix
    from nngmix.sampling.cluster import fit_dask

    with _folder(options) as folder:
        paths, known = make_files(folder, options.rows)
        one = alone(_fit, paths, known)
        with (
            LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as workers,
            Client(workers),
        ):
            start = time.perf_counter()
            fitted = fit_dask(NNGMix(random_state=0), paths, "label", columns=_names())
            digest = _digest(fitted.pool_)
            took = time.perf_counter() - start
        show(
            f"{options.rows:,} rows on a cluster of two workers, one thread each",
            ["", "seconds", "pool"],
            [
                ["one process", f"{one['seconds']:.1f}", one["result"]],
                ["cluster", f"{took:.1f}", digest],
            ],
        )
        if one["result"] != digest:
            raise RuntimeError("the cluster made another pool")


# Generation -----------------------------------------------------------------------------------


def _small() -> tuple[np.ndarray, np.ndarray]:
    X = table(10_000, COLUMNS)
    X[:1000, :4] += 2.0
    return X, np.repeat([1, 0], [1000, 9000])


def _generate(threads: int, n: int) -> dict[str, Any]:
    from nngmix import NNGMix

    sampler = NNGMix(random_state=0, n_jobs=threads).fit(*_small())
    sampler.sample(1000)
    before = peak()
    start = time.perf_counter()
    out = sampler.sample(n)
    took = time.perf_counter() - start
    grown = peak() - before
    import hashlib

    digest = hashlib.sha256(out.tobytes()).hexdigest()[:16]
    return {
        "took": took,
        "grown": grown,
        "bytes": out.nbytes,
        "dtype": str(out.dtype),
        "digest": digest,
    }


def _smote(n: int) -> dict[str, Any]:
    from imblearn.over_sampling import SMOTE

    X, y = _small()
    SMOTE(sampling_strategy={1: 2000}, random_state=0).fit_resample(X, y)
    before = peak()
    start = time.perf_counter()
    out, _ = SMOTE(sampling_strategy={1: 1000 + n}, random_state=0).fit_resample(X, y)
    took = time.perf_counter() - start
    return {
        "took": took,
        "grown": peak() - before,
        "bytes": n * COLUMNS * 4,
        "dtype": str(out.dtype),
    }


def _resample(n: int) -> dict[str, Any]:
    from nngmix import NNGMix

    X, y = _small()
    sampler = NNGMix(random_state=0, sampling_strategy={1: 2000}).fit_resample(X, y)
    del sampler
    before = peak()
    start = time.perf_counter()
    out, _ = NNGMix(random_state=0, sampling_strategy={1: 1000 + n}).fit_resample(X, y)
    took = time.perf_counter() - start
    return {
        "took": took,
        "grown": peak() - before,
        "bytes": n * COLUMNS * 4,
        "dtype": str(out.dtype),
    }


def generate(options: argparse.Namespace) -> None:
    """10 million rows x 32, float32, beside imbalanced-learn's SMOTE."""
    n = options.generated
    jobs: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
        "imbalanced-learn's SMOTE, fit_resample": (_smote, (n,)),
        "nngmix, fit_resample": (_resample, (n,)),
        "nngmix, sample, 1 thread": (_generate, (1, n)),
        "nngmix, sample, 2 threads": (_generate, (2, n)),
    }
    answers: dict[str, list[dict[str, Any]]] = {name: [] for name in jobs}
    for _ in range(options.repeats):
        for name, (job, arguments) in jobs.items():
            answers[name].append(alone(job, *arguments)["result"])
    smote = [answer["took"] for answer in answers["imbalanced-learn's SMOTE, fit_resample"]]
    rows = []
    for name, many in answers.items():
        took = [answer["took"] for answer in many]
        grown = max(answer["grown"] for answer in many)
        rows.append(
            [
                name,
                _spread(took),
                f"{n / statistics.median(took) / 1e6:.1f}",
                f"{statistics.median(s / t for s, t in zip(smote, took, strict=True)):.2f}",
                f"{grown / many[0]['bytes']:.2f} ({(grown - many[0]['bytes']) / 1e6:+.0f} MB)",
                many[0]["dtype"],
            ]
        )
    digests = {answer["digest"] for name in jobs for answer in answers[name] if "digest" in answer}
    show(
        f"{n:,} generated rows x {COLUMNS}, float32; 1000 anomalies, 9000 unlabelled rows",
        ["", "seconds (least to most)", "million rows/s", "x SMOTE", "memory / output", "dtype"],
        rows,
    )
    print(f"\nRows are the same with 1 and 2 threads: {len(digests) == 1}.")


# Growth ---------------------------------------------------------------------------------------


def growth(options: argparse.Namespace) -> None:
    """How the search's cost grows with rows, columns and anomalies."""
    from nngmix.neighbors import k_nearest

    base = {"rows": 1_000_000, "columns": 32, "anomalies": 1000}
    steps = {
        "rows": [100_000, 316_000, 1_000_000, 3_160_000, 10_000_000, options.rows],
        "columns": [8, 16, 32, 64, 128, 256, 512],
        "anomalies": [10, 100, 1000, 10_000, 100_000],
    }
    found: dict[str, list[tuple[int, float, float]]] = {}
    for axis, values in steps.items():
        for value in values:
            size = {**base, axis: value}
            A = table(size["anomalies"], size["columns"], 1)
            H = table(size["rows"], size["columns"])
            calls: dict[str, Callable[[], object]] = {
                "bare": _bare(A, H),
                "nngmix": lambda A=A, H=H: k_nearest(A, H, K, n_jobs=os.cpu_count() or 1),
            }
            long = size["anomalies"] * size["rows"] * size["columns"] > 10**11
            times = in_turns(calls, 1 if long else options.repeats)
            found.setdefault(axis, []).append(
                (value, statistics.median(times["nngmix"]), statistics.median(times["bare"]))
            )
            del A, H, calls
    show(
        "How the cost grows: 1 000 000 rows, 32 columns, 1000 anomalies, one of them varied",
        ["", "", "seconds", "bare product", "ratio"],
        [
            [axis, f"{value:,}", f"{mine:.3f}", f"{bare:.3f}", f"{mine / bare:.2f}"]
            for axis, many in found.items()
            for value, mine, bare in many
        ],
    )
    if options.plot is not None:
        draw(found, options.plot)


def draw(found: dict[str, list[tuple[int, float, float]]], path: Path) -> None:
    """Draw how the cost grows: a panel an axis, both scales logarithmic."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.2), layout="constrained")
    panels = figure.subplots(1, len(found), sharey=True)
    for axes, (name, many) in zip(panels, found.items(), strict=True):
        at, mine, bare = (np.array(part, dtype=float) for part in zip(*many, strict=True))
        axes.loglog(at, mine, "o-", color="#0072b2", label="search")
        axes.loglog(at, bare, "x--", color="#606060", label="the product alone")
        axes.set_xlabel(name)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("seconds")
    panels[0].legend(frameon=False)
    figure.savefig(path)


def recall(options: argparse.Namespace) -> None:
    """Tell what the approximate engine finds, of how many, how fast."""
    from nngmix.neighbors import ApproximateNeighbors, k_nearest

    rng = np.random.default_rng(0)
    rows = []
    for kind in ("independent", "clustered"):
        for n_features in (8, 32):
            H, A = table(1_000_000, n_features), table(20_000, n_features, 1)
            if kind == "clustered":
                centres = 4 * rng.standard_normal((100, n_features), dtype=np.float32)
                H += centres[rng.integers(100, size=len(H))]
                A += centres[rng.integers(100, size=len(A))]
            start = time.perf_counter()
            exact = k_nearest(A, H, K, n_jobs=os.cpu_count() or 1).index
            exactly = time.perf_counter() - start
            for probes in (4, 16, 64):
                start = time.perf_counter()
                near = ApproximateNeighbors(K, n_probes=probes).fit(H)
                built = time.perf_counter() - start
                index = near.kneighbors(A, return_distance=False)
                took = time.perf_counter() - start
                shared = [len(set(a) & set(b)) for a, b in zip(index, exact, strict=True)]
                rows.append(
                    [
                        kind,
                        str(n_features),
                        str(probes),
                        f"{sum(shared) / exact.size:.1%}",
                        f"{built:.1f} + {took - built:.1f}",
                        f"{exactly:.1f}",
                    ]
                )
    show(
        "The approximate engine: 20 000 anomalies, 1 000 000 rows, k = 10, 1000 lists",
        ["rows", "columns", "lists probed", "found", "seconds (sort + search)", "exact search"],
        rows,
    )


STEPS = {step.__name__: step for step in (search, narrow, pool, cluster, generate, growth, recall)}


def main() -> None:
    """Run the steps named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("steps", nargs="*", metavar="STEP", help=", ".join(STEPS))
    parser.add_argument("--folder", type=Path, help="keep the Parquet files here")
    parser.add_argument("--rows", type=int, default=50_000_000)
    parser.add_argument("--generated", type=int, default=10_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--limit", type=int, default=20, help="GiB that a peer may take")
    parser.add_argument("--plot", type=Path, help="draw how the cost grows")
    options = parser.parse_args()
    unknown = set(options.steps) - set(STEPS)
    if unknown:
        parser.error(f"no such step: {', '.join(sorted(unknown))}; there are {', '.join(STEPS)}")
    import platform

    print(json.dumps({"cores": os.cpu_count(), "machine": platform.machine()}))
    for name in options.steps or STEPS:
        STEPS[name](options)


if __name__ == "__main__":
    main()
