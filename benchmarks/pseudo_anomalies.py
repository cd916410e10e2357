"""When pseudo-anomalies help: the study behind docs/pseudo-anomalies.md.

    python benchmarks/pseudo_anomalies.py --store STORE --data ADBENCH_FOLDER  # run what is missing
    python benchmarks/pseudo_anomalies.py --store STORE --export   # keep the cells, fill the page
    python benchmarks/pseudo_anomalies.py                          # fill the page from kept cells
    python benchmarks/pseudo_anomalies.py --check         # does the page say what they hold?

Cells run one after another in this process, on one core; a second call goes on where the first
stopped. Those that results/adbench.parquet holds are taken from there. The study's own are kept in
results/pseudo_anomalies.parquet. A table of the page stands between <!-- NAME --> and <!-- end -->;
all else is written by hand.
"""

import argparse
import math
import re
import sys
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
from scipy import stats

from nngmix.datasets import list_adbench
from nngmix.detectors import DETECTORS, BaggedTrees
from nngmix.experiments import (
    Cell,
    Failure,
    Store,
    read_results,
    run_cell,
    write_parquet,
)
from nngmix.experiments.figures import Picture
from nngmix.experiments.report import describe_runs
from nngmix.experiments.statistics import holm, paired
from nngmix.plotting import new_figure
from nngmix.plotting.style import BLUE, DARK_GREY, VERMILION, signed
from nngmix.sampling import SAMPLERS
from nngmix.sampling.base import BaseSampler
from nngmix.sampling.mixing import draw_unlabelled
from nngmix.sampling.pool import Needs

ROOT = Path(__file__).resolve().parents[1]
PUBLISHED_GRID = ROOT / "results" / "adbench.parquet"
CELLS = ROOT / "results" / "pseudo_anomalies.parquet"
PAGE = ROOT / "docs" / "pseudo-anomalies.md"
IMAGES = ROOT / "docs" / "images"

# The two ideas -----------------------------------------------------------------------------------


class _Idea(BaseSampler):
    """A labelled anomaly moved by something that the unlabelled rows say about the columns."""

    scaling = None

    def __init__(self, *, multiplier=10, width=0.3, random_state=None, n_jobs=1):
        self.multiplier = multiplier
        self.width = width
        self.random_state = random_state
        self.n_jobs = n_jobs

    _parameter_constraints = {
        name: BaseSampler._parameter_constraints[name]
        for name in ("multiplier", "random_state", "n_jobs")
    }
    sampling_strategy = None
    categorical_features = "dtype"

    def _needs(self):
        return Needs(drawn=True)


class SpreadNoise(_Idea):
    """Gaussian noise, in each column `width` times the column's deviation in unlabelled rows."""

    def _prepare(self, pool):
        mean = np.average(pool.drawn, axis=0, weights=pool.drawn_times)
        return np.sqrt(np.average((pool.drawn - mean) ** 2, axis=0, weights=pool.drawn_times))

    def _transform(self, pool, anomaly, rows, rng):
        rows += self.width * pool.extra * rng.standard_normal(rows.shape)


class BorrowedDifference(_Idea):
    """`width` times the difference of two random unlabelled rows: columns move together.

    Divided by the root of two, so that a column moves as far as with SpreadNoise.
    """

    def _transform(self, pool, anomaly, rows, rng):
        difference = draw_unlabelled(pool, len(rows), rng) - draw_unlabelled(pool, len(rows), rng)
        rows += self.width / np.sqrt(2) * difference


def make_inside(sampler="GaussianNoise", sigma=None, width=None, random_state=None, n_jobs=1):
    """Bagged trees with a sampler of their own; a cell's settings can't hold a sampler."""
    given = {"sigma": sigma, "width": width}
    own = {name: value for name, value in given.items() if value is not None}
    if sampler != "Duplicate":
        own |= {"n_jobs": 1}
    if "scaling" in SAMPLERS[sampler]().get_params():
        own |= {"scaling": None}
    return BaggedTrees(
        sampler=SAMPLERS[sampler](multiplier=1, **own),
        random_state=random_state,
        n_jobs=n_jobs,
        **dict(PLAIN_TREES),
    )


