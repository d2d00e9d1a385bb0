import signal
import threading

import pytest

from thermofit_pl.distributed.signals import Signals, Stopped


def test_a_kept_signal_waits_and_a_second_stops() -> None:
    with Signals() as signals:
        signals.keep(True)
        signal.raise_signal(signal.SIGTERM)
        assert signals.received == signal.SIGTERM
        with pytest.raises(Stopped) as stopped:
            signal.raise_signal(signal.SIGINT)
    assert (stopped.value.number, stopped.value.code) == (130, 130)
    assert stopped.value.sentence == "stopped by SIGINT"


def test_a_signal_that_is_not_kept_stops_at_once() -> None:
    with Signals() as signals:
        signals.keep(True)
        signals.keep(False)
        with pytest.raises(Stopped, match="143"):
            signal.raise_signal(signal.SIGTERM)


def test_keeping_listens_again_where_another_has_put_its_handler() -> None:
    with Signals() as signals:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signals.keep(True)
        signal.raise_signal(signal.SIGTERM)
        assert signals.received == signal.SIGTERM


def test_handlers_are_given_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    with Signals():
        assert signal.getsignal(signal.SIGTERM) != before[0]
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before


def test_other_threads_leave_signals_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def listen() -> None:
        with Signals() as signals:
            signals.keep(True)
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert seen == [before]
