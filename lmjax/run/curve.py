"""The training curve of a run, as a picture."""
import math
import os

from lmjax.core.files import atomic
from lmjax.training import writers

_BLUE, _ORANGE, _GREY = '#2f6db5', '#d9702b', '#666666'


def plot(
    metrics_path: str | os.PathLike[str], image_path: str | os.PathLike[str],
    title: str = '', unit: str = 'nats per token',
) -> None:
  """Draws the training and held-out loss over steps into a PNG file.

  Args:
    metrics_path: JSON lines written by `writers.JsonLines`, with 'loss' and
      'valid/loss'.
    image_path: The PNG file to write.
    title: The title above the plot.
    unit: The unit of the loss, for the axis label.
  """
  from matplotlib import figure  # Slow to import, and only needed here.
  rows = writers.read(metrics_path)
  picture = figure.Figure(figsize=(7, 4), dpi=150, layout='constrained')
  axes = picture.add_subplot()
  lowest = []
  for name, label, style in (
      ('loss', 'training', dict(color=_BLUE, linewidth=1, alpha=0.35)),
      ('valid/loss', 'held out', dict(
          color=_ORANGE, linewidth=1.8, marker='o', markersize=4))):
    steps, values = _series(rows, name)
    if not steps:
      continue
    axes.plot(steps, values, label=None if name == 'loss' else label, **style)
    if name == 'loss':
      values = _smoothed(values)
      axes.plot(steps, values, label=label, color=_BLUE, linewidth=1.8)
    lowest.append((name, steps, values))
  for name, steps, values in lowest:
    if name == 'valid/loss':
      _mark_lowest(axes, steps, values)
  if lowest:
    axes.legend(frameon=False)
    _focus(axes, [v for _, _, values in lowest for v in values])
  axes.set(xlabel='step', ylabel=f'loss ({unit})', title=title)
  axes.spines[['top', 'right']].set_visible(False)
  axes.grid(axis='y', color='#dddddd', linewidth=0.6)
  axes.set_axisbelow(True)
  with atomic.opened(image_path, 'wb') as file:
    picture.savefig(file)


def _series(rows, name):
  pairs = [(row['step'], float(row[name])) for row in rows if name in row]
  pairs = [pair for pair in pairs if math.isfinite(pair[1])]
  return [step for step, _ in pairs], [value for _, value in pairs]


def _smoothed(values, share=0.05):
  """Returns means over windows centred on each value, which cause no lag."""
  reach = int(share / 2 * len(values))
  out = []
  for i in range(len(values)):
    near = min(reach, i, len(values) - 1 - i)  # Shorter near the ends.
    window = values[i - near:i + near + 1]
    out.append(sum(window) / len(window))
  return out


def _mark_lowest(axes, steps, values):
  best = min(range(len(values)), key=values.__getitem__)
  axes.annotate(
      f'{values[best]:.4f}', (steps[best], values[best]), xytext=(0, 8),
      textcoords='offset points', ha='center', va='bottom',
      color=_ORANGE, fontsize=9)


def _focus(axes, values):
  """Limits the y axis, so that large losses at the start are cut off."""
  ordered = sorted(values)
  low, high = ordered[0], ordered[int(0.98 * (len(ordered) - 1))]
  margin = 0.08 * (high - low) or 0.1
  axes.set_ylim(low - 2 * margin, high + margin)
