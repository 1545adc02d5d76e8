"""Notebooks are valid and executed, install what is absent, and run."""
import importlib.util
import pathlib
import re
import types

from IPython.core import inputtransformer2
import nbclient
import nbformat
import pytest

ROOT = pathlib.Path(__file__).parents[1]
_SPEC = importlib.util.spec_from_file_location(
    'execute', ROOT / 'notebooks/execute.py')
execute = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(execute)
NOTEBOOKS = sorted((ROOT / 'notebooks').glob('*.ipynb'))
SMALLER = {  # Layers and steps: enough for every cell to run.
    'quickstart': {
        'llama(128, 4, 4, 4, 344': 'llama(128, 2, 4, 4, 344',
        'steps=300, eval_every=50': 'steps=40, eval_every=20',
        'steps=60, log_every=3': 'steps=24, log_every=3'},
    'inside_attention': {'steps=300': 'steps=24'},
    'scaling_on_tpu': {
        'llama(128, 4, 8, 8, 344': 'llama(128, 2, 8, 8, 344',
        'Training(steps=30)': 'Training(steps=6)'}}
each_notebook = pytest.mark.parametrize(
    'path', NOTEBOOKS, ids=lambda path: path.stem)


def _code(path):
  cells = nbformat.read(path, as_version=4).cells
  return [cell for cell in cells if cell.cell_type == 'code']


def test_there_are_notebooks():
  assert {path.stem for path in NOTEBOOKS} >= {
      'quickstart', 'inside_attention', 'scaling_on_tpu'}


@each_notebook
def test_is_valid_and_fits_a_page(path):
  nbformat.validate(nbformat.read(path, as_version=4))
  for cell in _code(path):
    assert max(map(len, cell.source.splitlines())) <= 80


@each_notebook
def test_outputs_are_those_of_the_cells(path):
  notebook = nbformat.read(path, as_version=4)
  assert notebook.metadata.get('executed') == execute.digest(notebook), (
      f'Cells were edited: python notebooks/execute.py {path}')
  cells = _code(path)
  counts = [cell.execution_count for cell in cells]
  assert counts == list(range(1, len(cells) + 1))
  outputs = [output for cell in cells for output in cell.outputs]
  assert not [each for each in outputs if each.output_type == 'error']
  pictures = [each.data['image/png'] for each in outputs
              if 'image/png' in each.get('data', {})]
  assert len(pictures) >= 2
  assert max(map(len, pictures)) < 200_000


@each_notebook
def test_outputs_have_no_paths_or_times_of_a_machine(path):
  cells = _code(path)
  assert not [cell for cell in cells if 'execution' in cell.metadata]
  for cell in cells:
    for output in cell.outputs:
      text = str({name: value for name, value in output.get('data', {}).items()
                  if name != 'image/png'}) + output.get('text', '')
      assert not re.search(r'/(root|home|tmp|usr|opt)/|0x[0-9a-f]{8}', text)
      assert output.get('name') != 'stderr' and '<progress' not in text
  assert path.stat().st_size < 600_000


@each_notebook
@pytest.mark.parametrize('there', [True, False])
def test_first_cell_installs_only_what_is_absent(path, there, monkeypatch):
  installed = []
  ipython = types.SimpleNamespace(
      run_line_magic=lambda name, line: installed.append((name, line)))
  find_spec = importlib.util.find_spec
  monkeypatch.setattr(
      importlib.util, 'find_spec',
      lambda name: find_spec(name) if there else None)

  source = inputtransformer2.TransformerManager().transform_cell(
      _code(path)[0].source)
  names = {'get_ipython': lambda: ipython}
  exec(compile(source, path.name, 'exec'), names)  # pylint: disable=exec-used

  assert bool(installed) != there
  if installed:
    (magic, line), = installed
    assert (magic, line) == ('pip', 'install --quiet "{requirement}"')
    assert names['requirement'].endswith(f' @ git+{names["REPOSITORY"]}')


@pytest.mark.slow
@each_notebook
def test_runs_from_top_to_bottom(path, tmp_path, monkeypatch):
  monkeypatch.setenv('PYTHONPATH', str(ROOT))
  notebook = nbformat.read(path, as_version=4)
  for old, new in SMALLER.get(path.stem, {}).items():
    cell, = (cell for cell in notebook.cells
             if cell.cell_type == 'code' and old in cell.source)
    cell.source = cell.source.replace(old, new)
  nbclient.NotebookClient(
      notebook, timeout=900, kernel_name='python3',
      resources={'metadata': {'path': str(tmp_path)}}).execute()
  pictures = [
      output for cell in notebook.cells for output in cell.get('outputs', ())
      if 'image/png' in output.get('data', {})]
  assert len(pictures) >= 2