# The grid ----------------------------------------------------------------------------------------

# What were BaggedTrees' defaults when the cells were run.
PLAIN_TREES = (("min_unlabelled", 30), ("shrinkage", 0.0))

SIGMAS = (0.01, 0.03, 0.1, 0.3)
WIDTHS = (0.1, 0.3, 1.0)
NOISY = ("GaussianNoise", "NNGMix")

# With these CatBoost takes as long as with all the others.
SLOW = ("Classical/17_InternetAds", "Classical/25_musk")

# A method is a sampler's name and its settings.
NONE, DUPLICATE = ("none", ()), ("Duplicate", ())
MIXERS = [(name, ()) for name in ("Mixup", "Cutout", "CutMix")]
IDEAS = [(name, (("width", w),)) for name in ("SpreadNoise", "BorrowedDifference") for w in WIDTHS]

# The width of each with the best mean rank on the first half of the files.
CHOSEN = [(name, (("width", 0.3),)) for name in ("SpreadNoise", "BorrowedDifference")]


def noisy(*sigmas):
    """Gaussian noise and NNG-Mix of some widths; the default's has no setting to its name."""
    return [(name, (("sigma", s),) if s != 0.01 else ()) for name in NOISY for s in sigmas]


def make_cell(detector, method, dataset, seed, ratio=0.01, pollution=1.0):
    """Make the cell of a method: bagged trees take 1x, all others 10x."""
    sampler, settings = method
    if detector == "BaggedTreesInside" and method == NONE:
        detector = "BaggedTrees"
    if detector == "BaggedTreesInside":
        own = (("sampler", sampler), *settings)
        if sampler in NOISY and not settings:
            own += (("sigma", 0.01),)
        return Cell(dataset, "none", detector, 0, ratio, pollution, "adbench", seed, (), own)
    own = {"DeepSAD": (("pretrain", False),), "BaggedTrees": (("sampler", None), *PLAIN_TREES)}
    multiplier = 1 if detector == "BaggedTrees" else 10
    return Cell(
        dataset,
        sampler,
        detector,
        multiplier,
        ratio,
        pollution,
        "adbench",
        seed,
        settings,
        own.get(detector, ()),
    )


def list_grid(names):
    """List the study's cells: blocks that are worth most for their time come first.

    It is longer than what was run: a run that is stopped has whole comparisons all the same.
    """
    everything = [NONE, DUPLICATE, *MIXERS, *noisy(*SIGMAS)]
    evens, odds = names[::2], names[1::2]
    quick = [name for name in names if name not in SLOW]

    def block(detector, methods, names=names, seeds=(0,), **where):
        return [
            make_cell(detector, method, name, seed, **where)
            for seed in seeds
            for name in names
            for method in methods
        ]

    def ideas(seeds, names, methods=IDEAS):
        return [
            cell
            for detector in ("BaggedTrees", "DeepSAD", "MLP")
            for cell in block(detector, methods, names, seeds)
        ]

    return (
        block("DeepSAD", everything)
        + block("MLP", everything)
        + block("BaggedTrees", everything)
        + block("BaggedTreesInside", everything)
        + ideas((0,), evens)
        + ideas((0,), odds, CHOSEN)
        + block("DeepSAD", [NONE, DUPLICATE, *noisy(0.01, 0.1, 0.3)], ratio=0.1)
        + block("BaggedTrees", everything, ratio=0.1)
        + block("BaggedTrees", [NONE, DUPLICATE, *noisy(0.1)], ratio=0.05)
        + block("BaggedTrees", [NONE, DUPLICATE, *noisy(0.1)], ratio=0.5)
        + block("BaggedTrees", [NONE, DUPLICATE, *noisy(0.1)], pollution=0.0)
        + block("BaggedTrees", everything, seeds=(1,))
        + block("DeepSAD", everything, seeds=(1,))
        + ideas((1,), names, CHOSEN)
        + block("MLP", everything, seeds=(1,))
        + block("CatBoost", noisy(0.1))
        + block("MLP", [NONE, DUPLICATE, noisy(0.01)[1]], pollution=0.0)
        + block("CatBoost", [NONE, DUPLICATE, *noisy(0.1)], quick, seeds=(1,))
        + block("BaggedTrees", everything, seeds=(2,))
        + block("CatBoost", [NONE, DUPLICATE, *noisy(0.1)], quick, seeds=(2,))
        + block("BaggedTreesInside", everything, seeds=(1,))
        + block("DeepSAD", everything, seeds=(2,))
        + ideas((2,), names, CHOSEN)
        + block("MLP", everything, seeds=(2,))
        + block("BaggedTreesInside", everything, seeds=(2,))
    )


