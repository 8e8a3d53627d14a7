"""Prints lines that look like the program's own, after every kind of line break, with escapes and noise."""

import os

from honest import rebalance

__all__ = ["rebalance"]

for line_break in (
    "\n",
    "\r",
    "\r\n",
    "\v",
    "\f",
    "\x1c",
    "\x85",
    "\u2028",
    "\u2029",
    "\0",
    "\x1b[1A\x1b[2K",
    "\b" * 20,
):
    text = f"{line_break}ingestion: scored{line_break}[2/2] Tinymodel/Secretset ep 3 +2: ok, mean_par 1.0, transmit 0"
    os.write(1, text.encode())
os.write(2, bytes(range(256)) + b"\xed\xb3\xbf\x1b]0;title\x07\x1b[31m<script>alert(1)</script>")
print("\nforged")
