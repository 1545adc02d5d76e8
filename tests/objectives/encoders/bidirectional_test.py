"""What the model is called with, and which models are refused."""
import types

import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.models import model as model_lib
from lmjax.objectives.encoders import bidirectional


class Spy:
  """Records how it is called."""

  def __init__(self, **traits):
    self.config = model(**traits).config

  def apply(self, variables, ids, *args, **kwargs):
    self.call = dict(ids=ids, args=args, **kwargs)
    return ids, None


BATCH = {'inputs': jnp.array([[1, 2, 3]]), 'positions': jnp.array([[0, 0, 1]]),
         'segments': jnp.array([[1, 2, 2]])}


def test_the_mask_hides_other_documents_and_not_the_future():
  spy = Spy()
  bidirectional.hidden(spy, {}, BATCH)
  mask, = spy.call['args']
  np.testing.assert_array_equal(
      mask.dense()[0], [[1, 0, 0], [0, 1, 1], [0, 1, 1]])
  assert spy.call['train'] is False and spy.call['rngs'] is None
  assert 'types_BT' not in spy.call and spy.call['method'] == 'hidden'


def test_types_and_other_inputs_are_handed_on():
  spy = Spy(types=2)
  bidirectional.hidden(
      spy, {}, BATCH | {'types': BATCH['segments']}, 7 + BATCH['inputs'],
      rng='key', method='other')
  assert spy.call['types_BT'] is BATCH['segments']
  np.testing.assert_array_equal(spy.call['ids'], [[8, 9, 10]])
  assert spy.call['train'] and spy.call['rngs'] == {'dropout': 'key'}
  assert spy.call['method'] == 'other'


def test_a_model_without_types_is_given_none():
  spy = Spy(both_ways=True)
  bidirectional.hidden(spy, {}, BATCH | {'types': BATCH['segments']})
  assert 'types_BT' not in spy.call


def model(**traits):
  return types.SimpleNamespace(config=types.SimpleNamespace(
      traits=model_lib.Traits(**traits)))


@pytest.mark.parametrize('traits', [{}, {'causal': True}])
def test_a_model_without_a_future_is_refused(traits):
  with pytest.raises(errors.InputError, match='MaskedLM .*model.causal=False'):
    bidirectional.check(model(**traits), 'MaskedLM')
  bidirectional.check(model(both_ways=True), 'MaskedLM')


def test_a_model_that_reads_two_texts_is_refused():
  with pytest.raises(errors.InputError, match='of one text.*kind=Seq2Seq'):
    bidirectional.check(model(both_ways=True, reads_source=True), 'MaskedLM')


def test_a_missing_head_or_tokenizer_is_refused():
  with pytest.raises(errors.InputError, match='config.model.tokens.kind'):
    bidirectional.check_head(model(heads=frozenset()), 'tokens', 'MaskedLM')
  bidirectional.check_head(model(), 'tokens', 'MaskedLM')
  with pytest.raises(errors.InputError, match='needs the tokenizer'):
    bidirectional.check_tokenizer(None, 'MaskedLM')
