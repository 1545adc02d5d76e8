"""The members of a stack are shown each alone, where there is a stack."""
from lmjax.evaluation.downstream import alone
from lmjax.evaluation.downstream import regression


def test_there_is_a_row_for_each_member():
  parts = {name: regression.Regression.of([1, 2, 4], predicted)
           for name, predicted in (('one', [1, 2, 4]), ('other', [1, 1, 1]))}
  head, lines = alone.tables('regression', parts)['Alone']
  assert head == ('regression', 'loss', 'pearson', 'spearman', 'mse')
  assert [line[:3] for line in lines] == [
      ('one', '0.000', '1.000'), ('other', '3.333', '-')]
  assert alone.to_dict(parts)['alone']['one']['mse'] == 0


def test_without_members_nothing_is_shown():
  assert not alone.tables('regression', {}) and not alone.to_dict({})
