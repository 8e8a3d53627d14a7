"""What `kit.py check` says to the mistakes that a participant who is new makes, word for word."""

from __future__ import annotations

import re
import socket
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import yaml

import kit
from placement.isolation import exception_steps, failures, landlock, stack
from submissions import DECLINES, grid_mapping

ACCEPTED = "accepted"
MODEL = "Demo ep 4"
START, CALL = f"not accepted: {MODEL}, start: ", f"not accepted: {MODEL}, call 1 (iteration 4): "
LAYER = f"not accepted: {MODEL}, call 1 (iteration 4), layer 0: "
FUNCTION = "rebalance(hotness, n_device, n_red_expert)"
CLASS = "class Policy with __init__(self, case) and rebalance(self, hotness, deployment, iteration)"

NO_POLICY = "not accepted: submission: the submission has no policy.py. "
AT_THE_TOP = "Expected: policy.py at the top of the submission."
NO_FORM = f"{START}policy.py defines no policy. "
FORMS = f"Expected: {FUNCTION}, or {CLASS}."
ARGUMENTS = f"{START}the policy takes other arguments. "
CORRECT = "Next: correct the definition in policy.py."
FOUR_VALUES = "Expected: (change, layers_priority, deployment_table, aux)."
FOUR = f"{FOUR_VALUES} Next: return all four; to keep the deployment return (False, None, None, None)."
TWO_VALUES = "Expected: None, or (layers_priority, deployment_table)."
TWO = f"{TWO_VALUES} Next: return two values, without change and aux, or None to keep the deployment."
COROUTINE, WITHOUT = "Got: a coroutine, which async def gives.", "Next: write def rebalance, without async and await."
GENERATOR, RETURN = "Got: a generator, which yield gives.", "Next: return the answer instead of yielding it."
NOTHING = "Got: None, as a function without return gives."
NOT_READ = "rebalance returned no answer that can be read. "
PRIORITY = f"{CALL}layers_priority "
TABLE = f"{CALL}deployment_table "
SHAPE = "Expected: [3, 4, 3] [layer, device, slot]."
WHOLE = "Next: return the whole table, with every layer."
FLOATS = "Next: make the values integers: .astype(int) converts, // divides into integers."
RANGE = "Expected: 0 .. 7. Next: put a logical expert id, counted from 0, into every slot; no slot stays empty."
RAISED = "the policy raised an exception. Got: "
ANSWER = "Expected: an answer."
MEND = f"{ANSWER} Next: correct the line named above and try again."
NOT_LOADED = f"{START}the policy cannot be loaded. Got: "
READABLE = "Expected: what Python {}.{} can read.".format(*sys.version_info)
MEND_SOURCE = f"{READABLE} Next: correct the line named above and try again."
BRING = "as a module beside policy.py if it is pure Python, or do without it; kit.py check lists what the platform has."
NUMPY_HAS = "correct the name, or use a name of the platform's numpy 1.26.4; kit.py check lists names that are newer."
LINALG = np.linalg.__file__
FORBIDDEN = (
    "Expected: an answer. Next: a policy may read its own folder and Python's libraries, write into the folder that "
    "TMPDIR names, and start threads; everything else is closed, such as other files, processes and sockets (page "
    "Policy, section State, modules and files)."
)
NO_KIT = (
    f"{ANSWER} Next: import from placement, planning or adapters; other parts of the kit are missing when a policy "
    "runs."
)
TYPED = (
    f"{ANSWER} Next: a policy cannot read from a keyboard; to stop here, use kit.py replay --call N --again, and "
    "remove "
    "the line before the upload."
)
THREADS = (
    "Expected: an answer. Next: use threads (concurrent.futures.ThreadPoolExecutor); processes and all pools of "
    "multiprocessing are closed."
)
BESIDE = (
    "Expected: an answer. Next: put the file beside policy.py, and name it relative to policy.py's folder, in which "
    "the policy runs."
)
ATTRIBUTES = (
    "Expected: an answer. Next: use one of the attributes of case: layers, experts, devices, redundant_experts, slots, "
    "window, iterations, latency, initial_deployment, groups, nodes, balanced_compute_seconds, expert_bytes, "
    "bandwidth_bytes_per_second."
)
FASTER = "Next: make the policy faster; kit.py profile shows where the seconds of a call go."
INIT = "    def __init__(self, case):\n        self.case = case\n\n"


