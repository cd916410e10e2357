"""Keep what was measured: files of cells in results/, and the tables and pictures of docs/.

    python benchmarks/results.py STORE...             # results/adbench.parquet, docs/results.md
    python benchmarks/results.py --beyond STORE...    # results/beyond.parquet, docs/auto.md
    python benchmarks/results.py --check              # whether both pages say what the files hold

Finished cells of the stores are taken over. docs/auto.md shows the cells of both files.

A table of the page stands between <!-- NAME --> and <!-- end -->; all else is written by hand.
"""

import re
import sys
from pathlib import Path

import numpy as np

from nngmix.experiments import Results, read_results, write_parquet
from nngmix.experiments.paper import BEYOND, TARGETS
from nngmix.experiments.report import describe_costs, describe_runs, make_section
from nngmix.experiments.tables import as_markdown, as_text, describe_seeds
from nngmix.experiments.verdicts import find_reference, versus_as_markdown

ROOT = Path(__file__).resolve().parents[1]
CELLS = ROOT / "results" / "adbench.parquet"
PAGE = ROOT / "docs" / "results.md"
BEYOND_CELLS = ROOT / "results" / "beyond.parquet"
BEYOND_PAGE = ROOT / "docs" / "auto.md"
IMAGES = ROOT / "docs" / "images"
PICTURES = (
    "table-1-ranks-all-detectors",
    "table-7-agreement-baseline-seed-0",
    "table-7-agreement-nng-mix-seed-0",
    "table-7-gain-over-duplicate",
    "figure-3",
    "figure-4",
    "figure-5",
    "figure-7",
)
BEYOND_PICTURES = ("beyond", "beyond-gaps-1-percent")


def gather(files):
    """Join the cells of some files; numbers win over failures."""
    found = Results({}, {})
    for path in files:
        if Path(path).is_file():
            new = read_results(path)
            better = {c: r for c, r in new.records.items() if found.outcome(c) is None}
            found = Results(found.records | better, found.runs | new.runs)
    return found


def glance(sections):
    """Sum up the tables that share no cells."""
    lines = [
        "| what | datasets, seeds | no pseudo-anomalies | *Duplicate 10×* | NNG-Mix 10× |",
        "|---|---|--:|--:|--:|",
    ]
    for section in sections:
        summary = section.summary
        for block in summary.full_blocks:
            for panel in dict.fromkeys(column.panel for column in block.columns):
                ten = find_reference(block, panel)
                control = block.control_of(ten) if ten else None
                if control is None:
                    continue
                first = next(c for c in block.columns if (c.series, c.panel) == ("Baseline", panel))
                seeds = describe_seeds(block)
                where = f"{section.target.number}{f', {panel}' if panel else ''}"
                cells = [as_text(summary.entry(block.learner, c)) for c in (first, control, ten)]
                n = f"{len(block.datasets)} of {len(summary.datasets)}"
                lines.append(
                    f"| {where}, {block.learner.label} | {n}, {seeds} | {' | '.join(cells)} |"
                )
    return "\n".join(lines)


def make_parts(results):
    """Make what the page holds of the cells, by the name of its place."""
    parts, pictures, short = {}, {}, []
    for name, target in TARGETS.items():
        if not target.columns:
            continue
        section = make_section(target, results)
        if section.layout is not None:
            facts = "\n".join(f"- {fact}" for fact in section.facts)
            parts[name] = f"{as_markdown(section.layout)}\n{facts}\n".strip()
            if name in ("table-1", "table-2", "table-3", "table-5", "table-7"):
                short.append(section)
            pictures |= {picture.name: picture for picture in section.pictures}
    # The paper's Table VII is of this seed, so that its numbers can be met to the digit.
    first = {c: r for c, r in results.records.items() if c.seed == 0}
    section = make_section(TARGETS["table-7"], Results(first, results.runs))
    if section.layout is not None:
        facts = "\n".join(f"- {fact}" for fact in section.facts)
        parts["table-7-seed-0"] = f"{as_markdown(section.layout)}\n{facts}"
        pictures |= {f"{p.name}-seed-0": p for p in section.pictures}
    parts["glance"] = glance(short)
    lines = ["| detector | cells | median s | longest s | hours in all |", "|---|--:|--:|--:|--:|"]
    for cost in describe_costs(results):
        lines.append(
            f"| {cost['detector']} | {cost['cells']:,} | {cost['median']:.2f} | "
            f"{cost['longest']:.1f} | {cost['hours']:.2f} |"
        )
    parts["costs"] = "\n".join(lines)
    parts["machines"] = "\n".join(
        f"- {run['cells']:,} cells, {run['hours']:.1f} hours of computing, {run['first']} to "
        f"{run['last']}: {run['machine']}; {run['versions']}"
        for run in describe_runs(results)
    )
    return parts, pictures


