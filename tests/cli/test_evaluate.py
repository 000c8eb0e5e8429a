"""gaintuning-tf evaluate: the contract's file, every combination, and a run that continues."""

import json

import numpy as np
import pytest
from skimage.data import camera
from skimage.io import imsave

from gaintuning_tf import InputError
from gaintuning_tf.cli.program import main
from gaintuning_tf.evaluation.measure import MEASURES


@pytest.fixture
def files(tmp_path, tiny):
    for kind in ("clean", "noisy"):
        (tmp_path / kind).mkdir()
    for index in range(3):
        clean = camera()[100 * index : 100 * index + 24, 60:92]
        noise = 20 * np.random.default_rng(index).standard_normal(clean.shape)
        imsave(tmp_path / "clean" / f"{index}.png", clean, check_contrast=False)
        imsave(tmp_path / "noisy" / f"{index}.png", (clean + noise).clip(0, 255).astype("uint8"), check_contrast=False)
    tiny.save(tmp_path / "tiny.keras")
    return tmp_path


def evaluate(files, *arguments, source="clean"):
    command = ["evaluate", files / source, "--model", files / "tiny.keras", "--steps", 1, *arguments]
    return main(list(map(str, command)))


def test_one_setting_writes_the_contracts_json(files, capsys):
    assert evaluate(files, "--sigma", 25, "--json", files / "o.json") == 0
    table = json.loads((files / "o.json").read_text())
    assert list(table) == ["images", "mean", "spread", "settings"]
    assert set(table["mean"]) == set(MEASURES)
    assert [set(row) for row in table["images"]] == [set(MEASURES) | {"image"}] * 3
    gains = [row["psnr_tuned"] - row["psnr_pretrained"] for row in table["images"]]
    assert table["spread"] == {
        "below_pretrained": sum(gain < 0 for gain in gains),
        "least_gain": min(gains),
        "most_gain": max(gains),
    }
    assert {"folder", "sigma", "model", "steps", "seed", "limit", "no_tune", "version"} <= set(table["settings"])
    assert table["settings"]["sigma"] == 25
    out = capsys.readouterr().out
    assert "MEAN" in out
    assert "of 3 images below the pre-trained output" in out
    assert sorted(file.name for file in files.iterdir()) == ["clean", "noisy", "o.json", "tiny.keras"]


def test_the_recipe_can_be_chosen(files, capsys):
    found = {}
    for name, arguments in {"plain": ["--plain"], "narrow": ["--prior", 0.001], "default": []}.items():
        arguments = [*arguments, "--sigma", 25, "--limit", 1, "--quiet", "--json", files / f"{name}.json"]
        assert evaluate(files, *arguments) == 0
        table = json.loads((files / f"{name}.json").read_text())
        found[name] = table["images"][0]["psnr_tuned"] - table["images"][0]["psnr_pretrained"]
    assert len(set(found.values())) == 3
    assert abs(found["narrow"]) < abs(found["default"])
    with pytest.raises(SystemExit) as error:
        evaluate(files, "--sigma", 25, "--plain", "--prior", 0.1)
    assert error.value.code == 2
    assert "not allowed with" in capsys.readouterr().err


def test_several_settings_are_every_combination_and_a_page_shows_them(files):
    pytest.importorskip("matplotlib")
    arguments = ("--sigma", 25, "--sigma", 50, "--model", "unet-piecewise", "--limit", 1, "--no-tune", "--quiet")
    assert evaluate(files, *arguments, "--json", files / "o.json", "--html", files / "o.html") == 0
    results = json.loads((files / "o.json").read_text())["results"]
    found = [(one["settings"]["model"], one["settings"]["sigma"]) for one in results]
    tiny = str(files / "tiny.keras")
    assert found == [(tiny, 25), (tiny, 50), ("unet-piecewise", 25), ("unet-piecewise", 50)]
    assert [len(one["images"]) for one in results] == [1] * 4
    page = (files / "o.html").read_text()
    assert page.count("<h2>") == 5  # the means, and each setting
    # Of each setting two drawings, and of its one image the noisy, pretrained, tuned and clean one.
    assert page.count('<svg class="chart"') == 8
    assert page.count('src="data:image/png') == 16


def test_methods_and_the_oracle_add_their_columns(files, capsys):
    pytest.importorskip("bm3d")
    names = ["bm3d", "nlm", "all-weights", "last-layer", "scratch"]
    arguments = ("--limit", 1, "--oracle", "--compare", *names, "--scratch-iterations", 1)
    assert evaluate(files, "--sigma", 25, *arguments, "--json", files / "o.json") == 0
    table = json.loads((files / "o.json").read_text())
    added = {f"{key}_{name}" for name in [*names, "oracle"] for key in ("psnr", "ssim", "seconds")}
    assert set(table["images"][0]) == set(MEASURES) | {"image"} | added
    assert set(table["mean"]) == set(MEASURES) | {"fraction"} | added
    assert table["settings"]["compare"] == names
    assert "psnr_all-weights" in capsys.readouterr().out


def test_noisy_images_with_clean_ones_beside_them(files):
    arguments = ("--clean", files / "clean", "--sigma", "auto", "--quiet", "--json", files / "o.json")
    assert evaluate(files, *arguments, source="noisy") == 0
    table = json.loads((files / "o.json").read_text())
    assert table["settings"]["sigma"] == "auto"
    assert table["settings"]["channel"] is None
    assert table["mean"]["psnr_noisy"] == pytest.approx(20 * np.log10(255 / 20), abs=0.7)  # clipping takes some noise


