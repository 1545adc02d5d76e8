"""Imports point down, and heavy libraries stay where they are needed."""
import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[1] / 'lmjax'
MAY_IMPORT = {  # package -> packages it may import, besides itself
    'core': set(),
    'nn': {'core'},
    'data': {'core'},
    'models': {'core', 'nn'},
    'objectives': {'core', 'nn'},
    'parallel': {'core'},
    'training': {'core', 'parallel'},
    'checkpoints': {'core', 'training'},
    'run': {'core', 'parallel', 'training', 'checkpoints'},
    'generation': {'core', 'nn'},
    'testing': {'core', 'parallel', 'training'},
    'evaluation': {'core', 'nn', 'data', 'objectives', 'generation'},
    'tasks': {'core', 'nn', 'data', 'models', 'objectives', 'evaluation',
              'generation'},
    'interop': {'core', 'nn', 'models', 'data', 'objectives', 'checkpoints',
                'run'},
}
BELOW_SCRIPTS = {*MAY_IMPORT} - {'testing'}
MAY_IMPORT |= {
    'experiment': BELOW_SCRIPTS,
    'recipes': BELOW_SCRIPTS | {'experiment'},
    'planning': BELOW_SCRIPTS | {'experiment', 'recipes'},
    '__main__': set(),
}
ONLY_IN = {  # library -> where it may be imported; 'lazily': inside a function
    'tensorflow': ('data/', 'lazily'),
    'tensorflow_datasets': ('data/', 'lazily'),
    'array_record': ('data/', 'lazily'),
    'grain': ('data/', 'lazily'),
    'sentencepiece': ('data/', 'lazily'),
    'orbax': ('checkpoints/', ''),
    'safetensors': ('interop/formats/', 'lazily'),
    'gguf': ('interop/formats/', 'lazily'),
    'tokenizers': ('data/', 'lazily'),
    'tiktoken': ('data/', 'lazily'),
    'minijinja': ('data/', 'lazily'),
    'lm_eval': ('evaluation/', 'lazily'),
    'matplotlib': ('', 'lazily'),
    'tensorboardX': ('training/trackers/', 'lazily'),
    'wandb': ('training/trackers/', 'lazily'),
    'mlflow': ('training/trackers/', 'lazily'),
    'torch': ('nowhere', ''),
    'transformers': ('nowhere', ''),
}
ITS_SUBJECT = {'data/text/tfds_builder.py': 'tensorflow_datasets'}
TABLES = {f'{room}/__init__.py' for room in (
    'data/corruption', 'data/synthetic', 'data/text', 'data/tokenizers',
    'interop/families', 'models', 'models/counted', 'models/presets',
    'objectives', 'tasks', 'training/optimizers', 'training/trackers')}
FILES = sorted(ROOT.rglob('*.py'))


def name_of(path):
  return path.relative_to(ROOT).as_posix()


def imports(tree):
  """Yields (line, dotted name, whether it is inside a function)."""
  lazy = {id(inner) for outer in ast.walk(tree)
          if isinstance(outer, (ast.FunctionDef, ast.AsyncFunctionDef))
          for inner in ast.walk(outer)}
  for node in ast.walk(tree):
    if isinstance(node, ast.ImportFrom):
      assert node.level == 0, f'Line {node.lineno}: import by the full name.'
      for alias in node.names:
        yield node.lineno, f'{node.module}.{alias.name}', id(node) in lazy
    elif isinstance(node, ast.Import):
      for alias in node.names:
        yield node.lineno, alias.name, id(node) in lazy


def mistakes(name, source):
  """Returns what is wrong with the imports of the file `name`."""
  package = name.partition('/')[0].removesuffix('.py')
  found = []
  for line, imported, lazy in imports(ast.parse(source)):
    root, _, rest = imported.partition('.')
    below = rest.partition('.')[0]
    if root == 'lmjax' and package != '__init__':
      if below not in MAY_IMPORT[package] | {package}:
        found.append(f'{name}:{line} imports lmjax.{below}, which is not below')
    if root in ONLY_IN and ITS_SUBJECT.get(name) != root:
      where, how = ONLY_IN[root]
      if not name.startswith(where):
        found.append(f'{name}:{line} imports {root}, allowed in {where} only')
      elif how and not lazy:
        found.append(f'{name}:{line} imports {root} outside a function')
  return found


