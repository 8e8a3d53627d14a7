"""Calls the kernel for namespaces, mounts, modules, rings, filters, keys, and all that a policy has no use for."""

import ctypes

from honest import HERE, attempt, call, rebalance

__all__ = ["rebalance"]

room = ctypes.create_string_buffer(256)
here = ctypes.addressof(room)
policy = f"{HERE}/policy.py".encode()
# Arguments that do no harm where a call is open.
for name, *arguments in (
    ("io_uring_setup", 1, here),
    ("userfaultfd", 1),
    ("io_setup", 1, 0),
    ("bpf", 0, here, 0),
    ("perf_event_open", here, 0, -1, -1, 0),
    ("unshare", 0x10000000),
    ("unshare", 0x00020000),
    ("setns", -1, 0),
    ("mount", b"none", b"/", b"no-such-type", 0, 0),
    ("umount2", policy, 0),
    ("chroot", b"/"),
    ("pivot_root", b"/", b"/"),
    ("fsopen", b"no-such-type", 0),
    ("open_tree", -100, policy, 1),
    ("mount_setattr", -100, policy, 0, here, 32),
    ("swapon", b"/no-such-file", 0),
    ("reboot", 0, 0, 0, 0),
    ("kexec_load", 0, 1000000, 0, 0),
    ("init_module", 0, 0, b""),
    ("delete_module", b"no_such_module", 0),
    ("acct", b"/no-such-file"),
    ("sethostname", b"", -1),
    ("syslog", 10, 0, 0),
    ("iopl", 3),
    ("open_by_handle_at", -1, here, 0),
    ("fanotify_init", 0, 0),
    ("mknodat", -100, f"{HERE}/device".encode(), 0o20600, 0x103),
    ("quotactl", -1, 0, 0, 0),
    ("migrate_pages", 0, 0, 0, 0),
):
    attempt(f"{name} {arguments}", lambda name=name, arguments=arguments: call(name, *arguments))
