"""Shuts the request socket down after the first call."""

import socket

import honest


def rebalance(*arguments):
    requests = honest.request_socket()
    requests.shutdown(socket.SHUT_RD)
    requests.detach()
    print("shut")
    return honest.rebalance(*arguments)
