"""The spread of results over seeds and over templates."""
import dataclasses

import pytest

from lmjax.evaluation.choice import sensitivity


@dataclasses.dataclass
class Report:
  """The fields of a report that spreads are of."""
  name: str
  template: int | None
  accuracy: float
  accuracy_norm: float | None = None
  accuracy_calibrated: float | None = None


def test_seeds_are_compared_within_a_template_and_templates_by_their_means():
  found = sensitivity.spreads([
      Report('a', 0, 0.1), Report('a', 0, 0.3), Report('a', 1, 0.5),
      Report('a', 1, 0.9), Report('b', None, 0.4, 0.5)])
  assert [one.over for one in found] == [
      '2 seeds, template 0', '2 seeds, template 1', '2 templates']
  first, _, last = found
  assert (first.mean, first.low, first.high) == (pytest.approx(0.2), 0.1, 0.3)
  assert first.deviation == pytest.approx(0.02 ** 0.5)
  assert (last.low, last.high) == (pytest.approx(0.2), pytest.approx(0.7))
  assert last.to_dict()['metric'] == 'acc'
  assert len(sensitivity.table(found).columns) == 7


def test_each_metric_has_its_spread():
  found = sensitivity.spreads(
      Report('a', None, 0.1, 0.2 * i, 0.3) for i in range(3))
  assert [(one.over, one.metric) for one in found] == [
      ('3 seeds', metric) for metric in ('acc', 'acc_norm', 'acc_calibrated')]
  assert sensitivity.spreads([Report('a', None, 0.1)]) == []
