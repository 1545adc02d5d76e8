"""The bar of a notebook shows the last row, as HTML and as text."""
import builtins
import sys
import types

import pytest

from lmjax.training import notebook
from lmjax.training import writers


@pytest.fixture
def shown(monkeypatch):
  """What an IPython with a kernel displays: one entry for each update."""
  shown = []
  cell = types.SimpleNamespace(update=lambda bar: shown.append(repr(bar)))
  def display(bar, display_id):
    assert display_id
    shown.append(bar._repr_html_())
    return cell
  module = types.ModuleType('IPython')
  module.display = types.SimpleNamespace(display=display)
  monkeypatch.setitem(sys.modules, 'IPython', module)
  monkeypatch.setitem(sys.modules, 'IPython.display', module.display)
  kernel = type('ZMQInteractiveShell', (), {})
  monkeypatch.setattr(builtins, 'get_ipython', kernel, raising=False)
  return shown


def test_a_notebook_shows_a_bar_that_is_updated_in_place(shown):
  bar = notebook.display(300)
  bar.write(10, {'loss': 2.5})
  for step in range(11, 301):
    bar.write(step, {'loss': 2.0})
  bar.write(300, {'valid/loss': 2.25})
  bar.close()
  assert '<progress value="0" max="300">' in shown[0]
  assert shown[1].startswith('step 10/300  loss 2.5000')
  assert shown[-1].startswith('step 300/300  loss 2.0000  valid loss 2.2500')
  assert len(shown) < 9  # Not one for each row.


def test_elsewhere_the_terminal_shows_the_rows():
  assert isinstance(notebook.display(3), writers.Terminal)