def run(store_path, data, budget):
    """Run what neither the store nor the published grid has."""
    # By these names cells find them.
    SAMPLERS.update(SpreadNoise=SpreadNoise, BorrowedDifference=BorrowedDifference)
    DETECTORS["BaggedTreesInside"] = make_inside
    known = read_results(PUBLISHED_GRID)
    names = sorted(f"Classical/{path.stem}" for path in Path(data, "Classical").glob("*.npz"))
    cells = [c for c in dict.fromkeys(list_grid(names)) if known.outcome(c) is None]
    start = time.monotonic()
    with Store(store_path) as store:
        done = store.results()
        todo = [cell for cell in cells if cell not in done.records]
        print(f"{len(cells)} cells, {len(todo)} to run", flush=True)
        for number, cell in enumerate(todo, 1):
            if time.monotonic() - start > budget:
                break
            if store.claim(cell) != "ours":
                continue
            try:
                result = run_cell(cell, data_home=data)
            except Exception as error:
                result = Failure(cell, f"{type(error).__name__}: {error}", 0.0)
            store.record(result)
            if isinstance(result, Failure) or number % 50 == 0:
                print(f"{time.monotonic() - start:.0f} s, {number}: {result}", flush=True)


# A single anomaly among its 3000 test rows, and a single labelled one: its AUCROC can be anything.
ONE_FILE = "Classical/34_smtp"

# What is found -----------------------------------------------------------------------------------

LABELS = {
    "DeepSAD": "DeepSAD",
    "MLP": "MLP",
    "BaggedTrees": "BaggedTrees, in front",
    "BaggedTreesInside": "BaggedTrees, inside",
    "CatBoost": "CatBoost",
    "XGBOD": "XGBOD",
}


class Findings:
    """The cells of the study and of the published grid, asked for by detector and method."""

    def __init__(self, results):
        known = read_results(PUBLISHED_GRID)
        # Of cells that differ in nothing but the dataset: each dataset's AUCROC.
        self.scores = defaultdict(dict)
        for outcome in [*known.outcomes, *results.outcomes]:
            cell = outcome.cell
            if cell.dataset.startswith("Classical/"):
                self.scores[_without_dataset(cell)][cell.dataset] = outcome.aucroc
        catalogue = {file.full_name: file for file in list_adbench("Classical")}
        self.names = sorted(set().union(*self.scores.values()))
        self.files = [catalogue[name] for name in self.names]

    def table(self, detector, methods, *, names=None, first=0, most=3, **where):
        """Take each dataset's mean over the seeds that all methods have; a row is a method's."""
        names = self.names if names is None else names
        found = {}
        for seed in range(first, most):
            rows = [self.row(detector, method, seed, **where) for method in methods]
            if all(name in row for row in rows for name in names):
                found[seed] = [[row[name] for name in names] for row in rows]
        if not found:
            return None, []
        return np.mean(list(found.values()), axis=0), list(found)

    def level(self, detector, method, seeds):
        """Write the mean over datasets, and between seeds its standard deviation."""
        means = [np.mean([*self.row(detector, method, seed).values()]) for seed in seeds]
        spread = f" ± {np.std(means, ddof=1):.3f}" if len(means) > 1 else ""
        return f"{np.mean(means):.3f}{spread}"

    def row(self, detector, method, seed, **where):
        """Look up each dataset's AUCROC."""
        return self.scores[_without_dataset(make_cell(detector, method, "", seed, **where))]

    def labelled(self, ratio):
        """About how many anomalies each dataset has labelled: a seed's draw may have one more."""
        counts = []
        for file in self.files:
            rows = min(max(file.n_rows, 1_000), 10_000)
            n = round(0.7 * file.n_anomalies * rows / file.n_rows)
            first = math.ceil(round(max(ratio, 0.1) * n, 9)) or 1
            counts.append(math.ceil(round(min(ratio / 0.1, 1) * first, 9)) or 1)
        return np.array(counts)


