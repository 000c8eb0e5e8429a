"""The command line as a user types it: each test runs the installed program or its main function."""

import contextlib
import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
import time

import numpy as np
import pytest
import tifffile
from skimage.data import astronaut, camera
from skimage.io import imread, imsave

from gaintuning_tf.cli.program import main

SIGMA = 25


def run(*arguments, **options):
    command = [sys.executable, "-m", "gaintuning_tf", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, **options)


@pytest.fixture
def files(tmp_path):
    clean = camera()[100:164, 200:263]
    noise = SIGMA * np.random.default_rng(0).standard_normal(clean.shape)
    imsave(tmp_path / "clean.png", clean)
    imsave(tmp_path / "noisy.png", np.clip(clean + noise, 0, 255).astype("uint8"))
    return tmp_path


def denoise(files, *arguments, name="noisy.png"):
    return main(["denoise", str(files / name), "--steps", "2", "--quiet", *map(str, arguments)])


def test_the_whole_way_with_every_output(files, capsys):
    out, report, gains = files / "out.png", files / "r.html", files / "a.gains.h5"
    status = denoise(
        files,
        "-o",
        out,
        "--sigma",
        SIGMA,
        "--reference",
        files / "clean.png",
        "--report",
        report,
        "--save-gains",
        gains,
        "--json",
    )
    assert status == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["sigma"] == SIGMA
    assert summary["steps"] == 2
    assert summary["psnr_tuned"] > summary["psnr_noisy"] + 4
    assert summary["ssim_tuned"] > summary["ssim_noisy"]
    assert imread(out).dtype == np.uint8
    assert imread(out).shape == (64, 63)
    assert report.stat().st_size > 10_000
    assert sorted(file.name for file in files.iterdir()) == [
        "a.gains.h5",
        "clean.png",
        "noisy.png",
        "out.png",
        "r.html",
    ]

    again = files / "again.png"
    assert denoise(files, "-o", again, "--sigma", SIGMA, "--load-gains", gains, "--no-tune") == 0
    np.testing.assert_array_equal(imread(again), imread(out))


def test_the_same_command_writes_the_same_bytes(files):
    for name in ("a.png", "b.png"):
        assert denoise(files, "-o", files / name) == 0
    assert (files / "a.png").read_bytes() == (files / "b.png").read_bytes()


def test_colour_jpeg_and_sixteen_bit_tiff_and_stacks(files):
    imsave(files / "colour.jpg", astronaut()[:61, :50], quality=95)
    tifffile.imwrite(files / "deep.tif", 16 * camera()[:61, :50].astype("uint16"))
    tifffile.imwrite(files / "stack.tif", np.stack([camera()[:61, :50]] * 2))
    assert denoise(files, "-o", files / "colour-out.jpg", "--sigma", 10, name="colour.jpg") == 0
    assert imread(files / "colour-out.jpg").shape == (61, 50, 3)
    assert denoise(files, "-o", files / "deep-out.tif", "--sigma", 160, name="deep.tif") == 0
    deep = imread(files / "deep-out.tif")
    assert deep.dtype == np.uint16
    assert abs(deep.mean() / 16 - camera()[:61, :50].mean()) < 5
    assert denoise(files, "-o", files / "stack-out.tif", "--sigma", 10, "--axes", "TYX", name="stack.tif") == 0
    assert tifffile.imread(files / "stack-out.tif").shape == (2, 61, 50)


