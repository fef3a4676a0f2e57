"""The skills that a template names, found where Claude Code keeps them and handed over without any settings file.

They are copied once, at the start, and reach the clients as a plugin that holds nothing else: `--plugin-dir` needs no
setting source, while the CLI's own search brings the user's allow rules, hooks, model and `CLAUDE.md` along (measured).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from tempfile import mkdtemp

from supervisor.files.private import make_private_dir

PLUGIN = "bullpen"
"""Agents see a skill `pdf` as `bullpen:pdf`."""


def skill_folders(template_folder: Path, config_dirs: Iterable[Path]) -> list[Path]:
    """Folders in which skills are looked for, in order: the user's configuration, then the projects that hold the
    template."""
    projects = [folder / ".claude" for folder in (template_folder, *template_folder.parents)]
    return list(dict.fromkeys(folder / "skills" for folder in (*config_dirs, *projects)))


def find_skills(names: Iterable[str], folders: Iterable[Path]) -> tuple[dict[str, Path], list[str]]:
    """The folder of each skill, and the names that were not found."""
    looked_in = list(folders)
    found: dict[str, Path] = {}
    missing = []
    for name in names:
        is_plain = Path(name).name == name and name not in (".", "..")
        places = [folder / name for folder in looked_in if is_plain and os.path.isfile(folder / name / "SKILL.md")]
        if places:
            found[name] = places[0]
        else:
            missing.append(name)
    return found, missing


def gather_skills(skills: Mapping[str, Path], folder: Path) -> Path:
    """A plugin with copies of those skills, in a directory below `folder` that is named after their contents.

    Blocking. Raises `OSError`.
    """
    digest = hashlib.sha256()
    for name, source in sorted(skills.items()):
        for path in _files(source):
            digest.update(f"{name}\0{path.relative_to(source)}\0".encode(errors="surrogateescape"))
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    target = folder / digest.hexdigest()[:16]
    if target.is_dir():
        return target
    fresh = Path(mkdtemp(dir=make_private_dir(folder)))
    try:
        manifest = fresh / ".claude-plugin" / "plugin.json"
        manifest.parent.mkdir()
        about = {"name": PLUGIN, "version": "1.0.0", "description": "Skills named by the template."}
        manifest.write_text(json.dumps(about), encoding="utf-8")
        for name, source in skills.items():
            for path in _files(source):
                copy = fresh / "skills" / name / path.relative_to(source)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, copy)
        fresh.rename(target)
    except OSError:
        shutil.rmtree(fresh, ignore_errors=True)
        if not target.is_dir():
            raise
    return target


def _files(folder: Path) -> Iterator[Path]:
    """Every file below it, in order; links to directories are not followed."""
    for place, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            if (path := Path(place, name)).is_file():
                yield path