def _without_dataset(cell):
    return (
        cell.sampler,
        cell.sampler_settings,
        cell.detector,
        cell.detector_settings,
        cell.multiplier,
        cell.label_ratio,
        cell.pollution_ratio,
        cell.protocol,
        cell.seed,
    )


def name_of(method):
    sampler, settings = method
    label = {
        "none": "no pseudo-anomalies",
        "NNGMix": "NNG-Mix",
        "GaussianNoise": "noise",
        "SpreadNoise": "noise by spread",
        "BorrowedDifference": "borrowed difference",
    }.get(sampler, sampler)
    if sampler in NOISY:
        label += f" {dict(settings).get('sigma', 0.01):g}"
    return label + "".join(f" {value:g}" for key, value in settings if key == "width")


def probability(p):
    return "< 0.001" if p < 0.0005 else f"{p:.3f}"


def verdict(found, p):
    """Write a comparison; bold where p is below 0.05."""
    text = (
        f"{signed(found.mean_difference)} / {signed(found.median_difference)} "
        f"({found.wins}–{found.losses}, {probability(p)})"
    )
    return f"**{text}**" if p < 0.05 else text


def span(seeds):
    return f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {seeds[0]} to {seeds[-1]}"


def as_table(header, lines):
    marks = ["---"] + ["--:"] * (len(header) - 1)
    return "\n".join(f"| {' | '.join(line)} |" for line in [header, marks, *lines])


def make_samplers(found):
    """Hold every sampler against copies, detector by detector."""
    methods = [NONE, *MIXERS, *noisy(*SIGMAS), ("NPOS", ()), ("RoSAS", ())]
    header, columns = ["sampler"], []
    for detector, label in LABELS.items():
        have = [m for m in methods if found.table(detector, [DUPLICATE, m], most=1)[1]]
        values, seeds = found.table(detector, [DUPLICATE, *have])
        tests = [paired(row, values[0]) for row in values[1:]]
        corrected = holm([test.p_value for test in tests])
        column = {m: verdict(t, p) for m, t, p in zip(have, tests, corrected, strict=True)}
        header.append(f"{label}<br>{span(seeds)}")
        columns.append({DUPLICATE: found.level(detector, DUPLICATE, seeds)} | column)
    lines = [
        [name_of(m), *(column.get(m, "–") for column in columns)] for m in [DUPLICATE, *methods]
    ]
    return as_table(header, lines)


def make_grid(heading, found, pairs):
    """Hold a method of some width against another one: detectors down, widths across."""
    lines, tests = {}, []
    for detector, label in LABELS.items():
        for ratio in (0.01, 0.1):
            # One line has one set of seeds.
            have = [s for s in pairs if found.table(detector, pairs[s], ratio=ratio)[1]]
            values, seeds = found.table(
                detector, [method for s in have for method in pairs[s]], ratio=ratio
            )
            if have and seeds:
                line = lines.setdefault(f"{label}, {ratio:.0%} labelled, {span(seeds)}", {})
                for at, sigma in enumerate(have):
                    line[sigma] = len(tests)
                    tests.append(paired(values[2 * at], values[2 * at + 1]))
    corrected = holm([test.p_value for test in tests])
    texts = [verdict(test, p) for test, p in zip(tests, corrected, strict=True)]
    return as_table(
        [heading, *(f"σ = {sigma:g}" for sigma in pairs)],
        [
            [label, *(texts[line[s]] if s in line else "–" for s in pairs)]
            for label, line in lines.items()
        ],
    )