def test_counts_and_the_plain_method(files, capsys):
    counts = np.random.default_rng(0).poisson(camera()[100:164, 200:263] / 25).astype(np.uint16)
    tifffile.imwrite(files / "counts.tif", counts)
    options = ("-o", files / "out.tif", "--data-range", 10, "--noise", "poisson", "--json")
    assert denoise(files, *options, name="counts.tif") == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["gain"] == pytest.approx(1, abs=0.15)
    assert "sigma" not in summary
    assert summary["loss"] == "sure"
    assert tifffile.imread(files / "out.tif").dtype == np.uint16
    assert denoise(files, "-o", files / "plain.png", "--sigma", SIGMA, "--plain", "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["loss"], summary["sigma"]) == ("monte-carlo-sure", SIGMA)


def test_a_model_file_will_do(files, tiny):
    tiny.save(files / "m.keras")
    assert denoise(files, "-o", files / "out.png", "--model", files / "m.keras", "--sigma", SIGMA) == 0


BAD = {
    "missing file": (["absent.png"], "no such file"),
    "not an image": (["text.png"], "cannot read"),
    "empty file": (["empty.png"], "cannot read"),
    "empty array": (["nothing.npy"], "at least 2 pixels"),
    "one pixel": (["pixel.png"], "at least 2 pixels"),
    "wrong axes": (["noisy.png", "--axes", "TYX"], "names 3 axes"),
    "nonsense axes": (["noisy.png", "--axes", "AB"], "have Y and X"),
    "stack without axes": (["stack.tif"], "--axes TYX"),
    "not a number": (["nan.npy"], "NaN"),
    "sigma zero": (["noisy.png", "--sigma", "0"], "positive number"),
    "sigma negative": (["noisy.png", "--sigma", "-3"], "positive number"),
    "sigma a word": (["noisy.png", "--sigma", "much"], "--sigma"),
    "no noise to estimate": (["flat.png"], "no noise"),
    "steps negative": (["noisy.png", "--steps", "-1"], "at least 0"),
    "unknown model": (["noisy.png", "--model", "unet"], "unet-bf-natural"),
    "model that is none": (["noisy.png", "--model", "text.keras"], "cannot load"),
    "model that shrinks": (["noisy.png", "--model", "shrinks.keras"], "size of its input"),
    "model of two channels": (["noisy.png", "--model", "double.keras"], "output has its input's shape"),
    "read-only folder": (["noisy.png", "-o", "/proc/out.png"], "cannot write"),
    "no folder": (["noisy.png", "-o", "no/such/out.png"], "does not exist"),
    "unknown format": (["noisy.png", "-o", "out.xyz"], "suffixes"),
    "output over input": (["noisy.png", "-o", "noisy.png"], "differ from the input"),
    "outputs over each other": (["noisy.png", "--save-gains", "out.png"], "differ"),
    "reference of another size": (["noisy.png", "--reference", "pixel.png"], "shape"),
    "gains of another network": (["noisy.png", "--load-gains", "other.gains.h5"], "gains of"),
    "gains absent": (["noisy.png", "--load-gains", "no.gains.h5"], "no such file"),
    "counts without counts": (["noisy.png", "--loss", "count-splitting"], "expects noise of counts"),
    "plain with counts": (["noisy.png", "--plain", "--noise", "poisson"], "expected auto or gaussian noise"),
    "unknown option": (["noisy.png", "--sharpen"], "--sharpen"),
    "no command": ([], ""),
}


@pytest.fixture(scope="module")
def bad_files(tmp_path_factory):
    import keras

    from gaintuning_tf import insert_gains, save_gains

    folder = tmp_path_factory.mktemp("bad")
    imsave(folder / "noisy.png", camera()[:20, :20])
    imsave(folder / "pixel.png", np.zeros((1, 1), "uint8"), check_contrast=False)
    imsave(folder / "flat.png", np.zeros((20, 20), "uint8"), check_contrast=False)
    for name in ("text.png", "text.keras"):
        (folder / name).write_text("text")
    (folder / "empty.png").write_bytes(b"")
    np.save(folder / "nothing.npy", np.zeros((0, 5)))
    np.save(folder / "nan.npy", np.full((5, 5), np.nan))
    tifffile.imwrite(folder / "stack.tif", np.zeros((5, 8, 8), "uint8"))
    shrinks = keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(1, 3)])
    shrinks.save(folder / "shrinks.keras")
    save_gains(insert_gains(shrinks), folder / "other.gains.h5")
    keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(2, 3, padding="same")]).save(
        folder / "double.keras"
    )
    return folder


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_status_two_and_nothing_written(case, bad_files, capfd, monkeypatch):
    arguments, message = BAD[case]
    monkeypatch.chdir(bad_files)
    before = {file: file.read_bytes() for file in bad_files.iterdir()}
    if arguments:
        arguments = ["denoise", *arguments, "--quiet", *([] if "-o" in arguments else ["-o", "out.png"])]
    try:
        status = main(arguments)
    except SystemExit as stop:
        status = stop.code
    assert status == 2
    if arguments:
        error = capfd.readouterr().err
        assert error.startswith("error: ")
        assert error.count("\n") == 1
        assert message in error
    assert {file: file.read_bytes() for file in bad_files.iterdir()} == before


