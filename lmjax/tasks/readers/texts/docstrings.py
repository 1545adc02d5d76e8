"""A task in every CPython: which package is a docstring from?"""
import ast
import collections
import dataclasses
import hashlib
import pathlib
import sysconfig
from typing import Annotated

from lmjax.core import errors
from lmjax.core import ranges
from lmjax.tasks import task as task_lib

_SKIPPED = frozenset({
    'test', 'tests', 'idle_test', 'lib2to3', 'distutils', 'site-packages',
    'dist-packages', '_vendor', '_bundled'})
_SHARES = {'train': 0.7, 'valid': 0.1, 'test': 0.2}


@dataclasses.dataclass(frozen=True)
@ranges.checked
class Docstrings:
  """Docstrings of the standard library, labelled by their package.

  The task has real labels and real English text, and needs no download. All
  docstrings of a module are in the same split, as they resemble each other. A
  docstring that occurs twice is used once. Modules are parsed, never imported.
  The data differ slightly between versions of Python.

  Attributes:
    classes: Number of packages; those with the most docstrings are used.
    min_modules: Smallest number of modules of a package, so that it can be
      split.
    max_per_module: Largest number of docstrings per module, chosen by a hash,
      so that no single module dominates a class.
    min_words: Smallest number of words of a docstring.
  """
  classes: Annotated[int, ranges.Range(2)] = 12
  min_modules: Annotated[int, ranges.Range(
      3, note='Each split needs one.')] = 3
  max_per_module: ranges.Count = 60
  min_words: ranges.Count = 4

  def read(self) -> task_lib.Splits:
    """Returns the splits; the labels are the packages' names, sorted."""
    root = pathlib.Path(sysconfig.get_path('stdlib'))
    found = collect(root, self.min_words, self.max_per_module)
    able = [package for package, modules in found.items()
            if len(modules) >= self.min_modules]
    if len(able) < self.classes:
      raise errors.InputError(
          f'{root} has {len(able)} packages of at least {self.min_modules} '
          f'modules with docstrings; source.classes is {self.classes}.')
    size = {package: sum(map(len, found[package].values())) for package in able}
    chosen = sorted(sorted(able, key=lambda p: (-size[p], p))[:self.classes])
    parts = collections.defaultdict(list)
    for package in chosen:
      for module, split in assign(found[package]).items():
        parts[split] += [
            task_lib.Example(text, package, f'{module} of {package}')
            for text in found[package][module]]
    return task_lib.Splits(
        parts['train'], parts['valid'], parts['test'], tuple(chosen),
        ('Split by module: no module is in two splits.',))


def collect(root: pathlib.Path, min_words: int, max_per_module: int
            ) -> dict[str, dict[str, list[str]]]:
  """Returns {package: {module: docstrings}}; each docstring occurs once."""
  found, seen = {}, set()
  for path in sorted(root.rglob('*.py')):
    parts = path.relative_to(root).parts
    if len(parts) < 2 or _SKIPPED.intersection(parts):
      continue
    texts = [text for text in docstrings(path.read_bytes())
             if len(text.split()) >= min_words]
    new = [text for text in dict.fromkeys(texts) if text not in seen]
    seen.update(new)
    if new:
      new = sorted(new, key=lambda text: hashlib.sha256(text.encode()).digest())
      found.setdefault(parts[0], {})['/'.join(parts)] = new[:max_per_module]
  return found


def docstrings(source: bytes) -> list[str]:
  """Returns the docstrings of a module, its classes and its functions."""
  try:
    tree = ast.parse(source)
  except (SyntaxError, ValueError):  # A template, or for another Python.
    return []
  documented = (
      ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
  texts = [ast.get_docstring(node) for node in ast.walk(tree)
           if isinstance(node, documented)]
  return [text for text in texts if text]


def assign(modules: dict[str, list[str]]) -> dict[str, str]:
  """Returns the split of each module of a package.

  In order of decreasing size, each module goes to the split that lacks the most
  docstrings. A split that is still empty takes the smallest training module.
  """
  order = sorted(modules, key=lambda name: (
      -len(modules[name]), hashlib.sha256(name.encode()).digest()))
  total = sum(map(len, modules.values()))
  missing = {split: share * total for split, share in _SHARES.items()}
  splits = {}
  for name in order:
    splits[name] = max(missing, key=lambda split: missing[split])
    missing[splits[name]] -= len(modules[name])
  for split in _SHARES:
    if split not in splits.values():
      splits[next(name for name in reversed(order)
                  if splits[name] == 'train')] = split
  return splits
