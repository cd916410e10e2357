"""Fig. 6 of the paper: t-SNE of pseudo-anomalies on ADBench's 39_vertebral.

    python examples/vertebral_tsne.py ADBENCH_FOLDER [PICTURE]

ADBENCH_FOLDER holds Classical/39_vertebral.npz.
"""

import sys

from nngmix import Mixup, NNGMix
from nngmix.datasets import load_adbench, make_split
from nngmix.plotting import plot_side_by_side


def main(data_home: str, path: str) -> None:
    data = load_adbench("39_vertebral", data_home=data_home)
    split = make_split(data.data, data.target, label_ratio=0.1, seed=0)
    X, y = split.X_train, split.y_train
    samplers = {
        "Mixup, all rows": Mixup(partner="all", random_state=0),
        "Mixup, labelled anomalies": Mixup(random_state=0),
        "NNG-Mix": NNGMix(scaling=None, random_state=0),
    }
    n = 10 * int(y.sum())
    generated = {name: sampler.fit(X, y).sample(n) for name, sampler in samplers.items()}
    title = f"39_vertebral: {y.sum()} labelled anomalies, {n} pseudo-anomalies each"
    plot_side_by_side(X[y == 0], X[y == 1], generated, columns=3, title=title).savefig(path)
    print(f"written: {path}")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: python examples/vertebral_tsne.py ADBENCH_FOLDER [PICTURE]")
    main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "vertebral_tsne.png")