@pytest.mark.parametrize(
    "command", [["denoise", "a.png", "-o", "b.png", "--noise", "gaussian"], ["evaluate", ".", "--sigma", "25"]]
)
def test_a_loss_of_counts_with_gaussian_noise_is_refused_before_tensorflow_starts(tmp_path, command):
    imsave(tmp_path / "a.png", camera()[:64, :64])
    program = "import sys, gaintuning_tf.cli.program as c; print(c.main(sys.argv[1:]), 'tensorflow' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program, *command, "--loss", "count-splitting"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=60,  # it had no end
    )
    assert done.stdout == "2 False\n"
    expected = (
        "error: expected auto, poisson or poisson-gaussian noise with the loss count-splitting, received gaussian"
    )
    assert done.stderr.startswith(expected) and done.stderr.count("\n") == 1
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]


def test_what_was_meant_is_said(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for arguments, meant in (
        (["denoise", "a.png", "-o", "b.png", "--sgima", "25"], "--sigma"),
        (["denoise", "a.png", "--outptu", "b.png"], "--output"),
        (["denose", "a.png"], "denoise"),
        (["denoise", "a.png", "-o", "b.png", "--loss", "sur"], "sure"),
        (["denoise", "a.png", "-o", "b.png", "--model", "unet-bf-natrual"], "unet-bf-natural"),
        (["denoise", "a.png", "-o", "b.png", "--model", "atuo"], "auto"),
    ):
        try:
            status = main(arguments)
        except SystemExit as stop:
            status = stop.code
        assert status == 2
        error = capsys.readouterr().err
        assert f"did you mean {meant}?" in error and error.count("\n") == 1


def test_a_closed_pipe_is_no_error():
    command = f"{sys.executable} -m gaintuning_tf models | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("0\n", "")


INTERRUPTED_IMPORT = """
import os, signal, sys
import gaintuning_tf.__main__

class Finger:
    @staticmethod
    def find_spec(name, *_):
        if name == "numpy":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Finger)
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(gaintuning_tf.__main__.main())
"""


def test_ctrl_c_while_all_is_imported_is_one_line():
    program = [sys.executable, "-c", INTERRUPTED_IMPORT, "models"]
    done = subprocess.run(program, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted: nothing written\n")


def test_the_shell_completes_options(tmp_path):
    pytest.importorskip("argcomplete")
    line = "gaintuning-tf denoise --sig"
    answer = tmp_path / "answer"
    variables = {"_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line)), "_ARGCOMPLETE_IFS": "\n"}
    environment = os.environ | variables | {"_ARGCOMPLETE_STDOUT_FILENAME": str(answer)}
    done = subprocess.run([sys.executable, "-m", "gaintuning_tf"], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert answer.read_text().strip() == "--sigma"


def test_verbose_says_what_goes_on_in_pipes_too_and_profile_how_long_it_took(files, tiny, capsys):
    tiny.save(files / "m.keras")
    assert main(["denoise", str(files / "noisy.png"), "-o", str(files / "out.png"), "--steps", "1", "--sigma", "25",
                 "--model", str(files / "m.keras"), "--verbose", "--profile"]) == 0  # fmt: skip
    said, profile = capsys.readouterr().err.split("starting\n")
    assert all(f" s  {words}\n" in said for words in ("looking at the noise", "denoising", "writing"))
    *rows, whole = [line.split(" s  ") for line in profile.splitlines()]
    assert {"looking at the noise", "steps", "choice", "writing"} <= {words for _, words in rows}
    assert any(words.startswith("tracing, ") for _, words in rows)
    assert whole[1] == "in all" and sum(float(seconds) for seconds, _ in rows) < float(whole[0]) + 0.01


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["noisy.png", "-o", "out.png", "--report", "r.pdf"], "suffix .html for --report"),
        (["noisy.png", "-o", "out.png", "--save-gains", "g.npy"], "suffix .h5 for --save-gains"),
        (["movie.tif", "-o", "out.png"], "an output that holds a stack"),
    ],
)
def test_outputs_of_a_wrong_kind_are_refused_before_the_work(files, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(files)
    monkeypatch.setattr("gaintuning_tf.cli.program.start_tensorflow", lambda *_: pytest.fail("too late"))
    tifffile.imwrite("movie.tif", np.zeros((2, 20, 20), "uint8"), photometric="minisblack", metadata={"axes": "TYX"})
    assert main(["denoise", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_models_lists_the_networks(capsys):
    assert main(["models"]) == 0
    shown = capsys.readouterr().out
    assert "unet-bf-natural\n" in shown and "auto, the default" in shown
    assert main(["models", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["gains"] > 0


def test_models_shows_a_card(capsys):
    assert main(["models", "unet-bf-natural"]) == 0
    assert "unet-bf-natural" in capsys.readouterr().out.splitlines()[0]
    assert main(["models", "drunet-grey", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["channels"] == 1
    assert main(["models", "drunet-gray"]) == 2
    assert "did you mean drunet-grey?" in capsys.readouterr().err


def test_a_training_by_the_settings_of_a_network_that_comes_with_us(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("gaintuning_tf.cli.program.start_tensorflow", lambda *_: sys.exit("as far as that"))
    with pytest.raises(SystemExit, match="as far as that"):
        main(["train", "synthetic:nanoparticles:1", "-o", "a.keras", "--config", "unet-bf-natural"])
    assert main(["train", "synthetic:nanoparticles:1", "-o", "a.keras", "--config", "unet"]) == 2
    assert "unet-bf-natural, " in capsys.readouterr().err


def test_help_and_what_is_wrong_import_nothing_slow(tmp_path):
    code = "import sys; sys.argv[1:] = ['--help']; from gaintuning_tf.cli import main\n"
    code += "try: main()\nexcept SystemExit: pass\nprint(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert "denoise" in done.stdout and "gaintuning_tf.cli.parser" in done.stdout.split()
    slow = {"tensorflow", "keras", "skimage", "scipy", "matplotlib", "pandas", "jax"}
    assert not slow & set(done.stdout.split())
    for wrong in (["denoise", "absent.png", "-o", "out.png"], ["models"]):
        code = (
            f"import sys; from gaintuning_tf.cli import main; main({wrong});"
            "print([m for m in sys.modules if m == 'tensorflow'])"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
        assert done.stdout.splitlines()[-1] == "[]"


def test_the_program_says_nothing_but_what_it_has_to_say(files):
    done = run("denoise", files / "noisy.png", "-o", files / "out.png", "--no-tune", "--json", "--quiet")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert json.loads(done.stdout)["steps"] == 0
    loud = run("denoise", files / "noisy.png", "-o", files / "out.png", "--steps", "2", "--sigma", "25")
    assert loud.stdout == ""
    assert "sigma 25 (given), 2 steps" in loud.stderr
    assert "Traceback" not in loud.stderr
    assert "cuda" not in loud.stderr.lower()


# Counts how often a picture is decoded.
DECODED = """
import sys, PIL.Image
from gaintuning_tf import cli

plain = PIL.Image.open

def opened(path, *args, **options):
    print("decoded", path.name)
    return plain(path, *args, **options)

PIL.Image.open = opened
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.mark.parametrize("more", [[], ["--dtype", "uint8", "--report", "r.html"]], ids=["image", "stack"])
def test_a_picture_is_decoded_once_and_warned_of_once(files, tiny, more):
    tiny.save(files / "m.keras")
    for name in ("noisy", "clean"):
        image = imread(files / f"{name}.png")
        imsave(files / f"{name}-alpha.png", np.dstack([image] * 3 + [image]), check_contrast=False)
    command = ["denoise", "noisy-alpha.png", "-o", "out.png", "--reference", "clean-alpha.png", "--model", "m.keras"]
    command = [sys.executable, "-c", DECODED, *command, "--no-tune", "--quiet", *more]
    done = subprocess.run(command, capture_output=True, text=True, cwd=files)
    assert done.returncode == 0, done.stderr
    read = done.stdout.splitlines()
    assert read[:2] == ["decoded noisy-alpha.png", "decoded clean-alpha.png"]
    # The page shows the output as it is in its file.
    assert read[2:] == (["decoded out.png"] if more else [])
    # That of the input stays beside the colours.
    assert done.stderr.splitlines() == ([] if more else ["warning: clean-alpha.png: the alpha channel is dropped"])
    np.testing.assert_array_equal(imread(files / "out.png")[..., 3], imread(files / "noisy.png"))


def drain(terminal):
    with open(terminal, "rb", buffering=0) as file, contextlib.suppress(OSError):
        while file.read(1024):
            pass


def test_ctrl_c_while_tuning_writes_the_best_so_far(files):
    def listen():
        # A shell's background jobs ignore Ctrl-C, and so would this process, if the tests are one.
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    command = [sys.executable, "-m", "gaintuning_tf", "denoise", files / "noisy.png", "-o", files / "out.png"]
    command += ["--model", "unet-bf-natural"]
    terminal, stderr = pty.openpty()
    # A terminal without columns has no room for a bar.
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    process = subprocess.Popen(
        [*command, "--steps", "100000", "--json"], stdout=subprocess.PIPE, stderr=stderr, preexec_fn=listen
    )
    os.close(stderr)
    try:
        seen = b""
        while b"risk=" not in seen:  # the bar has it from the first step on
            character = os.read(terminal, 1)
            assert character, f"ended before tuning began: {seen.decode()}"
            seen += character
        process.send_signal(signal.SIGINT)
        # Nobody who writes to a terminal that is not read goes on.
        threading.Thread(target=drain, args=(terminal,), daemon=True).start()
        out, _ = process.communicate(timeout=120)
    finally:
        process.kill()
    # A terminal is told what one waits for.
    for words in (b"importing TensorFlow ...", b"loading unet-bf-natural ...", b"tracing, "):
        assert words in seen, seen.decode()
    assert process.returncode == 0
    summary = json.loads(out)
    assert summary["interrupted"]
    assert summary["steps"] < 100000
    assert imread(files / "out.png").shape == (64, 63)


TRAIN = ("--steps", 60, "--checkpoint-every", 20, "--crop", 16, "--batch", 2, "--seed", 4)


def test_train_killed_and_resumed_gives_the_weights_of_an_uninterrupted_run(tmp_path):
    source = "synthetic:piecewise-constant:3"
    straight = run("train", source, "-o", tmp_path / "a.keras", *TRAIN)
    assert straight.returncode == 0, straight.stderr
    assert "60/60" not in straight.stderr, "bars are for terminals"
    command = [sys.executable, "-m", "gaintuning_tf", "train", source, "-o", tmp_path / "b.keras", *TRAIN]
    process = subprocess.Popen(list(map(str, command)), stderr=subprocess.DEVNULL)
    log = tmp_path / "b.run" / "log.csv"
    while process.poll() is None and not (log.exists() and log.read_text().count("\n") >= 2):
        time.sleep(0.005)
    process.kill()
    process.wait()
    assert not (tmp_path / "b.keras").exists()
    refused = run("train", source, "-o", tmp_path / "b.keras", *TRAIN)
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: ")
    assert "--resume" in refused.stderr
    # With the settings of the run, which need not be told again.
    resumed = run("train", source, "-o", tmp_path / "b.keras", "--resume")
    assert resumed.returncode == 0, resumed.stderr
    from gaintuning_tf import load_denoiser

    one, other = (load_denoiser(tmp_path / name) for name in ("a.keras", "b.keras"))
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "-o", "a.keras"], "found none at nowhere"),
        (["synthetic:clouds", "-o", "a.keras"], "'clouds'"),
        (["synthetic:nanoparticles:1", "-o", "a.h5"], ".keras"),
        (["synthetic:nanoparticles:1", "-o", "a.keras", "--sigma", "5", "1"], "expected sigma"),
        (["synthetic:nanoparticles:1", "-o", "a.keras", "--steps", "0"], "steps"),
        (["synthetic:nanoparticles:1", "-o", "a.keras", "--start", "none"], "'none'"),
        (["synthetic:nanoparticles:1", "-o", "a.keras", "--config", "absent.json"], "absent.json"),
        (["synthetic:nanoparticles:1", "-o", "a.keras", "--noise", "salt"], "invalid choice"),
        (["synthetic:nanoparticles:1", "-o", "a.keras", "--noise", "camera", "--objective", "sure"], "supervised"),
        (["synthetic:nanoparticles:1", "-o", "a.keras", "--noise", "camera", "--white", "2"], "expected white"),
    ],
)
def test_train_refuses_before_it_starts(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("gaintuning_tf.cli.program.start_tensorflow", lambda: pytest.fail("too late"))
    try:
        status = main(["train", *arguments])
    except SystemExit as leave:
        status = leave.code
    assert status == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert message in error
    assert list(tmp_path.iterdir()) == []


def test_a_single_image_of_few_counts_rounded_to_integers_is_told(tmp_path, monkeypatch, capsys):
    from helpers.networks import make_tiny

    monkeypatch.chdir(tmp_path)
    make_tiny().save("m.keras")
    np.save("counts.npy", np.random.default_rng(0).poisson(0.5, (32, 36)).astype(np.uint16))
    arguments = ["denoise", "counts.npy", "--noise", "poisson", "--model", "m.keras", "--steps", "1", "-o", "a.npy"]
    assert main(arguments) == 0
    assert "warning: a.npy is rounded to uint16" in capsys.readouterr().err
