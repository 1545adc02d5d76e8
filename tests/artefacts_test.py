"""No file that somebody else made can bring code that runs: banned by name.

A checkpoint, a tokenizer, a data set or a config is data. What would run code
from one (pickle and all that is made of it, eval, loaders of YAML, shells, ...)
occurs nowhere in this tree, tests, benchmarks and notebooks included.
"""
import ast
import json
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[1]
FOLDERS = 'lmjax', 'experiments', 'benchmarks', 'tests', 'notebooks'
FILES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob('*')
               if path.suffix in ('.py', '.ipynb')
               and '.ipynb_checkpoints' not in path.parts)
PICKLES = {'pickle', 'cPickle', '_pickle', 'pickle5', 'pickletools', 'dill',
           'cloudpickle', 'joblib', 'shelve', 'marshal', 'jsonpickle', 'hickle'}
BUILTINS = {'eval', 'exec', 'compile', '__import__'}
CALLS = {  # What is called -> what is wrong with it.
    'os.system': 'shell', 'os.popen': 'shell', 'pty.spawn': 'shell',
    'subprocess.getoutput': 'shell', 'subprocess.getstatusoutput': 'shell',
    'asyncio.create_subprocess_shell': 'shell',
    'torch.load': 'pickle', 'torch.jit.load': 'pickle',
    'torch.hub.load': 'remote code', 'torch.package.PackageImporter': 'pickle',
    'pandas.read_pickle': 'pickle', 'pandas.eval': 'eval',
    'numpy.lib.format.read_array': 'pickle',
    'yaml.unsafe_load': 'yaml', 'yaml.unsafe_load_all': 'yaml',
    'yaml.full_load': 'yaml', 'yaml.full_load_all': 'yaml',
    'runpy.run_path': 'import', 'runpy.run_module': 'import',
    'importlib.util.spec_from_file_location': 'import',
    'importlib.machinery.SourceFileLoader': 'import',
    'builtins.eval': 'eval', 'builtins.exec': 'eval', 'builtins.compile': 'eval',
    'builtins.__import__': 'import',
}
SAFE_LOADERS = {'SafeLoader', 'CSafeLoader', 'BaseLoader', 'CBaseLoader'}
ALLOWED = {  # (file, rule) -> why: it runs what is here or a user names.
    ('lmjax/core/flags/named.py', 'import'): 'the file --config= names',
    ('tests/readme_test.py', 'eval'): 'the Python of our README',
    ('tests/notebooks_test.py', 'eval'): 'the cells of our notebooks',
    ('tests/doctest_test.py', 'import'): 'each module of lmjax',
    ('tests/models/presets/table_test.py', 'import'): 'our presets',
    **{(f'benchmarks/survival/{name}.py', 'import'): 'our training script'
       for name in ('damaged', 'injected')},
    ('lmjax/__main__.py', 'import'): 'our scripts',
    ('tests/docs_test.py', 'import'): "the page of our reference's modules",
    ('tests/notebooks_test.py', 'import'): 'our script that runs notebooks',
    **{(f'tests/{name}_test.py', 'import'): 'our scripts and configs'
       for name in ('commands', 'compare_script', 'evaluate_script',
                    'finetune_script', 'generate_script', 'pairs',
                    'planning/estimate', 'recipes/arpa_files',
                    'recipes/pretraining', 'scripts')},
}


def name_of(path):
  return path.relative_to(ROOT).as_posix()


def source_of(path):
  """Returns the code of a file; of a notebook, all cells without magics."""
  if path.suffix == '.py':
    return path.read_text()
  cells = [''.join(cell['source']) for cell in
           json.loads(path.read_text())['cells'] if cell['cell_type'] == 'code']
  return re.sub(r'^(\s*)[%!].*', r'\1pass', '\n'.join(cells), flags=re.M)