def without_seconds(file):
    table = json.loads(file.read_text())
    for one in table["results"]:
        for row in [*one["images"], one["mean"]]:
            del row["seconds"]
    return table


def test_an_interrupted_run_continues_where_it_stopped(files, monkeypatch, capsys):
    arguments = ("--sigma", 25, "--sigma", 50)
    assert evaluate(files, *arguments, "--json", files / "whole.json") == 0
    import gaintuning_tf.evaluation.measure as module

    calls, measure = [], module._measure

    def stopping(*arguments):
        calls.append(len(calls))
        if calls[-1] == 4:
            raise KeyboardInterrupt
        return measure(*arguments)

    monkeypatch.setattr(module, "_measure", stopping)
    assert evaluate(files, *arguments, "--json", files / "o.json") == 130
    assert "4 rows kept" in capsys.readouterr().err
    assert not (files / "o.json").exists()
    partial = files / "o.json.partial.jsonl"
    partial.write_bytes(partial.read_bytes()[:-3])  # as a crash might leave it
    monkeypatch.setattr(module, "_measure", lambda *arguments: calls.append("again") or measure(*arguments))

    assert evaluate(files, "--sigma", 25, "--json", files / "o.json") == 2
    assert "--restart" in capsys.readouterr().err
    assert evaluate(files, *arguments, "--json", files / "o.json") == 0
    assert calls.count("again") == 3  # the torn row and the two that were missing
    assert without_seconds(files / "o.json") == without_seconds(files / "whole.json")
    assert not partial.exists()


def test_another_network_of_the_same_name_is_noticed_and_restart_starts_anew(files, tiny, monkeypatch, capsys):
    import gaintuning_tf.reports.evaluation_report as page

    def fail(*arguments):
        raise InputError("no page")

    with monkeypatch.context() as patch:
        patch.setattr(page, "write_page", fail)
        assert evaluate(files, "--sigma", 25, "--json", files / "o.json", "--html", files / "o.html") == 2
    assert (files / "o.json.partial.jsonl").exists()
    tiny.get_layer("last").kernel.assign(0.5 * tiny.get_layer("last").kernel)
    tiny.save(files / "tiny.keras")
    assert evaluate(files, "--sigma", 25, "--json", files / "o.json") == 2
    assert "another network" in capsys.readouterr().err
    before = json.loads((files / "o.json").read_text())
    assert evaluate(files, "--sigma", 25, "--json", files / "o.json", "--restart") == 0
    after = json.loads((files / "o.json").read_text())
    assert after["mean"]["psnr_pretrained"] != before["mean"]["psnr_pretrained"]
    assert not (files / "o.json.partial.jsonl").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent", "--sigma", "25"], "found none at absent"),
        (["noisy"], "--sigma"),
        (["noisy", "--sigma", "-1"], "positive number"),
        (["clean", "--sigma", "auto"], "with --clean"),
        (["noisy", "--clean", "absent", "--sigma", "auto"], "found none at absent"),
        (["noisy", "--clean", "one", "--sigma", "auto"], "found none for 2, such as 1.png"),
        (["clean", "--sigma", "25", "--model", "none"], "'none'"),
        (["clean", "--sigma", "25", "--limit", "0"], "--limit"),
        (["clean", "--sigma", "25", "--compare", "magic"], "magic"),
        (["tfds:mnist", "--sigma", "25", "--channel", "green"], "taken as grey"),
        (["clean", "--sigma", "25", "--loss", "count-splitting"], "gaussian"),
        (["clean", "--sigma", "25", "--scratch-iterations", "0"], "--scratch-iterations"),
        (["clean", "--sigma", "25", "--restart"], "--json FILE"),
        (["clean", "--sigma", "25", "--json", "a", "--html", "a"], "differ"),
        (["clean", "--sigma", "25", "--json", "no/such.json"], "does not exist"),
    ],
)
def test_bad_input_is_one_line_before_tensorflow_starts(files, monkeypatch, capsys, arguments, message):
    (files / "one").mkdir()
    (files / "one" / "0.png").write_bytes((files / "clean" / "0.png").read_bytes())
    monkeypatch.chdir(files)
    monkeypatch.setattr("gaintuning_tf.cli.program.start_tensorflow", lambda: pytest.fail("too late"))
    before = sorted(files.rglob("*"))
    try:
        status = main(["evaluate", *arguments])
    except SystemExit as leave:
        status = leave.code
    assert status == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert message in error
    assert sorted(files.rglob("*")) == before


def test_the_network_is_chosen_by_the_noise_and_the_first_image(files, capsys):
    colour = files / "colour"
    colour.mkdir()
    imsave(colour / "a.png", np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8))
    settings = ["--no-tune", "--limit", 1, "--quiet", "--json", files / "o.json"]
    pairs = ["--clean", files / "clean"]
    expected = {
        ("auto", files / "clean", "--sigma", 25): "drunet-grey",
        ("auto", colour, "--sigma", 25): "drunet-color",
        ("best", colour, "--sigma", 25, "--channel", "green"): "drunet-grey",
        ("fast", colour, "--sigma", 25): "unet-bf-natural",
        ("auto", files / "noisy", "--sigma", "auto", *pairs): "unet-bf-natural",
    }
    for (model, folder, *more), name in expected.items():
        command = ["evaluate", folder, "--model", model, *more, *settings]
        assert main(list(map(str, command))) == 0
        assert json.loads((files / "o.json").read_text())["settings"]["model"] == name
