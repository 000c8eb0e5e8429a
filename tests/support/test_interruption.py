"""Ctrl-C is remembered, once, and otherwise as ever."""

import signal
import subprocess
import sys
import threading
import time

import pytest

from gaintuning_tf.support.interruption import CtrlC


@pytest.fixture(autouse=True)
def python_handles_ctrl_c():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_the_first_is_remembered_and_the_second_raises():
    with CtrlC() as ctrl_c:
        assert not ctrl_c.pressed
        signal.raise_signal(signal.SIGINT)
        assert ctrl_c.pressed
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_it_is_given_back_after_an_error_too():
    with pytest.raises(ZeroDivisionError), CtrlC():
        raise ZeroDivisionError
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_handler_of_the_programs_own_stays():
    seen = []
    signal.signal(signal.SIGINT, lambda *_: seen.append("own"))
    with CtrlC() as ctrl_c:
        signal.raise_signal(signal.SIGINT)
    assert (seen, ctrl_c.pressed) == (["own"], False)


def test_another_thread_leaves_it_alone():
    handlers = []

    def work():
        with CtrlC():
            handlers.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert handlers == [signal.default_int_handler]


# What Python cannot interrupt: one call of compiled code that takes minutes.
DEAF = """
import hashlib, sys
from gaintuning_tf.support import atomic_files, interruption
interruption.HEARD = interruption.CLEANED = 0.3
with interruption.second_ends(atomic_files.remove_unfinished), atomic_files.replacing(sys.argv[1]) as temporary:
    temporary.write_text("half")
    print("begun", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)
"""


def test_a_second_one_ends_what_is_deaf_and_leaves_nothing(tmp_path):
    command = [sys.executable, "-c", DEAF, str(tmp_path / "a.txt")]

    def listen():
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=listen) as process:
        process.stdout.readline()
        time.sleep(0.3)  # it is in that call
        process.send_signal(signal.SIGINT)
        heard = process.stderr.readline()
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        error = process.stderr.read()
    assert process.returncode == 130
    assert heard.startswith(b"Ctrl-C was heard")
    assert error == b"interrupted: ended at once, without the unfinished output\n"
    assert not list(tmp_path.iterdir())
