"""Which DeepSAD produced the paper's numbers: the one with pre-training, or without.

    python benchmarks/fidelity.py ADBENCH_FOLDER STORE [PICTURE]

Both at 10 % labels and seed 0, without pseudo-anomalies and with NNG-Mix 10x, beside Table VII
dataset by dataset. STORE keeps every finished cell: a second call goes on where the first stopped.
"""

import sys
from pathlib import Path

import numpy as np

from nngmix.experiments import Store, run_grid
from nngmix.experiments.paper import LEARNERS, TARGETS, Learner
from nngmix.plotting import new_figure
from nngmix.plotting.style import BLUE, GREY, VERMILION

TABLE = TARGETS["table-7"]
COLUMNS = [TABLE.columns[0], TABLE.columns[-1]]
KINDS = {"pretrain=False": LEARNERS[0], "pretrain=True": Learner("DeepSAD", "DeepSAD")}


def draw(paper, ours, path):
    """Draw every dataset's two numbers, the paper's across and ours up."""
    figure = new_figure(8, 4.7)
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    for at, (panel, column) in enumerate(zip(panels, COLUMNS, strict=True)):
        for kind, colour, marker in zip(ours, (BLUE, VERMILION), "ox", strict=True):
            panel.scatter(
                paper[:, at], ours[kind][:, at], s=22, c=colour, marker=marker, label=kind
            )
        panel.axline((0.5, 0.5), slope=1, color=GREY, linewidth=1, zorder=0)
        panel.set(title=column.label, xlabel="AUCROC, paper's Table VII", aspect="equal")
    panels[0].set_ylabel("AUCROC here")
    panels[0].legend(loc="upper left", frameon=False)
    figure.savefig(path)


def main(home, path, *picture):
    names = [f"Classical/{p.stem}" for p in sorted(Path(home, "Classical").glob("*.npz"))]
    grid = {
        kind: [[TABLE.cell(learner, column, name, 0) for column in COLUMNS] for name in names]
        for kind, learner in KINDS.items()
    }
    cells = [cell for lines in grid.values() for line in lines for cell in line]
    with Store(path) as store:
        run_grid(cells, store, data_home=home, progress=lambda tally, _: print(tally))
        found = store.results()
    paper = np.array(
        [[TABLE.published(LEARNERS[0], c, n.split("_", 1)[1]) for c in COLUMNS] for n in names]
    )
    ours = {
        kind: np.array([[found.outcome(cell).aucroc for cell in line] for line in lines])
        for kind, lines in grid.items()
    }
    for kind, values in ours.items():
        for at, column in enumerate(COLUMNS):
            gap = values[:, at] - paper[:, at]
            print(
                f"{kind}, {column.label}: mean {values[:, at].mean():.4f}, paper's "
                f"{paper[:, at].mean():.4f}; mean absolute difference {np.abs(gap).mean():.4f}"
            )
    if picture:
        draw(paper, ours, picture[0])


if __name__ == "__main__":
    main(*sys.argv[1:])
