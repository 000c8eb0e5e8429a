"""Ctrl-C is remembered, once, and otherwise as ever."""

import signal
import threading

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
