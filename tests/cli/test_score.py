import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.pipeline import make_pipeline

import nngmix as library
from nngmix.cli import files
from nngmix.detectors import MLP
from nngmix.persistence import load, save

Run = Callable[..., Any]
READ = {".csv": pd.read_csv, ".parquet": pd.read_parquet}


def listing(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    n = 300
    frame = pd.DataFrame(
        {
            "id": [f"{i:04d}" for i in range(n)],
            "amount": rng.lognormal(3, 1, n),
            "visits": rng.integers(0, 9, n),
            "new": rng.random(n) < 0.3,
            "country": rng.choice(["CH", "FR", "DE"], n),
            "gap": np.where(rng.random(n) < 0.2, np.nan, rng.normal(size=n)),
            "fraud": (np.arange(n) % 60 == 7).astype(int),
        }
    )
    frame.loc[frame["fraud"] == 1, "amount"] += 200
    return frame


@pytest.fixture(scope="module")
def model(table: pd.DataFrame, nngmix: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    table.to_csv(folder / "train.csv", index=False)
    result = nngmix(
        "train", folder / "train.csv", "--label", "fraud", "--exclude", "id",
        "--categorical", "country", "--detector", "MLP", "--set", "max_iter=5",
        "--output", folder / "model",
    )  # fmt: skip
    assert (result.code, result.err) == (0, "")
    return folder / "model"


@pytest.fixture
def here(tmp_path: Path, table: pd.DataFrame) -> Path:
    table.to_csv(tmp_path / "in.csv", index=False)
    table.to_parquet(tmp_path / "in.parquet", row_group_size=70)
    return tmp_path


def expected(model: Path, table: pd.DataFrame) -> Any:
    features = table.drop(columns=["id", "fraud"])
    return load(model).decision_function(pa.Table.from_pandas(features))


class TestOutput:
    @pytest.mark.parametrize("ending_out", [".csv", ".parquet"])
    @pytest.mark.parametrize("ending_in", [".csv", ".parquet"])
    def test_known_answer(
        self, nngmix: Run, model: Path, here: Path, table: pd.DataFrame,
        ending_in: str, ending_out: str,
    ) -> None:  # fmt: skip
        output = here / f"out{ending_out}"
        result = nngmix("score", model, here / f"in{ending_in}", "--output", output)
        assert (result.code, result.err) == (0, "")
        found = READ[ending_out](output)
        assert list(found.columns) == ["row", "score", "anomaly"]
        assert found["row"].tolist() == list(range(300))
        scores = expected(model, table)
        np.testing.assert_allclose(found["score"], scores, rtol=1e-12)
        threshold = load(model)[-1].threshold_
        assert found["anomaly"].tolist() == (scores > threshold).astype(int).tolist()
        n = int((scores > threshold).sum())
        lines = result.out.splitlines()
        assert lines[:3] == [
            f"in        {here / f'in{ending_in}'}: 300 rows",
            f"above     the threshold {threshold:.6g}: {n} rows ({n / 300:.2%})",
            f"out       {output}",
        ]
        assert lines[3].startswith("speed     ")
        assert "rows a second" in lines[3]

    @pytest.mark.parametrize("kind", ["csv", "parquet"])
    @pytest.mark.parametrize("block", [200, 3000])
    def test_files_layout_does_not_matter(
        self, nngmix: Run, model: Path, here: Path, monkeypatch: pytest.MonkeyPatch,
        kind: str, block: int,
    ) -> None:  # fmt: skip
        # Pieces are counted in rows, so a row meets the same rows whatever the file looks like.
        outputs = []
        for small in (False, True):
            if small:
                monkeypatch.setattr(files, "_BLOCK_BYTES", block)
            output = here / f"out{small}.csv"
            args = ("score", model, here / f"in.{kind}", "--output", output, "--batch-rows", 64)
            assert nngmix(*args).code == 0
            outputs.append(output.read_bytes())
        assert outputs[0] == outputs[1]
        nngmix("score", model, here / "in.csv", "--output", here / "c.csv", "--batch-rows", 64)
        assert outputs[0] == (here / "c.csv").read_bytes()

    @pytest.mark.parametrize("batch", [1, 7, 299, 300, 301])
    def test_size_of_pieces(
        self, nngmix: Run, model: Path, here: Path, table: pd.DataFrame, batch: int
    ) -> None:
        output = here / "out.parquet"
        args = ("score", model, here / "in.parquet", "--output", output, "--batch-rows", batch)
        assert nngmix(*args).code == 0
        found = pd.read_parquet(output)
        assert found["row"].tolist() == list(range(300))
        np.testing.assert_allclose(found["score"], expected(model, table), rtol=1e-9)

    def test_ids(self, nngmix: Run, model: Path, here: Path, table: pd.DataFrame) -> None:
        table = table.assign(name=["NA", "null", "a,b", 'say "hi"', "", "007"] * 50)
        table.to_csv(here / "in.csv", index=False)
        table.to_parquet(here / "in.parquet")
        ids = ("--id", "name", "--id", "id", "--id", "fraud")
        for kind in ("csv", "parquet"):
            output = here / f"{kind}.csv"
            nngmix("score", model, here / f"in.{kind}", "--output", output, *ids)
            found = pd.read_csv(output, dtype=str, keep_default_na=False)
            assert list(found.columns) == ["name", "id", "fraud", "score", "anomaly"]
            # Text stays as it stands: leading zeros, and names that look like gaps.
            assert found["name"].tolist() == table["name"].tolist()
            assert found["id"].tolist() == table["id"].tolist()
        assert (here / "csv.csv").read_bytes() == (here / "parquet.csv").read_bytes()
        output = here / "out.parquet"
        nngmix("score", model, here / "in.parquet", "--output", output, "--id", "fraud")
        assert pq.read_schema(output).field("fraud").type == pa.int64()

    def test_feature_as_id(self, nngmix: Run, model: Path, here: Path, table: Any) -> None:
        output = here / "out.csv"
        nngmix("score", model, here / "in.csv", "--output", output, "--id", "country")
        assert pd.read_csv(output)["country"].tolist() == table["country"].tolist()

    def test_columns_by_name(
        self, nngmix: Run, model: Path, here: Path, table: pd.DataFrame
    ) -> None:
        args = ("--output", here / "out.csv", "--force")
        nngmix("score", model, here / "in.csv", *args)
        before = (here / "out.csv").read_bytes()
        others = table.drop(columns=["fraud", "id"]).assign(more="text")
        others[others.columns[::-1]].to_csv(here / "other.csv", index=False)
        assert nngmix("score", model, here / "other.csv", *args).code == 0
        assert (here / "out.csv").read_bytes() == before

    def test_types_cannot_differ_between_pieces(
        self, nngmix: Run, model: Path, here: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # The first block alone would be whole numbers, and empty cells.
        monkeypatch.setattr(files, "_BLOCK_BYTES", 1000)
        lines = ["amount,visits,new,country,gap,id", *["3,4,true,1,,7"] * 300, "3.5,,,FR,0.5,x"]
        (here / "other.csv").write_text("\n".join(lines))
        result = nngmix(
            "score", model, here / "other.csv", "--output", here / "o.csv", "--id", "id"
        )
        assert (result.code, result.err) == (0, "")
        assert (here / "o.csv").read_text().splitlines()[-1].startswith("x,")

    @pytest.mark.parametrize("ending_out", [".csv", ".parquet"])
    @pytest.mark.parametrize("kind", ["csv", "parquet"])
    def test_no_rows(
        self, nngmix: Run, model: Path, here: Path, table: pd.DataFrame, kind: str, ending_out: str
    ) -> None:
        table[:0].to_csv(here / "empty.csv", index=False)
        pq.write_table(pa.Table.from_pandas(table)[:0], here / "empty.parquet")
        output = here / f"out{ending_out}"
        args = ("score", model, here / f"empty.{kind}", "--output", output, "--id", "id")
        result = nngmix(*args, "--top", 3)
        assert (result.code, result.err) == (0, "")
        assert ": 0 rows\n" in result.out
        found = READ[ending_out](output)
        assert list(found.columns) == ["id", "score", "anomaly"]
        assert len(found) == 0
        if ending_out == ".csv":
            assert output.read_bytes() == b"id,score,anomaly\n"

    def test_delimiter(self, nngmix: Run, model: Path, here: Path, table: pd.DataFrame) -> None:
        table.to_csv(here / "semi.csv", index=False, sep=";")
        args = ("score", model, here / "semi.csv", "--output", here / "out.csv")
        result = nngmix(*args)
        assert result.code == 2
        assert "see --delimiter" in result.err
        assert nngmix(*args, "--delimiter", ";").code == 0
        assert list(pd.read_csv(here / "out.csv", sep=";").columns) == ["row", "score", "anomaly"]

    def test_other_encodings_of_the_same_numbers(
        self, nngmix: Run, model: Path, here: Path, table: pd.DataFrame
    ) -> None:
        changed = table.assign(
            visits=table["visits"].astype("Int16"),
            new=table["new"].astype("int8"),
            country=table["country"].astype("category"),
            gap=table["gap"].astype(object),
        )
        changed.to_parquet(here / "other.parquet")
        for name in ("in", "other"):
            args = ("score", model, here / f"{name}.parquet", "--output", here / f"{name}-out.csv")
            assert nngmix(*args).code == 0
        assert (here / "in-out.csv").read_bytes() == (here / "other-out.csv").read_bytes()


class TestTop:
    def rows(self, out: str) -> list[list[str]]:
        lines = [line for line in out.splitlines() if line[:1] in "┃│"]
        return [[cell.strip() for cell in line.strip("┃│").replace("┃", "│").split("│")]
                for line in lines]  # fmt: skip

    @pytest.mark.parametrize("batch", [7, 1000])
    @pytest.mark.parametrize("kind", ["csv", "parquet"])
    def test_is_the_top(
        self, nngmix: Run, model: Path, here: Path, table: pd.DataFrame, kind: str, batch: int
    ) -> None:
        args = ("--top", 12, "--id", "id", "--batch-rows", batch)
        before = listing(here)
        result = nngmix("score", model, here / f"in.{kind}", *args)
        assert (result.code, result.err) == (0, "")
        assert listing(here) == before
        header, *rows = self.rows(result.out)
        assert header == ["row", "id", "score", "amount", "visits", "new", "country", "gap"]
        scores = expected(model, table)
        order = np.argsort(-scores, kind="stable")[:12]
        assert [int(row[0]) for row in rows] == order.tolist()
        assert [row[1] for row in rows] == table["id"][order].tolist()
        assert [row[2] for row in rows] == [f"{score:.6g}" for score in scores[order]]
        assert [row[6] for row in rows] == table["country"][order].tolist()
        assert "out " not in result.out

    def test_ties_and_more_than_there_are(self, nngmix: Run, model: Path, here: Path) -> None:
        same = ["amount,visits,new,country,gap", *["3,4,true,FR,1"] * 5]
        (here / "same.csv").write_text("\n".join(same))
        result = nngmix("score", model, here / "same.csv", "--top", 9, "--batch-rows", 2)
        assert [row[0] for row in self.rows(result.out)] == ["row", *"01234"]

    def test_with_output(self, nngmix: Run, model: Path, here: Path) -> None:
        args = ("score", model, here / "in.csv", "--top", 1, "--output", here / "out.csv")
        result = nngmix(*args)
        found = pd.read_csv(here / "out.csv")
        assert self.rows(result.out)[1][0] == str(found["score"].idxmax())

    def test_text_is_no_markup(self, nngmix: Run, model: Path, here: Path, table: Any) -> None:
        table.assign(id="[red]x[/red]").to_csv(here / "in.csv", index=False)
        result = nngmix("score", model, here / "in.csv", "--top", 1, "--id", "id")
        assert self.rows(result.out)[1][1] == "[red]x[/red]"


class TestBadInput:
    @pytest.mark.parametrize("kind", ["csv", "parquet"])
    @pytest.mark.parametrize(
        ("change", "told"),
        [
            ({"amount": None}, "lacks 1 of the 5 columns that the model was trained on: 'amount'"),
            (
                {"amount": None, "gap": None, "amounts": 1.0},
                "lacks 2 of the 5 columns that the model was trained on: 'amount' "
                "(did you mean 'amounts'?), 'gap'.",
            ),
            ({"amount": {123: np.inf}}, "column 'amount' holds an infinite value in row 123"),
        ],
    )
    def test_columns(
        self, nngmix: Run, model: Path, here: Path, table: pd.DataFrame,
        change: dict[str, Any], told: str, kind: str,
    ) -> None:  # fmt: skip
        table = table.copy()
        for name, value in change.items():
            if value is None:
                table = table.drop(columns=name)
            elif isinstance(value, dict):
                for row, cell in value.items():
                    table.loc[row, name] = cell
            else:
                table[name] = value
        table.to_csv(here / "bad.csv", index=False)
        table.to_parquet(here / "bad.parquet")
        before = listing(here)
        args = ("--output", here / "out.csv", "--batch-rows", 50)
        result = nngmix("score", model, here / f"bad.{kind}", *args)
        assert (result.code, result.out) == (2, "")
        assert told in result.err
        assert str(here / f"bad.{kind}") in result.err
        assert result.err.count("\n") == 1
        assert listing(here) == before

    def test_text_among_numbers(
        self, nngmix: Run, model: Path, here: Path, table: pd.DataFrame
    ) -> None:
        table = table.astype({"visits": object, "new": object})
        table.loc[250, "visits"] = "many"
        table.to_csv(here / "bad.csv", index=False)
        before = listing(here)
        args = ("--output", here / "out.csv", "--batch-rows", 50)
        result = nngmix("score", model, here / "bad.csv", *args)
        assert result.code == 2
        assert result.err == (
            f"nngmix: {str(here / 'bad.csv')!r}: column 'visits' holds 'many' in row 250 (counted "
            "from 0); it must be a number there, or empty.\n"
        )
        assert listing(here) == before
        table.assign(visits="many").to_parquet(here / "bad.parquet")
        result = nngmix("score", model, here / "bad.parquet", *args)
        assert result.code == 2
        assert "column 'visits' holds text, such as 'many', in rows 0 to 49" in result.err

    def test_word_for_a_boolean(
        self, nngmix: Run, model: Path, here: Path, table: pd.DataFrame
    ) -> None:
        table = table.assign(new=["true"] * 3 + ["maybe"] * 297)
        table.to_csv(here / "bad.csv", index=False)
        result = nngmix("score", model, here / "bad.csv", "--top", 1)
        assert "column 'new' holds 'maybe' in row 3" in result.err
        assert "true or false" in result.err

    @pytest.mark.parametrize(
        ("args", "told"),
        [
            ([], "nothing to do: give --output FILE, --top N, or both"),
            (["--top", "0"], "--top"),
            (["--top", "1", "--batch-rows", "0"], "--batch-rows"),
            (["--top", "1", "--id", "ident"], "has no column 'ident'"),
            (["--top", "1", "--delimiter", "xx"], "--delimiter"),
            (["--output", "out.txt"], "'.txt'"),
        ],
    )
    def test_options(
        self, nngmix: Run, model: Path, here: Path, args: list[str], told: str
    ) -> None:
        before = listing(here)
        result = nngmix("score", model, here / "in.csv", *args)
        assert result.code == 2
        assert told in result.err
        assert listing(here) == before

    def test_existing_output(self, nngmix: Run, model: Path, here: Path) -> None:
        (here / "out.csv").write_text("old")
        args = ("score", model, here / "in.csv", "--output", here / "out.csv")
        assert "--force replaces it" in nngmix(*args).err
        assert (here / "out.csv").read_text() == "old"
        assert nngmix(*args, "--force").code == 0
        # In the place of its own input: it is read to the end first.
        over = here / "in.csv"
        assert nngmix("score", model, over, "--output", over, "--force").code == 0
        assert len(pd.read_csv(over)) == 300

    def test_id_of_an_output_column(
        self, nngmix: Run, model: Path, here: Path, table: pd.DataFrame
    ) -> None:
        table.rename(columns={"id": "score"}).to_csv(here / "in.csv", index=False)
        result = nngmix("score", model, here / "in.csv", "--top", 1, "--id", "score")
        assert result.code == 2
        assert "a column 'score' of its own" in result.err

    @pytest.mark.parametrize("content", [None, b"", b"no model", b"PK\x03\x04 cut"])
    def test_no_model(self, nngmix: Run, here: Path, content: bytes | None) -> None:
        if content is not None:
            (here / "model").write_bytes(content)
        result = nngmix("score", here / "model", here / "in.csv", "--top", 1)
        assert (result.code, result.out) == (2, "")
        assert str(here / "model") in result.err
        assert result.err.count("\n") == 1

    def test_table_for_a_model(self, nngmix: Run, here: Path) -> None:
        result = nngmix("score", here / "in.csv", here / "in.csv", "--top", 1)
        assert result.code == 2
        assert str(here / "in.csv") in result.err

    def test_model_from_python(self, nngmix: Run, here: Path) -> None:
        X, y = np.random.default_rng(0).random((30, 2)), np.arange(30) < 3
        fitted = make_pipeline(library.TableEncoder(), MLP(max_iter=2, random_state=0)).fit(X, y)
        save(fitted, here / "model")
        result = nngmix("score", here / "model", here / "in.csv", "--top", 1)
        assert result.code == 2
        assert "does not say which columns the model takes" in result.err

    def test_damaged_in_the_middle(
        self, nngmix: Run, model: Path, here: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(files, "_BLOCK_BYTES", 1000)
        with (here / "in.csv").open("a") as text:
            text.write("1,2\n")
        before = listing(here)
        args = ("--output", here / "out.csv", "--batch-rows", 20)
        result = nngmix("score", model, here / "in.csv", *args)
        assert result.code == 2
        assert "cannot be read as CSV" in result.err
        assert listing(here) == before

    def test_interrupted(
        self, nngmix: Run, model: Path, here: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = listing(here)

        def interrupted(*args: object) -> None:
            assert len(listing(here)) == len(before) + 1
            raise KeyboardInterrupt

        monkeypatch.setattr(MLP, "_scores", interrupted)
        result = nngmix("score", model, here / "in.csv", "--output", here / "out.csv")
        assert (result.code, result.out) == (130, "")
        assert listing(here) == before


def test_real_command(model: Path, here: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from nngmix.cli import main; main()",
         "score", model, "in.csv", "--top", "2", "--output", "out.csv"],
        cwd=here,
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert len(pd.read_csv(here / "out.csv")) == 300


class TestFilesOfOtherKinds:
    """A model trained from one kind of file scores the other alike."""

    @pytest.mark.parametrize("first", ["csv", "parquet"])
    @pytest.mark.parametrize("kind", ["bool", "float", "int", "text", "gaps"])
    def test_categories_mean_the_same(
        self, nngmix: Run, tmp_path: Path, first: str, kind: str
    ) -> None:
        rng = np.random.default_rng(0)
        code = rng.integers(0, 3, 80)
        values: dict[str, Any] = {
            "bool": code > 0,
            "float": code.astype(float),
            "int": code,
            "text": np.array(["CH", "FR", "True"])[code],
            "gaps": pd.array([None if i % 9 == 0 else c for i, c in enumerate(code)], "Int64"),
        }
        frame = pd.DataFrame({"n": rng.random(80), "c": values[kind], "y": code == 2})
        frame["y"] = frame["y"].astype(int)
        if kind == "gaps":
            # pandas without its nullable types writes whole numbers with gaps as 7.0.
            frame["c"] = frame["c"].astype("float64")
        frame.to_csv(tmp_path / "in.csv", index=False)
        whole = frame.assign(c=values[kind]) if kind == "gaps" else frame
        whole.to_parquet(tmp_path / "in.parquet")
        settings = ("--label", "y", "--detector", "MLP", "--categorical", "c", "--sampler", "none")
        source = tmp_path / f"in.{first}"
        trained = nngmix("train", source, *settings, "--output", tmp_path / "model")
        assert trained.code == 0, trained.err
        scores = []
        for ending in ("csv", "parquet"):
            out = tmp_path / f"{ending}.parquet"
            done = nngmix("score", tmp_path / "model", tmp_path / f"in.{ending}", "--output", out)
            assert done.code == 0, done.err
            assert "note" not in done.out
            scores.append(pd.read_parquet(out)["score"])
        assert scores[0].equals(scores[1])


def test_unknown_levels_are_told(nngmix: Run, tmp_path: Path) -> None:
    frame = pd.DataFrame({"n": range(40), "c": ["a", "b"] * 20, "y": [0] * 36 + [1] * 4})
    frame.to_csv(tmp_path / "in.csv", index=False)
    args = ("--label", "y", "--detector", "MLP", "--categorical", "c")
    assert nngmix("train", tmp_path / "in.csv", *args, "--output", tmp_path / "m").code == 0
    frame.loc[:9, "c"] = "z"
    frame.to_csv(tmp_path / "new.csv", index=False)
    done = nngmix("score", tmp_path / "m", tmp_path / "new.csv", "--top", 1, "--batch-rows", 7)
    expected = (
        "note      c: 10 of 40 cells hold a level that the model was not trained on, such as 'z'"
    )
    assert expected in done.out.splitlines()


def test_text_in_a_numeric_column_of_parquet(nngmix: Run, tmp_path: Path) -> None:
    frame = pd.DataFrame({"n": np.arange(40.0), "y": [0] * 36 + [1] * 4})
    frame.to_csv(tmp_path / "in.csv", index=False)
    args = ("--label", "y", "--detector", "MLP", "--output", tmp_path / "m")
    assert nngmix("train", tmp_path / "in.csv", *args).code == 0
    frame.assign(n=frame["n"].astype(str)).to_parquet(tmp_path / "new.parquet")
    done = nngmix("score", tmp_path / "m", tmp_path / "new.parquet", "--top", 1)
    assert done.code == 2
    assert "column 'n' holds text, such as" in done.err


def test_columns_may_be_named_like_the_tables_own(nngmix: Run, tmp_path: Path) -> None:
    frame = pd.DataFrame({"_score": np.arange(40.0), "row": 1.0, "y": [0] * 36 + [1] * 4})
    frame.to_csv(tmp_path / "in.csv", index=False)
    args = ("--label", "y", "--detector", "MLP", "--output", tmp_path / "m")
    assert nngmix("train", tmp_path / "in.csv", *args).code == 0
    done = nngmix("score", tmp_path / "m", tmp_path / "in.csv", "--top", 3, "--batch-rows", 9)
    assert (done.code, done.err) == (0, "")
    assert "_score" in done.out


def test_output_in_the_place_of_the_model(nngmix: Run, tmp_path: Path) -> None:
    frame = pd.DataFrame({"n": np.arange(40.0), "y": [0] * 36 + [1] * 4})
    frame.to_csv(tmp_path / "in.csv", index=False)
    args = ("train", tmp_path / "in.csv", "--label", "y", "--detector", "MLP", "--force")
    done = nngmix(*args, "--output", tmp_path / "in.csv")
    assert done.code == 2
    assert "is the input; give another name" in done.err
    assert nngmix(*args, "--output", tmp_path / "m.csv").code == 0
    done = nngmix("score", tmp_path / "m.csv", tmp_path / "in.csv", "--force", "--output",
                  tmp_path / "m.csv")  # fmt: skip
    assert (done.code, "is the input" in done.err) == (2, True)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_several_files_are_one_table(nngmix: Run, tmp_path: Path, kind: str) -> None:
    frame = pd.DataFrame({"n": np.arange(40.0), "id": [f"k{i}" for i in range(40)]})
    frame.assign(y=[0] * 36 + [1] * 4).to_csv(tmp_path / "in.csv", index=False)
    args = ("--label", "y", "--exclude", "id", "--detector", "MLP", "--output", tmp_path / "m")
    assert nngmix("train", tmp_path / "in.csv", *args).code == 0
    (tmp_path / "rows").mkdir()
    for name, rows in (("a", slice(0, 7)), ("b", slice(7, 30)), ("c", slice(30, 40))):
        path = tmp_path / "rows" / f"{name}.{kind}"
        some = frame[rows].reset_index(drop=True)
        some.to_csv(path, index=False) if kind == "csv" else some.to_parquet(path)
    more = ("--batch-rows", 9, "--top", 3, "--force")
    one = nngmix(
        "score", tmp_path / "m", tmp_path / "in.csv", "--output", tmp_path / "o.csv", *more
    )
    several = nngmix(
        "score", tmp_path / "m", tmp_path / "rows", "--output", tmp_path / "s.csv", *more
    )
    assert (one.code, several.code, several.err) == (0, 0, "")
    # But for the last digits of products, which hang on how many rows there are.
    pd.testing.assert_frame_equal(
        pd.read_csv(tmp_path / "o.csv"), pd.read_csv(tmp_path / "s.csv"), rtol=1e-12
    )
    assert f"in        {tmp_path / 'rows'} (3 files): 40 rows" in several.out
    # The same rows come first, by the same numbers.
    assert one.out.partition("in  ")[0] == several.out.partition("in  ")[0]
    with_id = ("--id", "id", "--output", tmp_path / "s.csv", "--force")
    assert nngmix("score", tmp_path / "m", tmp_path / "rows", *with_id).code == 0
    assert pd.read_csv(tmp_path / "s.csv")["id"].tolist() == frame["id"].tolist()
    inside = nngmix("score", tmp_path / "m", tmp_path / "rows", "--output",
                    tmp_path / "rows" / f"a.{kind}", "--force")  # fmt: skip
    assert (inside.code, "is the input" in inside.err) == (2, True)


def test_a_row_that_cannot_be_scored_is_named_by_its_file(nngmix: Run, tmp_path: Path) -> None:
    frame = pd.DataFrame({"n": np.arange(40.0), "y": [0] * 36 + [1] * 4})
    frame.to_csv(tmp_path / "in.csv", index=False)
    args = ("--label", "y", "--detector", "MLP", "--output", tmp_path / "m")
    assert nngmix("train", tmp_path / "in.csv", *args).code == 0
    (tmp_path / "rows").mkdir()
    frame.to_csv(tmp_path / "rows" / "a.csv", index=False)
    frame.assign(n=frame["n"].where(frame["n"] != 5, np.inf)).to_csv(
        tmp_path / "rows" / "b.csv", index=False
    )
    done = nngmix("score", tmp_path / "m", tmp_path / "rows", "--top", 1, "--batch-rows", 3)
    assert (done.code, done.out) == (2, "")
    assert f"{str(tmp_path / 'rows' / 'b.csv')!r}" in done.err
    assert "infinite value in row 5 (counted from 0)" in done.err


def test_files_need_only_the_model_s_columns(nngmix: Run, tmp_path: Path) -> None:
    frame = pd.DataFrame({"n": np.arange(40), "y": [0] * 36 + [1] * 4})
    frame.to_csv(tmp_path / "in.csv", index=False)
    args = ("--label", "y", "--detector", "MLP", "--output", tmp_path / "m")
    assert nngmix("train", tmp_path / "in.csv", *args).code == 0
    (tmp_path / "rows").mkdir()
    frame.assign(id="a").to_parquet(tmp_path / "rows" / "a.parquet")
    frame[["n"]].astype(float).assign(id="b").to_parquet(tmp_path / "rows" / "b.parquet")
    done = nngmix("score", tmp_path / "m", tmp_path / "rows", "--output", tmp_path / "s.csv")
    assert (done.code, done.err) == (0, "")
    scores = pd.read_csv(tmp_path / "s.csv")
    assert scores["row"].tolist() == list(range(80))
    np.testing.assert_allclose(scores["score"][:40], scores["score"][40:], rtol=1e-12)
    frame[["n"]].assign(id=1).to_parquet(tmp_path / "rows" / "c.parquet")
    done = nngmix("score", tmp_path / "m", tmp_path / "rows", "--id", "id", "--top", 1)
    assert (done.code, "'id' is" in done.err, "c.parquet" in done.err) == (2, True, True)
    frame.rename(columns={"n": "m"}).assign(id="c").to_parquet(tmp_path / "rows" / "c.parquet")
    done = nngmix("score", tmp_path / "m", tmp_path / "rows", "--top", 1)
    assert (done.code, "c.parquet' " in done.err) == (2, True)