class Mistake(NamedTuple):
    """A submission's files by name, what the last line begins with, and limits other than the usual."""

    files: dict[str, str | bytes]
    verdict: str
    limits: dict[str, int] | None = None


def function(answer: str, *lines: str, above: str = "import numpy as np") -> dict[str, str]:
    """The function form: three layers, eight experts, four devices with three slots; the lines begin in line 5."""
    table = "table = np.array([[0, 1, 2], [3, 4, 5], [6, 7, 0], [1, 2, 3]] * 3).reshape(3, 4, 3)"
    return {"policy.py": "\n    ".join([f"{above}\n\ndef {FUNCTION}:", table, *lines, answer]) + "\n"}


def calling(line: str, above: str = "") -> dict[str, str]:
    """The function form that runs one line, line 4, and keeps the deployment."""
    return {"policy.py": f"import os, sys, time\n{above}\ndef {FUNCTION}:\n    {line}\n    return False, 0, 0, 0\n"}


def method(
    *lines: str, init: str = INIT, head: str = "    def rebalance(self, hotness, deployment, iteration):", name="Policy"
) -> dict[str, str]:
    """The class form."""
    return {"policy.py": f"class {name}:\n{init}{head}\n" + "".join(f"        {line}\n" for line in lines)}


MISTAKES = {
    # Files.
    "another file name": Mistake(
        {"my_policy.py": DECLINES},
        f"{NO_POLICY}Got: my_policy.py. {AT_THE_TOP} Next: rename my_policy.py to policy.py.",
    ),
    "a name that Windows hides": Mistake(
        {"policy.py.txt": DECLINES},
        f"{NO_POLICY}Got: policy.py.txt. {AT_THE_TOP} Next: rename policy.py.txt to policy.py.",
    ),
    "a notebook": Mistake(
        {"policy.ipynb": "{}"},
        f"{NO_POLICY}Got: policy.ipynb. {AT_THE_TOP} Next: save the code of policy.ipynb as policy.py.",
    ),
    "a zip in the folder": Mistake(
        {"submission.zip": b"PK"},
        f"{NO_POLICY}Got: submission.zip. {AT_THE_TOP} Next: unzip submission.zip, and put policy.py at the top.",
    ),
    "a folder too deep": Mistake(
        {"work/src/policy.py": DECLINES},
        f"{NO_POLICY}Got: work/src/policy.py. {AT_THE_TOP} "
        "Next: name the folder work/src, or put its files at the top of the zip.",
    ),
    "an outer folder": Mistake({"mine/policy.py": DECLINES, "mine/table.txt": ""}, ACCEPTED),
    "two versions": Mistake(
        {"v1/policy.py": DECLINES, "v2/policy.py": DECLINES},
        "not accepted: submission: the submission has several policy.py. Got: v1/policy.py, v2/policy.py. "
        f"{AT_THE_TOP} Next: keep one of them.",
    ),
    "numpy.py beside": Mistake(
        {"policy.py": DECLINES, "numpy.py": ""},
        "not accepted: submission: the name numpy is a library's. Got: numpy.py. "
        "Expected: no module of this name beside policy.py. Next: rename the module.",
    ),
    # What policy.py is made of.
    "nothing in it": Mistake(
        {"policy.py": ""}, f"{NO_FORM}Got: no function and no class. {FORMS} Next: define one of the two forms."
    ),
    "lines of a notebook": Mistake(
        {"policy.py": "%matplotlib inline\n" + DECLINES},
        f"{NOT_LOADED}SyntaxError: invalid syntax (policy.py, line 1). {MEND_SOURCE}",
    ),
    "no indentation": Mistake(
        {"policy.py": f"def {FUNCTION}:\nreturn False, 0, 0, 0\n"},
        f"{NOT_LOADED}IndentationError: expected an indented block after function definition on line 1 "
        f"(policy.py, line 2). {MEND_SOURCE}",
    ),
    "print of Python 2": Mistake(
        calling("print 'x'"),
        f"{NOT_LOADED}SyntaxError: Missing parentheses in call to 'print'. Did you mean print(...)? "
        f"(policy.py, line 4). {MEND_SOURCE}",
    ),
    "Windows' line ends": Mistake({"policy.py": DECLINES.replace("\n", "\r\n").encode()}, ACCEPTED),
    "a byte order mark": Mistake({"policy.py": b"\xef\xbb\xbf" + DECLINES.encode()}, ACCEPTED),
    "Latin-1": Mistake(
        {"policy.py": ("NAME = 'Gr\u00fc\u00dfe'\n" + DECLINES).encode("latin-1")},
        f"{NOT_LOADED}SyntaxError: (unicode error) 'utf-8' codec can't decode byte 0xfc in position 2: invalid start "
        f"byte (policy.py, line 1). {READABLE} Next: save the file as UTF-8.",
    ),
    # Names and arguments.
    "a class in lower case": Mistake(
        method("return None", name="policy"), f"{NO_FORM}Got: policy. {FORMS} Next: rename policy to Policy."
    ),
    "a class of another name": Mistake(
        method("return None", name="Solver"), f"{NO_FORM}Got: Solver. {FORMS} Next: rename Solver to Policy."
    ),
    "a method of another name": Mistake(
        method("return None", head="    def place(self, hotness, deployment, iteration):"),
        f"{NO_FORM}Got: class Policy with place. {FORMS} Next: define rebalance in class Policy.",
    ),
    "a balancer of DeepSeek's form": Mistake(
        {"policy.py": "def rebalance_experts(weight, num_replicas, num_groups, num_nodes, num_gpus):\n    pass\n"},
        # The last of three lines below the sentence, which tests/test_kit_check.py holds.
        "  Policy = policy_of(rebalance_experts)",
    ),
    "an argument too few": Mistake(
        {"policy.py": DECLINES.replace(", n_red_expert", "")},
        f"{ARGUMENTS}Got: rebalance(hotness, n_device). Expected: {FUNCTION}. {CORRECT}",
    ),
    "the class form's arguments in the function form": Mistake(
        {"policy.py": DECLINES.replace("n_device, n_red_expert", "deployment, iteration")},
        f"{ARGUMENTS}Got: rebalance(hotness, deployment, iteration). Expected: {FUNCTION}. "
        "Next: put the function into class Policy, with self as first argument.",
    ),
    "the function form's arguments in the class form": Mistake(
        method("return None", head="    def rebalance(self, hotness, n_device, n_red_expert):"),
        f"{ARGUMENTS}Got: rebalance(hotness, n_device, n_red_expert). Expected: {CLASS}. "
        "Next: take the sizes from case, or write the function form outside of a class.",
    ),
    "no __init__": Mistake(
        method("return None", init=""), f"{ARGUMENTS}Got: no __init__. Expected: {CLASS}. {CORRECT}"
    ),
    "an __init__ without case": Mistake(
        method("return None", init="    def __init__(self):\n        self.calls = 0\n"),
        f"{ARGUMENTS}Got: __init__(self). Expected: {CLASS}. {CORRECT}",
    ),
    "no self": Mistake(
        method("return None", head="    def rebalance(hotness, deployment, iteration):"),
        f"{ARGUMENTS}Got: rebalance(hotness, deployment, iteration). Expected: {CLASS}. {CORRECT}",
    ),
    "a static method with self": Mistake(
        method("return None", head="    @staticmethod\n    def rebalance(self, hotness, deployment, iteration):"),
        f"{ARGUMENTS}Got: @staticmethod rebalance(self, hotness, deployment, iteration). Expected: {CLASS}. {CORRECT}",
    ),
    "a function rebalance that class Policy calls": Mistake(
        {
            "policy.py": "def rebalance(hotness):\n    return None\n\n"
            + method("return rebalance(hotness)")["policy.py"]
        },
        f"{ARGUMENTS}Got: rebalance(hotness). Expected: {FUNCTION}. "
        "Next: rename the function, or remove class Policy: where both are defined, the function rebalance is used.",
    ),
    "case as a dictionary": Mistake(
        method("return None", init=INIT.replace("= case", "= case['devices']")),
        f"{START}{RAISED}TypeError: 'PolicyCase' object is not subscriptable (policy.py, line 3, in __init__). "
        f"{ATTRIBUTES}",
    ),
    "ep, which case does not have": Mistake(
        method("return None", init=INIT.replace("= case", "= case.ep")),
        f"{START}{RAISED}AttributeError: 'PolicyCase' object has no attribute 'ep' (policy.py, line 3, in __init__). "
        f"{ATTRIBUTES}",
    ),
    # What is returned.
    "print instead of return": Mistake(function("print(True, [0], table, None)"), f"{CALL}{NOT_READ}{NOTHING} {FOUR}"),
    "three values": Mistake(function("return True, [0], table"), f"{CALL}{NOT_READ}Got: tuple of length 3. {FOUR}"),
    "a dictionary": Mistake(function("return {'table': table}"), f"{CALL}{NOT_READ}Got: dict. {FOUR}"),
    "four values from a class": Mistake(
        method("return True, [0], deployment, None"), f"{CALL}Policy.{NOT_READ}Got: tuple of length 4. {TWO}"
    ),
    "False from a class": Mistake(method("return False"), f"{CALL}Policy.{NOT_READ}Got: bool. {TWO}"),
    "a change in place, and None": Mistake(method("deployment[:] = 0", "return None"), ACCEPTED),
    "table and layers the other way round": Mistake(
        method("return deployment, [0]"),
        f"{PRIORITY}has the wrong shape. Got: [3, 4, 3]. Expected: [n], a flat list of layers. "
        "Next: return one list of layer indices, before the table.",
    ),
    "one layer's number": Mistake(
        function("return True, 0, table, None"),
        f"{PRIORITY}has the wrong shape. Got: one integer. Expected: [n], a flat list of layers. "
        "Next: return one list of layer indices, before the table.",
    ),
    "a mask of layers": Mistake(
        function("return True, hotness.sum(axis=(0, 2)) > 0, table, None"),
        f"{PRIORITY}is not made of integers. Got: ndarray of dtype bool. Expected: integers [n]. "
        "Next: return numbers instead of True and False; np.flatnonzero(mask) turns a mask into numbers.",
    ),
    "layers as floats": Mistake(
        function("return True, [0.0, 1.0], table, None"),
        f"{PRIORITY}is not made of integers. Got: list of dtype float64. Expected: integers [n]. {FLOATS}",
    ),
    "a set of layers": Mistake(
        function("return True, {0, 1}, table, None"),
        f"{PRIORITY}is not made of integers. Got: set. Expected: integers [n]. "
        "Next: return a list or an array of integers.",
    ),
    "layers from 1": Mistake(
        function("return True, range(1, 4), table, None"),
        f"{PRIORITY}names a layer that does not exist. Got: 3. Expected: 0 .. 2. "
        "Next: list layers by their index in the deployment table, counted from 0.",
    ),
    "a layer twice": Mistake(
        function("return True, [0, 1, 1], table, None"),
        f"{PRIORITY}lists a layer twice. Got: layer 1 2 times. Expected: each layer at most once. "
        "Next: remove the repeated layer.",
    ),
    "axes [layer, slot, device]": Mistake(
        function("return True, [0], table.transpose(0, 2, 1), None"),
        f"{TABLE}has the wrong shape. Got: [3, 3, 4]. {SHAPE} "
        "Next: put the axes in this order, as np.transpose(table, axes) does.",
    ),
    "devices and slots in one axis": Mistake(
        function("return True, [0], table.reshape(3, 12), None"),
        f"{TABLE}has the wrong shape. Got: [3, 12]. {SHAPE} "
        "Next: divide this map [layer, slot] (such as phy2log) among the devices: table.reshape(layers, devices, "
        "slots).",
    ),
    "the devices of another ep": Mistake(
        function("return True, [0], np.arange(3 * 8 * 2).reshape(3, 8, 2) % 8, None"),
        f"{TABLE}has the wrong shape. Got: [3, 8, 2]. {SHAPE} Next: take the number of devices from case.devices or "
        "n_device; the number differs between cases.",
    ),
    "async def": Mistake(
        {"policy.py": DECLINES.replace("def", "async def", 1)},
        f"{CALL}{NOT_READ}{COROUTINE} {FOUR_VALUES} {WITHOUT}",
    ),
    "async def in a class": Mistake(
        method("return None", head="    async def rebalance(self, hotness, deployment, iteration):"),
        f"{CALL}Policy.{NOT_READ}{COROUTINE} {TWO_VALUES} {WITHOUT}",
    ),
    "yield instead of return": Mistake(
        function("yield True, [0], table, None"),
        f"{CALL}{NOT_READ}{GENERATOR} {FOUR_VALUES} {RETURN}",
    ),
    "yield in a class": Mistake(
        method("yield None"),
        f"{CALL}Policy.{NOT_READ}{GENERATOR} {TWO_VALUES} {RETURN}",
    ),
    "async def and yield": Mistake(
        {"policy.py": DECLINES.replace("def", "async def", 1).replace("return", "yield")},
        f"{CALL}{NOT_READ}Got: an asynchronous generator. {FOUR_VALUES} "
        "Next: write def rebalance, without async, and return the answer.",
    ),
    "no redundant slots": Mistake(
        function("return True, [0], table[:, :, :2], None"),
        f"{TABLE}has the wrong shape. Got: [3, 4, 2]. {SHAPE} "
        "Next: fill 3 slots on every device: (experts + redundant experts) / devices.",
    ),
    "one layer alone": Mistake(
        function("return True, [0], table[0], None"), f"{TABLE}has the wrong shape. Got: [4, 3]. {SHAPE} {WHOLE}"
    ),
    "the listed layers alone": Mistake(
        function("return True, [0, 2], table[[0, 2]], None"),
        f"{TABLE}has the wrong shape. Got: [2, 4, 3]. {SHAPE} {WHOLE}",
    ),
    "floats, as np.zeros gives": Mistake(
        function("return True, [0], np.zeros((3, 4, 3)) + table, None"),
        f"{TABLE}is not made of integers. Got: ndarray of dtype float64. Expected: integers [layer, device, slot]. "
        f"{FLOATS}",
    ),
    "ragged lists": Mistake(
        function("return True, [0], [[[0, 1, 2], [3, 4], [5, 6, 7], [0, 1, 2]]] * 3, None"),
        f"{TABLE}is not made of integers. Got: a ragged list. Expected: integers [layer, device, slot]. "
        "Next: make every row equally long.",
    ),
    "experts from 1": Mistake(
        function("return True, [0], table + 1, None"),
        f"{LAYER}an expert id is out of range. Got: 8 on device 2, slot 1. {RANGE}",
    ),
    "-1 for empty slots": Mistake(
        function("return True, [0], table, None", "table[:, :, 2] = -1"),
        f"{LAYER}an expert id is out of range. Got: -1 on device 0, slot 2. {RANGE}",
    ),
    "an expert lost to a replica": Mistake(
        function("return True, [0], table, None", "table[0, 2, 1] = 5"),
        f"{LAYER}an expert has no slot. Got: expert 7 is missing. "
        "Expected: each of the 8 experts in at least one of 12 slots. "
        "Next: give every expert a slot, or leave the layer out of layers_priority.",
    ),
    # Modules, files and the machine.
    "no import of numpy": Mistake(
        function("return True, [0], table, None", above=""),
        f"{CALL}{RAISED}NameError: name 'np' is not defined (policy.py, line 4, in rebalance). {MEND}",
    ),
    "a module that is not installed": Mistake(
        {"policy.py": "import no_such_package\n" + DECLINES, "requirements.txt": "no_such_package\n"},
        f"{START}{RAISED}ModuleNotFoundError: No module named 'no_such_package' (policy.py, line 1, in <module>). "
        "Expected: an answer. Next: the platform has no no_such_package: add no_such_package to the submission "
        f"{BRING}",
    ),
    "a name that numpy has not": Mistake(
        calling("np.bitwise_cuont(1)", "import numpy as np"),
        f"{CALL}{RAISED}AttributeError: module 'numpy' has no attribute 'bitwise_cuont' (policy.py, line 4, in "
        f"rebalance). Expected: an answer. Next: {NUMPY_HAS}",
    ),
    "a name that numpy has not, imported": Mistake(
        {"policy.py": "from numpy.linalg import vecdto\n" + DECLINES},
        f"{START}{RAISED}ImportError: cannot import name 'vecdto' from 'numpy.linalg' ({LINALG}) (policy.py, line 1, "
        f"in <module>). Expected: an answer. Next: {NUMPY_HAS}",
    ),
    "a module of the simulator, misspelt": Mistake(
        {"policy.py": "from placement.dseplb import ds_eplb\n" + DECLINES},
        f"{START}{RAISED}ModuleNotFoundError: No module named 'placement.dseplb' (policy.py, line 1, in <module>). "
        "Expected: an answer. Next: correct the module's name.",
    ),
    "a block of planning, misspelt": Mistake(
        {"policy.py": "from planning.exchnge import exchange\n" + DECLINES},
        f"{START}{RAISED}ModuleNotFoundError: No module named 'planning.exchnge' (policy.py, line 1, in <module>). "
        "Expected: an answer. Next: correct the module's name, or add the module; kit.py check lists what the "
        "platform has.",
    ),
    "the kit itself": Mistake(
        {"policy.py": "from kit import run\n" + DECLINES},
        f"{START}{RAISED}ModuleNotFoundError: No module named 'kit' (policy.py, line 1, in <module>). {NO_KIT}",
    ),
    "a policy of the gallery": Mistake(
        {"policy.py": "from policies.once.policy import Policy\n"},
        f"{START}{RAISED}ModuleNotFoundError: No module named 'policies' (policy.py, line 1, in <module>). {NO_KIT}",
    ),
    "an import with a dot": Mistake(
        {"policy.py": "from .helper import x\n" + DECLINES, "helper.py": "x = 1\n"},
        f"{START}{RAISED}ImportError: attempted relative import with no known parent package "
        "(policy.py, line 1, in <module>). Expected: an answer. "
        "Next: import a module beside policy.py by its name, without a dot.",
    ),
    "a file beside policy.py": Mistake(calling("open('table.txt').read()") | {"table.txt": "0\n"}, ACCEPTED),
    "a file that was not packed": Mistake(
        calling("open('../data/table.txt').read()"),
        f"{CALL}{RAISED}FileNotFoundError: [Errno 2] No such file or directory: '../data/table.txt' "
        f"(policy.py, line 4, in rebalance). {BESIDE}",
    ),
    "a variable of the environment": Mistake(calling("os.environ.get('CUDA_VISIBLE_DEVICES', '').split()"), ACCEPTED),
    "a module's variable, from call to call": Mistake(calling("calls.append(1)", "calls = []"), ACCEPTED),
    "much printed": Mistake(calling("print('x' * 10**6)"), ACCEPTED),
    "exit()": Mistake(
        calling("sys.exit(1)"),
        f"{CALL}{RAISED}SystemExit: 1 (policy.py, line 4, in rebalance). Expected: an answer. "
        "Next: remove calls that end the program, such as exit() and sys.exit().",
    ),
    "input()": Mistake(
        calling("input()"),
        f"{CALL}{RAISED}EOFError: EOF when reading a line (policy.py, line 4, in rebalance). {TYPED}",
    ),
    "a sleep": Mistake(
        calling("time.sleep(60)"),
        f"{CALL}the policy took too long. Got: no answer within 1 s (call_seconds); the policy was at policy.py, line "
        "4, in "
        f"rebalance. Expected: an answer to every call. {FASTER}",
        {"call_seconds": 1},
    ),
    "a loop without an end": Mistake(
        {"policy.py": "while True: pass\n" + DECLINES},
        f"{START}the policy took too long. Got: no answer within 1 s (start_seconds); the policy was at policy.py, "
        "line 1, in "
        f"<module>. Expected: policy.py imported and ready. {FASTER}",
        {"start_seconds": 1},
    ),
    "a huge array": Mistake(
        function("return np.zeros((10**6, 10**6)), [0], table, None"),
        f"{CALL}the policy ran out of memory. Got: MemoryError: Unable to allocate 7.28 TiB for an array with shape "
        "(1000000, 1000000) and data type float64 (policy.py, line 5, in rebalance). "
        "Expected: at most 4294967296 bytes. Next: keep less data.",
    ),
}
# What only a machine with all layers of isolation refuses.
REFUSED = {
    "a file written beside policy.py": (
        calling("open('log.txt', 'w').write('x')"),
        "[Errno 13] Permission denied: 'log.txt'",
    ),
    "a file of the machine": (calling("open('/etc/passwd').read()"), "[Errno 13] Permission denied: '/etc/passwd'"),
    "a folder for a cache": (calling("os.makedirs('cache')"), "[Errno 13] Permission denied: 'cache'"),
    "a socket": (calling("socket.socket()", "import socket"), "[Errno 1] Operation not permitted"),
    "a process": (calling("subprocess.run(['nvidia-smi'])", "import subprocess"), "[Errno 1] Operation not permitted"),
    "a pool of processes": (
        calling("multiprocessing.Pool(2)", "import multiprocessing"),
        "[Errno 13] Permission denied",
    ),
}


