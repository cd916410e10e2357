"""What every sampler generates, side by side: a toy set in the plane and a real one.

    python examples/every_sampler.py [FOLDER]

Writes samplers-toy.png and samplers-wine.png, the pictures of docs/samplers.md.
"""

import sys
from pathlib import Path

import numpy as np

from nngmix import Chain, CutMix, Cutout, GaussianNoise, Mixup, NNGMix
from nngmix.datasets import load_builtin, make_split
from nngmix.experiments.pictures import make_clusters
from nngmix.plotting import plot_side_by_side
from nngmix.sampling import SAMPLERS


def samplers(scaling: object) -> dict[str, object]:
    settings = {"scaling": scaling, "random_state": 0}
    made: dict[str, object] = {}
    for name, kind in SAMPLERS.items():
        known = kind().get_params()
        made[name] = kind(**{k: v for k, v in settings.items() if k in known})
    made["Mixup(partner='all')"] = Mixup(partner="all", random_state=0)
    made["NNGMix(sigma=0.1)"] = NNGMix(sigma=0.1, **settings)
    made["Cutout, then GaussianNoise"] = Chain([Cutout(), GaussianNoise()], **settings)
    made["CutMix, then GaussianNoise"] = Chain([CutMix(), GaussianNoise()], **settings)
    return made


def draw(X: np.ndarray, y: np.ndarray, n: int, scaling: object, title: str, path: Path) -> None:
    generated = {name: s.fit(X, y).sample(n) for name, s in samplers(scaling).items()}
    plot_side_by_side(X[y == 0], X[y == 1], generated, title=title).savefig(path)
    print(f"written: {path}")


def main(folder: Path) -> None:
    X, y = make_clusters()
    title = f"Toy set, two columns, {y.sum()} labelled anomalies"
    draw(X, y, 210, "minmax", title, folder / "samplers-toy.png")
    wine = load_builtin("wine")
    split = make_split(wine.data, wine.target, label_ratio=0.1, seed=0, protocol="leak-free")
    X, y = split.X_train, split.y_train
    title = f"Wine, 13 columns, {y.sum()} labelled anomalies (t-SNE)"
    draw(X, y, 60, None, title, folder / "samplers-wine.png")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
