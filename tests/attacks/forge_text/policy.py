"""Reports a problem whose text steers terminals and pages, and imitates the log's own lines."""

import os

import honest
from placement.isolation import protocol


def rebalance(*arguments):
    print("forged", flush=True)
    text = "\x1b[2J\r\n<script>alert(1)</script>\n[2/2] Tinymodel: ok\ningestion: scored\n\u202e" * 100
    problem = {"kind": "problem", "status": "crashed", "what": text, "got": text, "expected": text, "next": text}
    os.write(honest.answer_pipe(), protocol.encode(problem))
    return honest.rebalance(*arguments)
