"""The training curve of a run, as a picture."""
from collections.abc import Mapping, Sequence
import math
import os
import types
from typing import Any

from lmjax.core.files import atomic
from lmjax.training import writers

_BLUE, _ORANGE, _GREY = '#2f6db5', '#d9702b', '#777777'
_WIDE = 20  # Ratio of the highest to the lowest loss that needs a log scale.
_TICKS = 5  # More numbers of steps would touch.
_GAP = 0.065  # Least distance of two labels, as a share of the height.


def plot(
    metrics_path: str | os.PathLike[str], image_path: str | os.PathLike[str],
    title: str = '', unit: str = 'nats per token', *, best: int | None = None,
    metric: str = 'valid/loss',
    baselines: Mapping[str, float] = types.MappingProxyType({}),
) -> None:
  """Draws the training and held-out loss over steps into a PNG file.

  If the best step was chosen by another metric than the loss, a second panel
  shows this metric.

  Args:
    metrics_path: JSON lines written by `writers.JsonLines`, with 'loss' and
      'valid/loss'.
    image_path: The PNG file to write.
    title: The title above the plot.
    unit: The unit of the loss, for the axis label.
    best: The step whose parameters were kept; None marks no step.
    metric: The entry of the rows that the best step was chosen by.
    baselines: The value of `metric` for other models, by name; each is drawn
      as a horizontal line.
  """
  from matplotlib import figure  # Slow to import, and only needed here.
  rows = writers.read(metrics_path)
  shown = _series(rows, metric) if metric != 'valid/loss' else ((), ())
  panels = 2 if shown[0] else 1
  picture = figure.Figure(
      figsize=(5.4, 3.4 if panels == 1 else 5.4), dpi=190, layout='constrained')
  axes = picture.subplots(panels, sharex=True, squeeze=False)[:, 0]
  axes[0].set_title(title, loc='left')
  axes[0].set_ylabel(f'loss ({unit})')
  _draw_losses(axes[0], rows, best)
  if panels == 2:
    name = metric.removeprefix('valid/')
    axes[1].set_ylabel(f'held-out {name}')
    _draw_held_out(axes[1], *shown, best, name)
  _draw_baselines(axes[-1], baselines)
  _finish(axes)
  drawn = {label: line for each in axes for line, label in zip(
      *each.get_legend_handles_labels())}
  if drawn:
    picture.legend(drawn.values(), drawn.keys(), frameon=False, fontsize=9,
                   loc='outside lower center', ncols=3 if len(drawn) < 4 else 2)
  with atomic.opened(image_path, 'wb') as file:
    picture.savefig(file)


def _series(rows, name):
  pairs = [(row['step'], float(row[name])) for row in rows if name in row]
  pairs = [pair for pair in pairs if math.isfinite(pair[1])]
  return [step for step, _ in pairs], [value for _, value in pairs]


def _draw_losses(axes: Any, rows, best: int | None) -> None:
  steps, values = _series(rows, 'loss')
  if steps:
    axes.plot(steps, values, color=_BLUE, linewidth=1, alpha=0.35)
    axes.plot(steps, _smoothed(values), color=_BLUE, linewidth=1.8,
              label='training')
  held = _series(rows, 'valid/loss')
  if held[0]:
    _draw_held_out(axes, *held, best, 'loss')
  every = values + held[1]
  if every and min(every) > 0 and max(every) > _WIDE * min(every):
    axes.set_yscale('log')
    axes.yaxis.set_major_formatter('{x:g}')


def _draw_held_out(axes: Any, steps, values, best: int | None,
                   name: str) -> None:
  """Draws held-out values, with a ring around the best step's."""
  axes.plot(steps, values, color=_ORANGE, linewidth=1.8, marker='o',
            markersize=4 if len(steps) <= 40 else 2,
            label='held out')
  if best in steps:
    value = values[steps.index(best)]
    axes.plot([best], [value], linestyle='none', marker='o', markersize=10,
              markerfacecolor='none', markeredgecolor=_ORANGE,
              markeredgewidth=1.6, label=f'step {best:,}: {name} {value:.4f}')


def _draw_baselines(axes: Any, baselines: Mapping[str, float]) -> None:
  """Draws a line at each value, named at its right end, outside the plot."""
  finite = {name: value for name, value in baselines.items()
            if math.isfinite(value)}
  for value in finite.values():
    axes.axhline(value, color=_GREY, linewidth=1, linestyle=(0, (4, 3)))
  axes.autoscale_view()
  heights = {}
  for name, value in sorted(finite.items(), key=lambda item: item[1]):
    at = axes.transAxes.inverted().transform(
        axes.transData.transform((0, value)))[1]
    # Names stay apart, even if their lines do not.
    heights[name] = max(at, max(heights.values(), default=-1) + _GAP)
  for name, at in heights.items():
    axes.text(1.01, at, f'{name} {finite[name]:.4g}', color=_GREY, fontsize=9,
              transform=axes.transAxes, va='center')


def _finish(panels: Sequence[Any]) -> None:
  from matplotlib import ticker
  for axes in panels:
    axes.xaxis.set_major_locator(ticker.MaxNLocator(_TICKS, integer=True))
    axes.xaxis.set_major_formatter('{x:,.0f}')
    axes.spines[['top', 'right']].set_visible(False)
    axes.grid(axis='y', color='#dddddd', linewidth=0.6)
    axes.set_axisbelow(True)
  panels[-1].set_xlabel('step')


def _smoothed(values, share=0.05):
  """Returns means over windows centred on each value, which cause no lag."""
  reach = int(share / 2 * len(values))
  out = []
  for i in range(len(values)):
    near = min(reach, i, len(values) - 1 - i)  # Shorter near the ends.
    window = values[i - near:i + near + 1]
    out.append(sum(window) / len(window))
  return out
