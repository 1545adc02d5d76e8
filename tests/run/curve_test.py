"""The curve is drawn from any rows that a run has written."""
import math

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


def test_smoothing_does_not_lag():
  line = [float(i) for i in range(200)]
  assert curve._smoothed(line) == pytest.approx(line)
  noisy = [1.0, 3.0] * 100
  assert max(curve._smoothed(noisy)[20:-20]) < 2.3
