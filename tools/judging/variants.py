"""The policies that the grids are ranked with: gallery, template, the tutorial's steps, variants, two studies."""

from __future__ import annotations

import ast
import json
import shutil
from pathlib import Path

from commands.blocks import blocks_of
from commands.places import KIT
from commands.policy_folder import staged

HERE = Path(__file__).parent
POLICY = HERE / "policy.py"
STUDIES = {"kernel forecast": "kernel_forecast", "return hedge": "return_hedge"}
VARIANTS: dict[str, dict[str, object]] = {
    "all seen": {},
    "all seen, relabelled": {"relabel": True},
    "all seen, gate": {"relabel": True, "gate": 1.0},
    "window, gate": {"memory": 1, "relabel": True, "gate": 1.0},
    "last quarter, gate": {"memory": 0.25, "relabel": True, "gate": 1.0},
    "half life, gate": {"half_life": 0.5, "relabel": True, "gate": 1.0},
    "switch": {"switch": 0.17, "relabel": True, "gate": 1.0},
    "hedge": {"hedge": 2.0, "relabel": True, "gate": 1.0},
    "once, hedge": {"calls": 1, "hedge": 2.0},
    "switch, hedge": {"switch": 0.17, "hedge": 2.0, "relabel": True, "gate": 1.0},
    "once, apart": {"calls": 1, "hedge": 2.0, "apart": True},
    "switch, hedge, apart": {"switch": 0.17, "hedge": 2.0, "apart": True, "relabel": True, "gate": 1.0},
}
# A step of the tutorial that the gallery has, too.
BASELINE = "DS-EPLB"


def write_policies(folder: Path) -> dict[str, Path]:
    """Write every policy into a folder of its own, and return the folders by the policies' names."""
    shutil.rmtree(folder, ignore_errors=True)
    files: dict[str, dict[str, str]] = {}
    for policy in (KIT, *sorted(path.parent for path in KIT.glob("policies/*/policy.py"))):
        with staged(policy) as stage:
            modules = {path.relative_to(stage).as_posix(): path for path in stage.rglob("*.py")}
            names = {name: path.read_text(encoding="utf-8") for name, path in modules.items()}
        files["template" if policy == KIT else policy.name] = names
    for name, text in tutorial_steps(KIT / "tutorial.ipynb").items():
        if name != BASELINE:
            files[f"tutorial: {name}"] = {"policy.py": text}
    for name, parameters in VARIANTS.items():
        text = POLICY.read_text(encoding="utf-8")
        files[name] = {"policy.py": text, "parameters.json": json.dumps(parameters)}
    files |= {name: _study(module) for name, module in STUDIES.items()}
    for name, texts in files.items():
        for file, text in texts.items():
            (folder / name / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / name / file).write_text(text, encoding="utf-8")
        for file, path in blocks_of({file: folder / name / file for file in texts}).items():
            (folder / name / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / name / file)
    return {name: folder / name for name in files}


def _study(module: str) -> dict[str, str]:
    """The files of a study: texts by name, with the champion, whose planner it has, and the blocks of both."""
    imported = {f"judging/studies/{name}.py": HERE / "studies" / f"{name}.py" for name in STUDIES.values()}
    imported["policies/champion/policy.py"] = KIT / "policies" / "champion" / "policy.py"
    paths = {"policy.py": imported.pop(f"judging/studies/{module}.py"), **imported}
    return {name: path.read_text(encoding="utf-8") for name, path in (paths | blocks_of(paths)).items()}


def tutorial_steps(notebook: Path) -> dict[str, str]:
    """The texts of the tutorial's policies by the steps' names: it makes them with step(name, text)."""
    steps = {}
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        for node in ast.parse("".join(cell["source"])).body if cell["cell_type"] == "code" else ():
            match node:
                case ast.Expr(ast.Call(ast.Name("step"), [ast.Constant(name), ast.Constant(text)])):
                    steps[name] = text.lstrip()
    return steps