class Bans(ast.NodeVisitor):
  """Collects (line, rule) of all that is banned."""

  def __init__(self, source):
    self.found, self._names = [], {}
    tree = ast.parse(source)
    self._own = {node.id for node in ast.walk(tree) if isinstance(
        node, ast.Name) and not isinstance(node.ctx, ast.Load)}
    self._own |= {node.name for node in ast.walk(tree) if isinstance(
        node, (ast.FunctionDef, ast.ClassDef))}
    self._own |= {node.arg for node in ast.walk(tree)
                  if isinstance(node, ast.arg)}
    for node in ast.walk(tree):
      if isinstance(node, ast.Import):
        for alias in node.names:
          root = alias.name.partition('.')[0]
          self._names[alias.asname or root] = (
              alias.name if alias.asname else root)
      elif isinstance(node, ast.ImportFrom):
        for alias in node.names:
          self._names[alias.asname or alias.name] = f'{node.module}.{alias.name}'
    self.visit(tree)

  def _ban(self, node, rule):
    self.found.append((node.lineno, rule))

  def _dotted(self, node):
    """Returns what an expression names, imports resolved; '' if nothing."""
    if isinstance(node, ast.Name):
      return self._names.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
      before = self._dotted(node.value)
      return f'{before}.{node.attr}' if before else f'?.{node.attr}'
    return ''

  def visit_Import(self, node):
    for alias in node.names:
      if alias.name.partition('.')[0] in PICKLES:
        self._ban(node, 'pickle')

  def visit_ImportFrom(self, node):
    names = {f'{node.module}.{alias.name}' for alias in node.names}
    if node.module.partition('.')[0] in PICKLES or any(
        part in PICKLES for name in names for part in name.split('.')):
      self._ban(node, 'pickle')

  def visit_Name(self, node):
    is_own = node.id == 'compile' and (
        node.id in self._own or node.id in self._names)
    if node.id in BUILTINS and not is_own:
      self._ban(node, 'import' if node.id == '__import__' else 'eval')

  def visit_Attribute(self, node):
    dotted = self._dotted(node)
    if dotted in CALLS:
      self._ban(node, CALLS[dotted])
    if node.attr in PICKLES:
      self._ban(node, 'pickle')  # Such as torch.serialization.pickle.
    self.generic_visit(node)

  def visit_Call(self, node):
    self.generic_visit(node)
    dotted = self._dotted(node.func)
    method = dotted.rpartition('.')[2]
    given = {keyword.arg: keyword.value for keyword in node.keywords}

    def is_literal(name, value):
      return name in given and isinstance(
          given[name], ast.Constant) and given[name].value == value

    if isinstance(node.func, ast.Name) and dotted in CALLS:
      self._ban(node, CALLS[dotted])  # From-imports; attributes are visited.
    for name, rule in (('shell', 'shell'), ('allow_pickle', 'pickle'),
                       ('trust_remote_code', 'remote code')):
      if name in given and not is_literal(name, False):
        self._ban(node, rule)
    if dotted in ('numpy.load', 'jax.numpy.load') and not (
        'allow_pickle' in given):
      self._ban(node, 'pickle')  # Its default was another once.
    if dotted in ('yaml.load', 'yaml.load_all'):
      loader = given.get('Loader', node.args[1] if len(node.args) > 1 else None)
      if self._dotted(loader).rpartition('.')[2] not in SAFE_LOADERS:
        self._ban(node, 'yaml')
    is_archive = {'tarfile', 'zipfile'} & {
        name.partition('.')[0] for name in self._names.values()}
    if (method in ('extractall', 'unpack_archive')
        or method == 'extract' and is_archive) and not is_literal(
            'filter', 'data'):
      self._ban(node, 'archive')
    if method == 'import_module' and not (
        node.args and isinstance(node.args[0], ast.Constant)):
      self._ban(node, 'import')
    if method == 'import_module' and node.args and isinstance(
        node.args[0], ast.Constant) and node.args[0].value in PICKLES:
      self._ban(node, 'pickle')


def test_all_folders_are_searched():
  for folder in FOLDERS:
    assert any(folder in path.parts for path in FILES), folder


@pytest.mark.parametrize('path', FILES, ids=name_of)
def test_nothing_runs_code_of_artefacts(path):
  wrong = [f'{name_of(path)}:{line}: {rule}'
           for line, rule in Bans(source_of(path)).found
           if (name_of(path), rule) not in ALLOWED]
  assert not wrong


