"""Standard errors against formulas, and the table of results."""
import math
import types

import numpy as np
import pytest

from lmjax.evaluation import estimates


def test_the_error_of_a_mean():
  found = estimates.mean([1.0, 2.0, 6.0])
  assert found.value == 3.0
  assert found.stderr == pytest.approx(math.sqrt(7.0 / 3))
  assert estimates.mean([2.0]) == estimates.Estimate(2.0, None)


def test_the_jackknife_of_a_mean_is_its_standard_error():
  values = np.array([1.0, 2.0, 6.0, 6.0])
  without = (values.sum() - values) / 3
  expected = estimates.mean(values)
  found = estimates.jackknife(values.mean(), without)
  assert found.stderr == pytest.approx(expected.stderr)
  grouped = estimates.jackknife(
      values.mean(), without[:3], np.array([1, 1, 2]))
  assert grouped.stderr == pytest.approx(expected.stderr)
  assert estimates.jackknife(1.0, np.array([])).stderr is None


def test_the_table_has_a_column_for_each_metric_and_its_error():
  one = {'macro_f1': estimates.Estimate(0.5, 0.25),
         'loss': estimates.Estimate(math.nan)}
  two = {'macro_f1': estimates.Estimate(1.0)}
  results = {name: types.SimpleNamespace(metrics=metrics)
             for name, metrics in (('model', one), ('other', two))}
  assert estimates.columns(one) == ('', 'macro-F1', '±', 'loss', '±')
  assert estimates.rows(results, tuple(one)) == [
      ('model', '0.5000', '0.2500', 'nan', '-'),
      ('other', '1.0000', '-', '-', '-')]
  assert not estimates.reasons(results)
  assert estimates.to_dict(two) == {'macro_f1': 1.0, 'macro_f1_stderr': None}


def test_a_metric_that_is_not_known_says_why():
  unknown = {name: estimates.Estimate(None, why='all labels are 2')
             for name in ('pearson', 'spearman')}
  results = {'model': types.SimpleNamespace(
      metrics={'loss': estimates.Estimate(1.0)} | unknown)}
  assert estimates.reasons(results) == [
      'pearson, spearman of model: undefined, as all labels are 2.']
  assert estimates.rows(results, ('pearson',)) == [('model', '-', '-')]
  assert estimates.to_dict({'pearson': unknown['pearson']}) == {
      'pearson': None, 'pearson_stderr': None,
      'pearson_why': 'all labels are 2'}


def test_metrics_of_parts_have_tables_of_their_own():
  number = lambda value: estimates.Estimate(value, 0.5)
  results = {
      'model': types.SimpleNamespace(metrics={
          'loss': number(1.0), 'a/loss': number(2.0), 'a/f1': number(3.0),
          'b/loss': number(4.0)}),
      'a/other': types.SimpleNamespace(metrics={'a/f1': number(5.0)})}
  assert estimates.tables(results) == {
      '': (('', 'loss', '±'), [('model', '1.0000', '0.5000')]),
      'a': (('', 'loss', '±', 'F1', '±'), [
          ('model', '2.0000', '0.5000', '3.0000', '0.5000'),
          ('other', '-', '-', '5.0000', '0.5000')]),
      'b': (('', 'loss', '±'), [('model', '4.0000', '0.5000')])}


def test_a_table_of_many_metrics_has_a_row_for_each_of_them():
  many = {f'm_{i}': estimates.Estimate(i / 10, 0.5) for i in range(5)}
  results = {'model': types.SimpleNamespace(metrics=many),
             'other': types.SimpleNamespace(metrics={'m_1': many['m_0']})}
  heads, cells = estimates.tables(results)['']
  assert heads == ('', 'model', '±', 'other', '±')
  assert len(cells) == 5
  assert cells[1] == ('m-1', '0.1000', '0.5000', '0.0000', '0.5000')
  assert cells[2] == ('m-2', '0.2000', '0.5000', '-', '-')
  del many['m_4']
  heads, cells = estimates.tables(results)['']
  assert heads == estimates.columns(many)
  assert cells == estimates.rows(results, tuple(many))


def test_the_error_of_a_ratio_is_the_jackknifes():
  part, whole = np.array([1, 0, 2, 5]), np.array([3, 0, 2, 9])
  found = estimates.ratio(part, whole)
  assert found.value == pytest.approx(8 / 14)
  without = np.array([7 / 11, 8 / 14, 6 / 12, 3 / 5])
  expected = math.sqrt(3 / 4 * np.square(without - without.mean()).sum())
  assert found.stderr == pytest.approx(expected)
  assert estimates.ratio(np.zeros(3), np.zeros(3)).value == 0.0
