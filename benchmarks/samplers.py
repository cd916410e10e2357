"""Rows a second and memory of every sampler, beside imbalanced-learn's, in one run.

Usage: python benchmarks/samplers.py [--repeats 5] [--threads 1 2]

"x SMOTE" is the median, over pairs run in turns, of SMOTE's time by the sampler's: above 1 the
sampler is faster.

The table: 1000 labelled anomalies and 9000 unlabelled rows of 32 float64 columns; 10^3, 10^5 and
10^6 rows to generate. Each time is that of a whole ``fit_resample`` of a table that needs them, so
the search for neighbours and the joining of old and new rows count for all. "loop" is the public
program's manner written plainly: for every row a KD-tree query, two noise draws and a ``vstack``,
timed on 500 rows and reckoned at that pace (its ``vstack`` makes it slower still with more rows).
NPOS costs a thousand distances to every unlabelled row for each pair of rows, so few of its rows
are timed too. BorderlineSMOTE and ADASYN refuse some tables; here the classes overlap enough.

Memory is the growth of the largest resident size during ``sample``, as a multiple of the bytes of
its output (Linux only).
"""

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Callable

import numpy as np
from imblearn.over_sampling import ADASYN, SMOTE, BorderlineSMOTE
from scipy.spatial import KDTree

from nngmix import Chain, CutMix, Cutout, GaussianNoise, Mixup, NNGMix
from nngmix.sampling import SAMPLERS

N_ANOMALIES, N_UNLABELLED, N_FEATURES = 1000, 9000, 32
COUNTS = (1_000, 100_000, 1_000_000)


def make() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N_ANOMALIES + N_UNLABELLED, N_FEATURES))
    X[:N_ANOMALIES] += 0.4
    y = np.repeat([1, 0], [N_ANOMALIES, N_UNLABELLED])
    return (X - X.min(axis=0)) / np.ptp(X, axis=0), y