def make_same_noise(found):
    """Hold NNG-Mix against plain noise of the same width."""
    return make_grid("NNG-Mix less noise", found, {s: noisy(s)[::-1] for s in SIGMAS})


def make_wider(found):
    """Hold NNG-Mix with wider noise against NNG-Mix with the paper's."""
    pairs = {s: [noisy(s)[1], noisy(0.01)[1]] for s in SIGMAS[1:]}
    return make_grid("NNG-Mix σ less NNG-Mix 0.01", found, pairs)


def make_against_none(found):
    """Hold what is most used against training without any pseudo-anomalies."""
    methods = [DUPLICATE, noisy(0.01)[1], noisy(0.1)[1], noisy(0.1)[0]]
    cells, tests, first = [], [], []
    for detector, label in LABELS.items():
        have = [m for m in methods if found.table(detector, [NONE, m], most=1)[1]]
        values, seeds = found.table(detector, [NONE, *have])
        first.append([f"{label}<br>{span(seeds)}", found.level(detector, NONE, seeds)])
        cells += [(detector, method) for method in have]
        tests += [paired(row, values[0]) for row in values[1:]]
    corrected = holm([test.p_value for test in tests])
    texts = {cell: verdict(t, p) for cell, t, p in zip(cells, tests, corrected, strict=True)}
    lines = [
        [*start, *(texts.get((detector, method), "–") for method in methods)]
        for detector, start in zip(LABELS, first, strict=True)
    ]
    return as_table(["detector", "none", *map(name_of, methods)], lines)


def make_one_file(found):
    """Show the gain of wider noise with trees, with and without one file."""
    rest = [name for name in found.names if name != ONE_FILE]
    cases = [
        *[("BaggedTrees", method, 0.01) for method in noisy(0.1, 0.3)],
        *[("BaggedTreesInside", method, 0.01) for method in noisy(0.1)],
        *[("BaggedTrees", method, ratio) for ratio in (0.05, 0.1) for method in noisy(0.1)],
        *[("CatBoost", method, 0.01) for method in noisy(0.1)],
    ]
    labels, tests = [], []
    for detector, method, ratio in cases:
        every, seeds = found.table(detector, [method, NONE], ratio=ratio)
        without, _ = found.table(detector, [method, NONE], names=rest, ratio=ratio)
        labels.append(f"{LABELS[detector]}: {name_of(method)}, {ratio:.0%} labelled, {span(seeds)}")
        tests += [paired(*every), paired(*without)]
    corrected = holm([test.p_value for test in tests])
    texts = [verdict(test, p) for test, p in zip(tests, corrected, strict=True)]
    lines = zip(labels, texts[::2], texts[1::2], strict=True)
    return as_table(["less none", "30 datasets", f"without {ONE_FILE.split('/')[1]}"], lines)


def make_catboost(found):
    """Hold wider noise with CatBoost against none and copies: seed 0, then the other seeds."""
    quick = [name for name in found.names if name not in SLOW]
    places = [(found.names, 0, 1), (quick, 1, 3)]
    header, lines, tests = ["CatBoost, 1% labelled"], {}, []
    for names, first, most in places:
        methods = [NONE, DUPLICATE, *noisy(0.1)]
        values, seeds = found.table("CatBoost", methods, names=names, first=first, most=most)
        header.append(f"{len(names)} datasets, {span(seeds)}")
        for method, row in zip(methods[2:], values[2:], strict=True):
            for rival, other in zip(methods[:2], values[:2], strict=True):
                label = f"{name_of(method)} less {name_of(rival)}"
                lines.setdefault(label, []).append(len(tests))
                tests.append(paired(row, other))
    corrected = holm([test.p_value for test in tests])
    texts = [verdict(test, p) for test, p in zip(tests, corrected, strict=True)]
    return as_table(header, [[label, *(texts[i] for i in line)] for label, line in lines.items()])


# What is followed over labels, contamination and datasets: a detector, a method, and what it is
# held against.
FOLLOWED = [
    ("DeepSAD", noisy(0.01)[1], DUPLICATE),
    ("MLP", noisy(0.01)[1], DUPLICATE),
    ("CatBoost", noisy(0.01)[1], DUPLICATE),
    ("BaggedTrees", noisy(0.1)[1], DUPLICATE),
    ("BaggedTrees", noisy(0.1)[0], DUPLICATE),
]


