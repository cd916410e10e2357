"""Keep what was measured: results/adbench.parquet, and the tables and pictures of docs/results.md.

    python benchmarks/results.py STORE...   # take over finished cells, and fill the page
    python benchmarks/results.py --check    # see whether the page says what the file holds

A table of the page stands between <!-- NAME --> and <!-- end -->; all else is written by hand.
"""

import re
import sys
from pathlib import Path

from nngmix.experiments import Results, read_results, write_parquet
from nngmix.experiments.paper import TARGETS
from nngmix.experiments.report import describe_costs, describe_runs, make_section
from nngmix.experiments.tables import as_markdown, as_text, describe_seeds
from nngmix.experiments.verdicts import find_reference

ROOT = Path(__file__).resolve().parents[1]
CELLS = ROOT / "results" / "adbench.parquet"
PAGE = ROOT / "docs" / "results.md"
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


def gather(stores):
    """Join the cells that are there and those of some stores; numbers win over failures."""
    found = Results({}, {})
    for path in [CELLS, *stores]:
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


def fill(text, parts):
    """Put the parts in their places."""

    def part(match):
        return f"<!-- {match[1]} -->\n{parts.get(match[1], 'Nothing was run.')}\n<!-- end -->"

    return re.sub(r"<!-- ([a-z0-9-]+) -->\n.*?<!-- end -->", part, text, flags=re.DOTALL)


def main(arguments):
    if arguments == ["--check"]:
        parts, _ = make_parts(read_results(CELLS))
        text = PAGE.read_text(encoding="utf-8")
        sys.exit(
            None if fill(text, parts) == text else f"{PAGE.name} is not what {CELLS.name} holds"
        )
    results = gather(arguments)
    CELLS.parent.mkdir(exist_ok=True)
    write_parquet(results, CELLS)
    parts, pictures = make_parts(results)
    PAGE.write_text(fill(PAGE.read_text(encoding="utf-8"), parts), encoding="utf-8")
    for name in PICTURES:
        if name in pictures:
            (IMAGES / f"{name}.svg").write_bytes(pictures[name].render())
    print(f"{len(results.outcomes):,} cells; without any: {sorted(set(TARGETS) - set(parts))}")


if __name__ == "__main__":
    main(sys.argv[1:])