def loop(X: np.ndarray, y: np.ndarray, n: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    anomalies, unlabelled = X[y == 1], X[y == 0]
    tree = KDTree(unlabelled)
    out = np.empty((0, X.shape[1]))
    for _ in range(n):
        a = anomalies[rng.integers(len(anomalies))]
        b = unlabelled[rng.choice(tree.query(a, k=10)[1])]
        weight = rng.beta(0.2, 0.2)
        first = a + rng.normal(0, 0.01, X.shape[1])
        second = b + rng.normal(0, 0.01, X.shape[1])
        out = np.vstack([out, weight * first + (1 - weight) * second])
    return out


def seconds(call: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def samplers(threads: int) -> dict[str, object]:
    made: dict[str, object] = {}
    for name, kind in SAMPLERS.items():
        settings = {"scaling": None, "random_state": 0, "n_jobs": threads}
        known = kind().get_params()
        made[name] = kind(**{k: v for k, v in settings.items() if k in known})
    made["NNGMix, no neighbours"] = NNGMix(
        n_neighbors=None, scaling=None, random_state=0, n_jobs=threads
    )
    made["Mixup, partner all"] = Mixup(partner="all", random_state=0, n_jobs=threads)
    made["Cutout + noise"] = Chain(
        [Cutout(), GaussianNoise()], scaling=None, random_state=0, n_jobs=threads
    )
    made["CutMix + noise"] = Chain(
        [CutMix(), GaussianNoise()], scaling=None, random_state=0, n_jobs=threads
    )
    return made


def _peak() -> int:
    # Not getrusage: a child's figure there starts from its parent's.
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


def _grow(name: str, n: int, queue: "multiprocessing.Queue[float]") -> None:
    sampler = samplers(1)[name].fit(*make())  # type: ignore[attr-defined]
    sampler.sample(1000)
    before = _peak()
    out = sampler.sample(n)
    queue.put((_peak() - before) / out.nbytes)


def memory(name: str, n: int) -> float:
    """Growth of the peak resident size in a process of its own, in bytes of the output."""
    context = multiprocessing.get_context("spawn")
    queue: multiprocessing.Queue[float] = context.Queue()
    process = context.Process(target=_grow, args=(name, n, queue))
    process.start()
    grown = queue.get()
    process.join()
    return grown


def _first(name: str, n: int, queue: "multiprocessing.Queue[float]") -> None:
    X, y = make()

    def run(rows: int) -> None:
        target = {1: N_ANOMALIES + rows}
        sampler = SMOTE(random_state=0) if name == "SMOTE" else samplers(-1)[name]
        sampler.set_params(sampling_strategy=target)  # type: ignore[attr-defined]
        sampler.fit_resample(X, y)  # type: ignore[attr-defined]

    run(1000)  # imports and thread pools
    queue.put(seconds(lambda: run(n), 1))


def first_calls(repeats: int) -> None:
    """Time the first large call of a process, which is what a user's script makes.

    A loop hands memory from one call to the next; a first call must get it from the system, and
    methods that make large intermediate arrays pay for each.
    """
    n = COUNTS[-1]
    names = ("SMOTE", "NNGMix", "Mixup", "Cutout", "CutMix", "GaussianNoise", "RoSAS")
    context = multiprocessing.get_context("spawn")
    times: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(repeats):
        for name in names:
            queue: multiprocessing.Queue[float] = context.Queue()
            process = context.Process(target=_first, args=(name, n, queue))
            process.start()
            times[name].append(queue.get())
            process.join()
    print(f"\nfirst call of a process, {n:,} rows, all cores: seconds (least to most), x SMOTE")
    for name in names:
        low, median, high = min(times[name]), statistics.median(times[name]), max(times[name])
        ratios = [a / b for a, b in zip(times["SMOTE"], times[name], strict=True)]
        print(f"{name:34}{median:8.3f} ({low:.3f} to {high:.3f}){statistics.median(ratios):8.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--first-calls-only", action="store_true")
    options = parser.parse_args()
    if options.first_calls_only:
        first_calls(options.repeats)
        return
    X, y = make()
    print(f"{'':34}" + "".join(f"{n:>22,} rows" for n in COUNTS))
    print(f"{'sampler':34}" + f"{'rows/s':>15}{'x SMOTE':>11} " * len(COUNTS) + "  memory")

    def smote(n: int) -> Callable[[], object]:
        peer = SMOTE(sampling_strategy={1: N_ANOMALIES + n}, random_state=0)
        return lambda: peer.fit_resample(X, y)

    def show(name: str, call: Callable[[int], Callable[[], object]], most: int, tail: str) -> None:
        line = f"{name:34}"
        for n in COUNTS:
            some = min(n, most)
            if some < n:
                base = seconds(call(1), 1)  # what does not grow with the rows
                took = base + (seconds(call(some), 1) - base) * n / some
                ratio = seconds(smote(n), 1) / took
            else:
                # In turns, so that both meet the machine in the same mood; the ratio is that of
                # the pairs.
                pairs = [
                    (seconds(smote(n), 1), seconds(call(n), 1)) for _ in range(options.repeats)
                ]
                took = statistics.median(mine for _, mine in pairs)
                ratio = statistics.median(peer / mine for peer, mine in pairs)
            line += f"{n / took:>15,.0f}{ratio:>11.2f} "
        print(line + tail, flush=True)

    for kind in (SMOTE, BorderlineSMOTE, ADASYN):
        show(
            kind.__name__,
            lambda n, kind=kind: (
                lambda: kind(sampling_strategy={1: N_ANOMALIES + n}, random_state=0).fit_resample(
                    X, y
                )
            ),
            10**9,
            "",
        )
    show("loop, the public program's manner", lambda n: lambda: loop(X, y, n), 500, "")
    for threads in options.threads:
        for name, sampler in samplers(threads).items():
            grown = f"{memory(name, 1_000_000):8.2f} x" if threads == 1 and name != "NPOS" else ""
            label = name if threads == 1 else f"{name}, {threads} threads"

            def call(n: int, sampler: object = sampler) -> Callable[[], object]:
                target = {1: N_ANOMALIES + n}
                sampler.set_params(sampling_strategy=target)  # type: ignore[attr-defined]
                return lambda: sampler.fit_resample(X, y)  # type: ignore[attr-defined]

            show(label, call, 100 if name == "NPOS" else 10**9, grown)
    first_calls(options.repeats)


if __name__ == "__main__":
    main()