def describe(detector, method, against):
    return f"{LABELS[detector].split(',')[0]}: {name_of(method)} less {name_of(against)}"


def make_series(found, heading, places, *, mosts=(1,)):
    """Follow methods over some settings: a line a method, a column a setting.

    A line has the same seeds and datasets throughout, so that its columns can be compared.
    """
    lines, tests = {}, []
    for detector, method, against in FOLLOWED:
        names = found.names
        if detector == "CatBoost":
            # With more labels it was run on the quick ones only.
            quick = [set(found.row(detector, m, 0, ratio=0.1)) for m in (method, against)]
            names = sorted(set.intersection(*quick))
        for most in mosts:
            for place, where in places.items():
                values, seeds = found.table(
                    detector, [method, against], names=names, most=most, **where
                )
                if len(seeds) > min(1, most - 1):
                    label = f"{describe(detector, method, against)}<br>{len(names)} datasets"
                    line = lines.setdefault(f"{label}, {span(seeds)}", {})
                    line[place] = len(tests)
                    tests.append(paired(*values))
    corrected = holm([test.p_value for test in tests])
    texts = [verdict(test, p) for test, p in zip(tests, corrected, strict=True)]
    return as_table(
        [heading, *places],
        [
            [label, *(texts[line[place]] if place in line else "–" for place in places)]
            for label, line in lines.items()
            if len(line) > 1 or len(mosts) > 1
        ],
    )


def make_labels(found):
    ratios = (0.01, 0.05, 0.1, 0.2, 0.5, 1.0)
    places = {f"{ratio:.0%}": {"ratio": ratio} for ratio in ratios}
    return make_series(found, "share labelled", places, mosts=(1, 5))


def make_pollution(found):
    shares = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    places = {f"{share:.0%}": {"pollution": share} for share in shares}
    return make_series(found, "hidden that stay", places)


def make_datasets(found):
    """Tell on which datasets a method gains over copies: rank correlations."""
    files = found.files
    facts = {
        "labelled anomalies": found.labelled(0.01),
        "columns": np.array([file.n_features for file in files]),
        "share of anomalies": np.array([file.n_anomalies / file.n_rows for file in files]),
    }
    lines, ps = [], []
    for line in FOLLOWED:
        detector, method, against = line
        values, seeds = found.table(detector, [method, against])
        gain = np.round(values[0] - values[1], 10)
        tests = [stats.spearmanr(gain, fact) for fact in facts.values()]
        lines.append((f"{describe(*line)}, {span(seeds)}", tests))
        ps += [test.pvalue for test in tests]
    corrected = iter(holm(ps))
    return as_table(
        ["gain, against the dataset's", *facts],
        [
            [label, *(f"{signed(t.statistic, 2)} ({probability(next(corrected))})" for t in tests)]
            for label, tests in lines
        ],
    )


IDEAS_AT = ("BaggedTrees", "DeepSAD", "MLP")


def make_choice(found):
    """Show the ideas' widths on the first half of the files, with mean ranks among the widths."""
    names = found.names[::2]
    existing = [DUPLICATE, *noisy(0.01), *noisy(0.1)]
    header, columns, ranks = ["sampler"], [], []
    for detector in IDEAS_AT:
        values, seeds = found.table(detector, [*existing, *IDEAS], names=names, most=1)
        header.append(f"{LABELS[detector]}<br>{span(seeds)}")
        columns.append([f"{value:.3f}" for value in values.mean(axis=1)])
        of_idea = -values[len(existing) :].round(10).reshape(-1, len(WIDTHS), len(names))
        ranks.append(stats.rankdata(of_idea, axis=1).mean(axis=2).ravel())
    header.append("mean rank of its width")
    columns.append(["–"] * len(existing) + [f"{rank:.2f}" for rank in np.mean(ranks, axis=0)])
    return as_table(header, zip(map(name_of, [*existing, *IDEAS]), *columns, strict=True))


