"""A progress bar in the output of a notebook's cell."""
from collections.abc import Mapping
import html
import math
import time

import rich.console

from lmjax.training import writers

_EVERY_S = 0.5  # Time between two updates, which pass through the browser.


class Bar:
  """Shows the progress of a run in Jupyter, and stays in the saved notebook.

  It is plain HTML with a text in its place where HTML is not shown, so it needs
  no widgets.
  """

  def __init__(self, steps: int):
    """Shows an empty bar of `steps` steps."""
    from IPython import display  # Exists where a notebook runs.
    self._steps, self._step, self._shown = steps, 0, {}
    self._begun = time.monotonic()
    self._said = -math.inf
    self._cell = display.display(self, display_id=True)

  def write(self, step: int, row: Mapping[str, float]) -> None:
    """Shows the numbers of a row, at most twice a second."""
    self._step, self._shown = step, self._shown | row
    if time.monotonic() - self._said >= _EVERY_S:
      self._said = time.monotonic()
      self._cell.update(self)

  def close(self) -> None:
    """Shows the last row."""
    self._cell.update(self)

  def __repr__(self) -> str:
    seconds = time.monotonic() - self._begun
    return (f'step {self._step:,}/{self._steps:,}  '
            f'{writers.summary(self._shown)}  {seconds:,.0f} s')

  def _repr_html_(self) -> str:
    return (f'<progress value="{self._step}" max="{self._steps}"></progress> '
            f'{html.escape(repr(self))}')


def display(steps: int) -> writers.Writer:
  """Returns a bar for a notebook, or `writers.Terminal` outside of Jupyter."""
  if rich.console.Console().is_jupyter:
    return Bar(steps)
  return writers.Terminal(steps)
