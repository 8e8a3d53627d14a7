"""Looks into the request socket for the next window before it has answered."""

import socket
import threading
import time

import honest
from honest import attempt, request_socket


def ahead():
    requests = request_socket()
    try:
        return requests.recv(65536, socket.MSG_PEEK | socket.MSG_DONTWAIT) or None
    except BlockingIOError:
        return None
    finally:
        requests.detach()


def rebalance(*arguments):
    attempt("at the call", ahead)
    answer = honest.rebalance(*arguments)
    time.sleep(0.01)
    attempt("after waiting", ahead)
    thread = threading.Thread(target=attempt, args=("in a thread", ahead))
    thread.start()
    thread.join()
    return answer


attempt("at import", ahead)
