"""The curve is drawn from any rows that a run has written."""
import itertools
import math

from matplotlib import figure
import pytest

from lmjax.run import curve
from lmjax.training import writers


@pytest.mark.parametrize('steps', [0, 1, 300])
def test_a_png_file_is_drawn(tmp_path, steps):
  out = writers.JsonLines(tmp_path / 'metrics.jsonl')
  for step in range(steps):
    out.write(step, {'loss': math.nan if step == 5 else 3 / (step + 1)})
    if step % 100 == 0:
      out.write(step, {'valid/loss': 3.1 / (step + 1)})
  out.close()
  curve.plot(tmp_path / 'metrics.jsonl', tmp_path / 'curve.png', 'A run')
  data = (tmp_path / 'curve.png').read_bytes()
  assert data.startswith(b'\x89PNG') and len(data) > 5000


@pytest.fixture
def drawn(tmp_path, monkeypatch):
  """Returns a function that draws the curve of rows; it returns the figure."""
  pictures = []
  monkeypatch.setattr(
      figure.Figure, 'savefig', lambda self, *_: pictures.append(self))
  def draw(rows, **options):
    out = writers.JsonLines(tmp_path / 'metrics.jsonl')
    for step, row in rows:
      out.write(step, row)
    out.close()
    curve.plot(
        tmp_path / 'metrics.jsonl', tmp_path / 'x.png', 'A run', **options)
    pictures[-1].draw_without_rendering()
    return pictures[-1]
  return draw


ROWS = [(step, {'loss': 7 / step, 'valid/loss': 1 + abs(step - 2),
                'valid/accuracy': step / 10}) for step in (1, 2, 3, 4)]


def test_the_start_is_not_cut_off_and_steps_are_whole(drawn):
  axes, = drawn(ROWS).axes
  low, high = axes.get_ylim()
  assert low < 7 / 4 and high > 7
  labels = [label.get_text() for label in axes.get_xticklabels()]
  assert all(float(label).is_integer() for label in labels)
  assert len(set(labels)) == len(labels)


def test_losses_of_very_different_size_are_drawn_on_a_log_scale(drawn):
  axes, = drawn([(1, {'loss': 500.0}), (2, {'loss': 1.0})]).axes
  assert axes.get_yscale() == 'log' and axes.get_ylim()[1] > 500


def test_best_step_and_baselines_are_named_outside_the_plot(drawn):
  picture = drawn(ROWS, best=2, baselines={
      'uniform': 6.9, 'unigram': 5.2, 'bigram': 5.21, 'broken': math.nan})
  axes, = picture.axes
  legend = [text.get_text() for text in picture.legends[0].get_texts()]
  assert legend == ['training', 'held out', 'step 2: loss 1.0000']
  texts = {text.get_text(): text.get_window_extent() for text in axes.texts}
  assert set(texts) == {'uniform 6.9', 'unigram 5.2', 'bigram 5.21'}
  boxes = [*texts.values(), picture.legends[0].get_window_extent()]
  assert not any(box.overlaps(axes.bbox) for box in boxes)
  assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))


def test_the_metric_that_chose_the_best_step_has_a_panel_of_its_own(drawn):
  picture = drawn(ROWS, best=4, metric='valid/accuracy',
                  baselines={'majority (test)': 0.2})
  losses, accuracies = picture.axes
  assert accuracies.get_ylabel() == 'held-out accuracy'
  assert not losses.texts and len(accuracies.texts) == 1
  legend = [text.get_text() for text in picture.legends[0].get_texts()]
  assert legend[-1] == 'step 4: accuracy 0.4000'


def test_smoothing_does_not_lag():
  line = [float(i) for i in range(200)]
  assert curve._smoothed(line) == pytest.approx(line)
  noisy = [1.0, 3.0] * 100
  assert max(curve._smoothed(noisy)[20:-20]) < 2.3