def test_what_is_allowed_is_needed():
  for name, rule in ALLOWED:
    assert rule in {found for _, found in Bans(source_of(ROOT / name)).found}, (
        f'{name} no longer needs {rule!r}: take it out of ALLOWED.')


@pytest.mark.parametrize('source, rule', [
    ('import pickle', 'pickle'), ('import dill as json', 'pickle'),
    ('from cloudpickle import loads', 'pickle'), ('import joblib', 'pickle'),
    ('def f():\n  import shelve', 'pickle'), ('import marshal', 'pickle'),
    ('from numpy.compat import pickle', 'pickle'),
    ('import importlib\nimportlib.import_module("pickle")', 'pickle'),
    ('import pandas as pd\npd.read_pickle(p)', 'pickle'),
    ('import torch\ntorch.load(p)', 'pickle'),
    ('import torch as t\nt.load(p, weights_only=True)', 'pickle'),
    ('from torch import load\nload(p)', 'pickle'),
    ('import torch\nread = torch.load', 'pickle'),
    ('import torch\ntorch.serialization.pickle.loads(x)', 'pickle'),
    ('import numpy as np\nnp.load(p)', 'pickle'),
    ('import numpy\nnumpy.load(p, allow_pickle=True)', 'pickle'),
    ('from numpy import load\nload(p, allow_pickle=flag)', 'pickle'),
    ('import jax.numpy as jnp\njnp.load(p)', 'pickle'),
    ('read(p, allow_pickle=True)', 'pickle'),
    ('eval(x)', 'eval'), ('exec("y = 1")', 'eval'), ('run = eval', 'eval'),
    ('compile(x, "f", "exec")', 'eval'), ('import builtins\nbuiltins.exec(x)',
                                          'eval'),
    ('__import__(name)', 'import'),
    ('import importlib\nimportlib.import_module(config.name)', 'import'),
    ('from importlib import import_module as i\ni(config.name)', 'import'),
    ('import runpy\nrunpy.run_path(p)', 'import'),
    ('from importlib import util\nutil.spec_from_file_location("x", p)',
     'import'),
    ('import yaml\nyaml.load(x)', 'yaml'),
    ('import yaml\nyaml.load(x, yaml.Loader)', 'yaml'),
    ('import yaml\nyaml.load(x, Loader=yaml.FullLoader)', 'yaml'),
    ('from yaml import unsafe_load\nunsafe_load(x)', 'yaml'),
    ('load(p, trust_remote_code=True)', 'remote code'),
    ('load(p, trust_remote_code=flag)', 'remote code'),
    ('import torch\ntorch.hub.load(p)', 'remote code'),
    ('tar.extractall(p)', 'archive'),
    ('tar.extractall(p, filter="fully_trusted")', 'archive'),
    ('import zipfile\nzipfile.ZipFile(p).extractall()', 'archive'),
    ('import tarfile\ntarfile.open(p).extract("x")', 'archive'),
    ('import shutil\nshutil.unpack_archive(p)', 'archive'),
    ('import subprocess\nsubprocess.run(c, shell=True)', 'shell'),
    ('import subprocess as s\ns.Popen(c, shell=flag)', 'shell'),
    ('import os\nos.system(c)', 'shell'), ('from os import popen\npopen(c)',
                                           'shell'),
])
def test_each_rule_fires(source, rule):
  assert {found for _, found in Bans(source).found} == {rule}


@pytest.mark.parametrize('source', [
    'import re\nre.compile(x)', 'import jax\njax.jit(f).lower(x).compile()',
    'import torch\ntorch.compile(m)', 'model.eval()',
    'def compile(x):\n  return x\ncompile(1)',
    'import numpy as np\nnp.load(p, allow_pickle=False)',
    'import yaml\nyaml.load(x, Loader=yaml.SafeLoader)\nyaml.safe_load(x)',
    'import importlib\nimportlib.import_module("pretrain")',
    'tar.extractall(p, filter="data")', 'series.str.extract(p)',
    'import subprocess\nsubprocess.run(["git"], shell=False)',
    'load(p, trust_remote_code=False)', '"""Never pickle; eval(x) is bad."""'])
def test_what_is_harmless_passes(source):
  assert not Bans(source).found