@pytest.fixture
def verdict(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """`kit.py check` on one case of three layers and eight experts: the last line printed."""
    # How much of its time a policy had the processor, a busy machine decides.
    monkeypatch.setattr(failures, "IDLE_SHARE", 0.0)
    monkeypatch.setattr(stack, "SECONDS", 60.0)

    def check(files: dict[str, str | bytes], limits: dict[str, int]) -> str:
        models, cases = {"Demo": {"layers": 3, "experts": 8}}, [{"model": "Demo", "dataset": "made", "ep": [4]}]
        grid = grid_mapping(**limits) | {"models": models, "cases": cases}
        (tmp_path / "grid.yaml").write_text(yaml.safe_dump(grid), encoding="utf-8")
        for name, content in files.items():
            path = tmp_path / "mine" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        code = kit.main(["check", str(tmp_path / "mine"), "--grid", str(tmp_path / "grid.yaml")])
        last = capsys.readouterr().out.splitlines()[-1]
        assert code == (0 if last.startswith("accepted") else 1)
        return last

    return check


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_met_with_its_verdict(verdict, name: str) -> None:
    mistake = MISTAKES[name]
    last = verdict(mistake.files, mistake.limits or {})
    assert (re.match(r"\w*", last)[0] if mistake.verdict == ACCEPTED else last) == mistake.verdict


@pytest.mark.skipif(landlock.version() == 0, reason="this kernel has no Landlock")
@pytest.mark.parametrize("name", REFUSED)
def test_what_isolation_refuses_is_met_with_the_rules(verdict, name: str) -> None:
    files, words = REFUSED[name]
    rules = THREADS if name == "a pool of processes" else FORBIDDEN
    last = f"{CALL}{RAISED}PermissionError: {words} (policy.py, line 4, in rebalance). {rules}"
    assert verdict(files, {}) == last


def test_a_cause_that_isolation_refused_is_found_behind_an_exception_of_a_library() -> None:
    # Whether a name is looked up at all before a socket is refused is the system's business.
    download = OSError("urlopen error")
    download.__context__ = socket.gaierror(-3, "no name")
    wrapped = RuntimeError("no model")
    wrapped.__cause__ = PermissionError(1, "no")
    circle = ValueError("a circle")
    circle.__cause__, circle.__context__ = None, download
    download.__context__.__context__ = circle
    for error in (download, wrapped, circle):
        assert exception_steps.next_step(error) == exception_steps.FORBIDDEN
    assert exception_steps.next_step(ValueError("no idea")) == ""


@pytest.mark.parametrize(("later", "found"), [(0, True), (9, True), (10, False), (50, False)])
def test_a_cause_is_looked_for_in_the_first_ten_of_a_chain(later: int, found: bool) -> None:
    error: BaseException = PermissionError()
    for _ in range(later):
        error, cause = ValueError(), error
        error.__cause__ = cause
    assert exception_steps.next_step(error) == (exception_steps.FORBIDDEN if found else "")


def test_a_breakpoint_is_met_with_the_command_in_which_it_works(verdict) -> None:
    # Which exception Python's debugger ends with depends on its version.
    last = verdict(calling("breakpoint()"), {})
    assert last.startswith(f"{CALL}{RAISED}") and last.endswith(TYPED)


def test_a_file_in_utf_16_is_met_with_the_encoding_to_use(verdict) -> None:
    # Which exception Python raises depends on its version.
    last = verdict({"policy.py": DECLINES.encode("utf-16")}, {})
    assert "source code string cannot contain null bytes" in last and last.endswith(". Next: save the file as UTF-8.")
