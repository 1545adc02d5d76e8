"""Executes notebooks in place, so that GitHub and the documentation show them.

  python notebooks/execute.py notebooks/quickstart.ipynb

Each code cell keeps its output without timings of this machine. The notebook's
metadata gets a hash of the sources, by which a test sees that a cell has been
edited since.
"""
import hashlib
import pathlib
import sys
import tempfile

import nbclient
import nbformat



def digest(notebook: nbformat.NotebookNode) -> str:
  """Returns a hash of the sources of the code cells, in order."""
  sources = [cell.source for cell in notebook.cells
             if cell.cell_type == 'code']
  return hashlib.sha256('\0'.join(sources).encode()).hexdigest()


def execute(path: pathlib.Path) -> None:
  """Executes a notebook in an empty folder and writes its outputs into it."""
  notebook = nbformat.read(path, as_version=4)
  with tempfile.TemporaryDirectory() as folder:
    nbclient.NotebookClient(
        notebook, timeout=3600, kernel_name='python3', record_timing=False,
        resources={'metadata': {'path': folder}}).execute()
  for cell in notebook.cells:
    cell.metadata.pop('execution', None)
    if cell.cell_type == 'code':  # A progress bar shows how fast it was here.
      cell.outputs = [output for output in cell.outputs if '<progress' not in
                      output.get('data', {}).get('text/html', '')]
  notebook.metadata.pop('widgets', None)
  notebook.metadata['executed'] = digest(notebook)
  nbformat.write(notebook, path)


if __name__ == '__main__':
  for name in sys.argv[1:]:
    execute(pathlib.Path(name))