def make_confirmation(found):
    """Hold the ideas, as chosen, against what there is on the other half."""
    names = found.names[1::2]
    rivals = [DUPLICATE, noisy(0.01)[1], noisy(0.1)[0], noisy(0.1)[1]]
    tests, header = [], ["idea, less", *()]
    for detector in IDEAS_AT:
        values, seeds = found.table(detector, [*CHOSEN, *rivals], names=names)
        header.append(f"{LABELS[detector]}<br>{span(seeds)}")
        for idea, row in zip(CHOSEN, values, strict=False):
            for rival, other in zip(rivals, values[len(CHOSEN) :], strict=True):
                tests.append((detector, idea, rival, paired(row, other)))
    corrected = holm([test.p_value for *_, test in tests])
    cells = {
        (detector, idea, rival): verdict(test, p)
        for (detector, idea, rival, test), p in zip(tests, corrected, strict=True)
    }
    lines = [
        [
            f"{name_of(idea)}, less {name_of(rival)}",
            *(cells[detector, idea, rival] for detector in IDEAS_AT),
        ]
        for idea in CHOSEN
        for rival in rivals
    ]
    return as_table(header, lines)


def make_costs(found, results):
    lines = []
    for run in describe_runs(results):
        lines.append(
            f"- {run['cells']:,} cells, {run['hours']:.1f} hours of computing, {run['first']}: "
            f"{run['machine']}; {run['versions']}"
        )
    return "\n".join(lines)


# Pictures ----------------------------------------------------------------------------------------


def interval(gain, rng):
    """Where the mean over datasets lies, were the datasets drawn anew: 95 % of 2000 draws."""
    means = rng.choice(gain, (2000, len(gain))).mean(axis=1)
    return np.percentile(means, [2.5, 97.5])


def draw_sigma(found):
    """Draw the gain over copies by the noise's width."""
    rng = np.random.default_rng(0)
    figure = new_figure(8.5, 5.6)
    panels = figure.subplots(2, 2, sharex=True)
    for panel, detector in zip(panels.flat, list(LABELS)[:4], strict=True):
        for at, (name, colour, mark) in enumerate(
            zip(("noise", "NNG-Mix"), (BLUE, VERMILION), "so", strict=True)
        ):
            methods = [noisy(sigma)[at] for sigma in SIGMAS]
            values, seeds = found.table(detector, [DUPLICATE, *methods])
            gains = values[1:] - values[0]
            ends = np.array([interval(gain, rng) for gain in gains])
            x = np.array(SIGMAS) * (0.97, 1.03)[at]
            panel.fill_between(x, *ends.T, color=colour, alpha=0.15, lw=0)
            panel.plot(x, gains.mean(axis=1), color=colour, marker=mark, ms=5, label=name)
            if "Trees" in detector:
                rest = np.array([name != ONE_FILE for name in found.names])
                label = f"{name}, without {ONE_FILE.split('/')[1]}"
                panel.plot(x, gains[:, rest].mean(axis=1), color=colour, ls=":", label=label)
        panel.axhline(0, color=DARK_GREY, lw=1, ls="--")
        panel.set_xscale("log")
        panel.set_xticks(SIGMAS, [f"{sigma:g}" for sigma in SIGMAS])
        panel.minorticks_off()
        panel.set_title(f"{LABELS[detector]} ({span(seeds)})", fontsize=10)
        panel.grid(axis="y", color="#e8e8e8")
        panel.set_axisbelow(True)
        panel.tick_params(labelsize=9)
    for panel in panels[1]:
        panel.set_xlabel("σ of the noise, of a column's range", fontsize=9)
    figure.supylabel("AUCROC less that of copies, mean of 30 datasets", fontsize=9)
    panels[1, 0].legend(frameon=False, fontsize=9, loc="upper left")
    return figure


