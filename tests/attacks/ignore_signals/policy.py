"""Ignores and blocks every signal, swallows every exception, and never returns."""

import signal


def rebalance(hotness, n_device, n_red_expert):
    while True:
        try:
            signal.pthread_sigmask(signal.SIG_BLOCK, range(1, signal.NSIG))
            for number in range(1, 32):
                if number not in (signal.SIGKILL, signal.SIGSTOP):
                    signal.signal(number, signal.SIG_IGN)
            while True:
                signal.pause()
        except BaseException:
            pass