def both_metrics(results):
    """Tell AUCROC and AUCPR of our own detectors: means over datasets, and how seeds differ."""
    lines = ["| Classical | 1 % | 5 % | 10 % |", "|---|--:|--:|--:|"]
    rows = {
        "AutoDetector": ("AutoDetector", 1.0),
        "BaggedTrees": ("BaggedTrees", 1.0),
        "*AutoDetector, no hidden anomaly among the training rows*": ("AutoDetector", 0.0),
    }
    for name, (detector, pollution) in rows.items():
        cells = []
        for ratio in (0.01, 0.05, 0.1):
            of_seed = {}
            for outcome in results.outcomes:
                cell = outcome.cell
                kind = cell.detector, cell.label_ratio, cell.pollution_ratio, cell.protocol
                wanted = kind == (detector, ratio, pollution, "adbench")
                if wanted and cell.dataset.startswith("Classical/"):
                    of_seed.setdefault(cell.seed, []).append((outcome.aucroc, outcome.aucpr))
            if not of_seed:
                cells.append("–")
                continue
            means = np.array([np.mean(found, axis=0) for found in of_seed.values()])
            mean, spread = means.mean(axis=0), means.std(axis=0, ddof=1)
            cells.append(
                " / ".join(f"{m:.3f} ± {s:.3f}" for m, s in zip(mean, spread, strict=True))
            )
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def make_beyond_parts(results):
    """Make what the page on AutoDetector holds of the cells, by the name of its place."""
    parts, pictures = {"beyond-both": both_metrics(results)}, {}
    for name, target in BEYOND.items():
        section = make_section(target, results)
        if section.layout is None:
            continue
        parts[name] = as_markdown(section.layout)
        parts[f"{name}-facts"] = "\n".join(f"- {fact}" for fact in section.facts)
        parts[f"{name}-tests"] = versus_as_markdown(section.versus)
        pictures |= {picture.name: picture for picture in section.pictures}
    return parts, pictures


def fill(text, parts):
    """Put the parts in their places."""

    def part(match):
        return f"<!-- {match[1]} -->\n{parts.get(match[1], 'Nothing was run.')}\n<!-- end -->"

    return re.sub(r"<!-- ([a-z0-9-]+) -->\n.*?<!-- end -->", part, text, flags=re.DOTALL)


def main(arguments):
    if arguments == ["--check"]:
        pages = [
            (PAGE, make_parts(gather([CELLS]))[0]),
            (BEYOND_PAGE, make_beyond_parts(gather([CELLS, BEYOND_CELLS]))[0]),
        ]
        for page, parts in pages:
            text = page.read_text(encoding="utf-8")
            if fill(text, parts) != text:
                sys.exit(f"{page.name} is not what the files in results/ hold")
        return
    if arguments[:1] == ["--beyond"]:
        known = gather([CELLS])
        # What is given now takes the place of what was measured with an earlier state.
        found = gather([*arguments[1:], BEYOND_CELLS])
        # What the other file has, it has.
        new = {c: r for c, r in found.records.items() if known.outcome(c) is None}
        runs = {record.run for record in new.values()}
        results = Results(new, {run: about for run, about in found.runs.items() if run in runs})
        keep(results, BEYOND_CELLS)
        parts, pictures = make_beyond_parts(gather([CELLS, BEYOND_CELLS]))
        publish(BEYOND_PAGE, parts, pictures, BEYOND_PICTURES)
    else:
        results = gather([CELLS, *arguments])
        keep(results, CELLS)
        parts, pictures = make_parts(results)
        publish(PAGE, parts, pictures, PICTURES)
        print(f"without any: {sorted(set(TARGETS) - set(parts))}")


def keep(results, path):
    path.parent.mkdir(exist_ok=True)
    write_parquet(results, path)
    print(f"{path.name}: {len(results.outcomes):,} cells")


def publish(page, parts, pictures, names):
    page.write_text(fill(page.read_text(encoding="utf-8"), parts), encoding="utf-8")
    for name in names:
        if name in pictures:
            (IMAGES / f"{name}.svg").write_bytes(pictures[name].render())


if __name__ == "__main__":
    main(sys.argv[1:])