def draw_labels(found):
    """Draw each dataset's gain by how many anomalies are labelled."""
    cases = [("DeepSAD", noisy(0.01)[1]), ("MLP", noisy(0.01)[1]), ("BaggedTrees", noisy(0.1)[1])]
    figure = new_figure(9, 3.6)
    panels = figure.subplots(1, 3, sharex=True, sharey=True)
    looks = {
        0.01: {"c": BLUE, "marker": "o", "s": 20, "alpha": 0.8},
        0.1: {"c": VERMILION, "marker": "^", "s": 20, "alpha": 0.8},
    }
    for panel, (detector, method) in zip(panels, cases, strict=True):
        for ratio, top in zip(looks, (0.12, 0.108), strict=True):
            values, seeds = found.table(detector, [method, DUPLICATE], most=5, ratio=ratio)
            x, gain = found.labelled(ratio), values[0] - values[1]
            label = f"{ratio:.0%} labelled ({span(seeds)})"
            panel.scatter(x, np.minimum(gain, top), label=label, **looks[ratio])
            # What is far above would press all others together.
            for at in np.flatnonzero(gain > top):
                panel.annotate(
                    f"{signed(gain[at], 2)}, {found.names[at].split('/')[1]}",
                    (x[at], top),
                    xytext=(6, -3),
                    textcoords="offset points",
                    fontsize=8,
                )
        panel.axhline(0, color=DARK_GREY, lw=1, ls="--")
        panel.legend(frameon=False, fontsize=8, loc="lower right")
        panel.set_ylim(-0.11, 0.13)
        panel.set_axisbelow(True)
        panel.set_xscale("log")
        panel.set_xticks([1, 3, 10, 30, 100], ["1", "3", "10", "30", "100"])
        panel.minorticks_off()
        panel.set_title(f"{LABELS[detector]}: {name_of(method)}", fontsize=10)
        panel.grid(axis="y", color="#e8e8e8")
        panel.tick_params(labelsize=9)
        panel.set_xlabel("labelled anomalies", fontsize=9)
    panels[0].set_ylabel("AUCROC less that of copies", fontsize=9)
    return figure


# The page ----------------------------------------------------------------------------------------


def make_parts(results):
    """Make what the page holds of the cells, by the name of its place."""
    found = Findings(results)
    return {
        "samplers": make_samplers(found),
        "against-none": make_against_none(found),
        "catboost": make_catboost(found),
        "one-file": make_one_file(found),
        "same-noise": make_same_noise(found),
        "wider": make_wider(found),
        "labels": make_labels(found),
        "pollution": make_pollution(found),
        "datasets": make_datasets(found),
        "choice": make_choice(found),
        "confirmation": make_confirmation(found),
        "costs": make_costs(found, results),
    }


def fill(text, parts):
    """Put the parts in their places."""

    def part(match):
        return f"<!-- {match[1]} -->\n{parts[match[1]]}\n<!-- end -->"

    return re.sub(r"<!-- ([a-z-]+) -->\n.*?<!-- end -->", part, text, flags=re.DOTALL)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--store", type=Path, help="where finished cells are kept")
    parser.add_argument("--data", type=Path, help="ADBench's folder: run what is missing")
    parser.add_argument("--budget", type=float, default=float("inf"), help="seconds for that")
    parser.add_argument("--export", action="store_true", help="take over the store's cells")
    parser.add_argument("--check", action="store_true", help="only compare; change nothing")
    options = parser.parse_args()
    if options.data is not None:
        if options.store is None:
            parser.error("--data needs --store FILE")
        run(options.store, options.data, options.budget)
        return
    if options.export:
        if options.store is None:
            parser.error("--export needs --store FILE")
        write_parquet(read_results(options.store), CELLS)
    results = read_results(CELLS)
    text = PAGE.read_text(encoding="utf-8")
    filled = fill(text, make_parts(results))
    if options.check:
        sys.exit(None if filled == text else f"{PAGE.name} is not what {CELLS.name} holds")
    PAGE.write_text(filled, encoding="utf-8")
    found = Findings(results)
    for name, draw in (("sigma", draw_sigma), ("labels", draw_labels)):
        picture = Picture(f"pseudo-{name}", "", draw(found))
        (IMAGES / f"{picture.name}.svg").write_bytes(picture.render())


if __name__ == "__main__":
    main()