@pytest.mark.parametrize('path', FILES, ids=name_of)
def test_imports_point_down(path):
  assert not mistakes(name_of(path), path.read_text())


@pytest.mark.parametrize('name, source, mistake', [
    ('nn/x.py', 'from lmjax.models import decoder', 'not below'),
    ('training/x.py', 'from lmjax.nn import masks', 'not below'),
    ('testing/x.py', 'import lmjax.models.decoder', 'not below'),
    ('data/x.py', 'import tensorflow as tf', 'outside a function'),
    ('nn/x.py', 'def f():\n  import tensorflow', 'in data/ only'),
    ('training/step.py', 'import orbax.checkpoint', 'checkpoints/ only'),
    ('evaluation/x.py', 'from matplotlib import figure', 'outside a function'),
    ('nn/x.py', 'def f():\n  import torch', 'in nowhere only'),
    ('experiment.py', 'from lmjax.recipes.loaded import trained', 'not below'),
    ('recipes/x.py', 'from lmjax.planning import preview', 'not below'),
])
def test_a_wrong_import_is_seen(name, source, mistake):
  found, = mistakes(name, source)
  assert mistake in found


@pytest.mark.parametrize('name, source', [
    ('models/x.py', 'from lmjax.nn import masks\nfrom lmjax.models import y'),
    ('data/x.py', 'def f():\n  import tensorflow_datasets as tfds'),
    ('experiment.py', 'from lmjax.models import decoder'),
])
def test_a_right_import_passes(name, source):
  assert not mistakes(name, source)


def cycle(edges):
  """Returns modules that import each other in a ring, or None."""
  done, path = set(), []

  def visit(module):
    if module in path:
      return path[path.index(module):] + [module]
    if module in done:
      return None
    path.append(module)
    found = next(filter(None, map(visit, edges.get(module, ()))), None)
    path.pop()
    done.add(module)
    return found
  return next(filter(None, map(visit, edges)), None)


def test_no_module_imports_itself_by_way_of_others():
  names = {'.'.join(p.relative_to(ROOT.parent).with_suffix('').parts)
           .removesuffix('.__init__'): p for p in FILES}

  def module(imported):  # `from package import name` may name either.
    return imported if imported in names else imported.rpartition('.')[0]

  def loaded(imported, by):
    """Yields the module and the packages that are loaded before it."""
    yield module(imported)
    package = module(imported).rpartition('.')[0]
    while package and not f'{by}.'.startswith(f'{package}.'):
      yield package
      package = package.rpartition('.')[0]

  edges = {name: sorted({each for _, imported, _ in imports(
      ast.parse(path.read_text())) if imported.startswith('lmjax.')
                         for each in loaded(imported, name)})
           for name, path in names.items()}
  assert sum(map(len, edges.values())) > 500
  assert not cycle(edges)


def test_a_ring_of_imports_is_seen():
  assert cycle({'a': ['b'], 'b': ['c'], 'c': ['b']}) == ['b', 'c', 'b']
  assert cycle({'a': ['b', 'c'], 'b': ['c']}) is None


@pytest.mark.parametrize(
    'path', [p for p in FILES if p.name == '__init__.py'], ids=name_of)
def test_init_files_hold_nothing_but_a_table(path):
  body = ast.parse(path.read_text()).body
  if path.parent == ROOT:
    docstring, version, late = body  # Nothing is imported before it is used.
    assert isinstance(docstring, ast.Expr)
    assert ast.unparse(version).startswith('__version__ = ')
    assert late.name == '__getattr__'
  elif name_of(path) in TABLES:
    table, *union = [n for n in body if isinstance(n, ast.Assign)]
    assert isinstance(table.value, ast.Dict)
    name = table.targets[0].id
    assert [ast.unparse(n) for n in union] in (
        [], [f'Config = Union[tuple({name}.values())]'])
    assert all(isinstance(n, (ast.Expr, ast.ImportFrom, ast.Assign))
               for n in body)
  else:
    assert not body, f'{name_of(path)} should be empty.'


@pytest.mark.parametrize('path', FILES, ids=name_of)
def test_files_are_short_and_lines_fit(path):
  lines = path.read_text().splitlines()
  assert len(lines) <= 400
  long = [n for n, line in enumerate(lines, 1) if len(line) > 80]
  assert not long, f'{name_of(path)} has lines of over 80 columns: {long}'
