"""A document scored in pieces, its state carried, is the document."""
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.evaluation import carried
from lmjax.evaluation import likelihood
from lmjax.evaluation import report
from lmjax.models import decoder
from lmjax.models import lstm
from lmjax.nn import recurrent
from lmjax.objectives import losses
from lmjax.testing import batches
from lmjax.testing import hot

VOCAB = 13
MODEL = lstm.RecurrentConfig(
    vocab_size=VOCAB, width=5, num_layers=1,
    cell=recurrent.LSTMConfig(6)).build()
PARAMS = hot.hot_params(
    jax.eval_shape(lambda: decoder.initial_params(MODEL, 0)), std=0.4)
DOCUMENTS = [*batches.documents([23, 1, 8], VOCAB), np.array([5])]


SCORE_OF = carried.scorer(MODEL)


@pytest.fixture(scope='module')
def full_nats():
  """The nats of each document, read at once."""
  batch = batches.alone(DOCUMENTS[:3])
  logits_BTV, _ = jax.jit(MODEL.apply)({'params': PARAMS}, batch['inputs'])
  nll_BT, _ = losses.cross_entropy(logits_BTV, jnp.asarray(batch['targets']))
  return np.sum(np.asarray(nll_BT) * batch['weights'], axis=1)


@pytest.mark.parametrize('context', [5, 40])
def test_pieces_are_the_whole_whatever_their_length(context, full_nats):
  for _ in range(2):  # Nothing is left over for a second look.
    found = likelihood.evaluate(
        SCORE_OF(PARAMS), DOCUMENTS, vocab_size=VOCAB,
        lay=carried.Windows(context))
    uniform = 4 * np.log(VOCAB)  # The first tokens, which nothing precedes.
    assert found.nats_per_token * found.tokens == pytest.approx(
        sum(full_nats) + uniform, rel=1e-5)
    assert found.tokens == 23 + 1 + 8 + 4
    assert found.by_position[-1].low == 16  # Positions go on.


def test_without_the_state_scores_differ(full_nats):
  found = likelihood.evaluate(
      SCORE_OF(PARAMS), DOCUMENTS[:1], vocab_size=VOCAB,
      context=5, stride=5, batch_size=1)
  assert found.nats_per_token * 24 != pytest.approx(
      full_nats[0] + np.log(VOCAB), rel=1e-3)


def test_the_report_states_that_the_state_is_carried_and_no_stride():
  found = likelihood.evaluate(
      SCORE_OF(PARAMS), DOCUMENTS, vocab_size=VOCAB, lay=carried.Windows(5))
  said = ' '.join(report.terms(found))
  assert 'The state is carried: each token sees its document from' in said
  assert 'stride' not in said and 'context' not in said
  again = report.Report.from_dict(json.loads(json.dumps(found.to_dict())))
  assert (again.context, again.stride) == (None, None)


def test_stateless_models_and_bad_contexts_are_refused():
  with pytest.raises(errors.InputError, match='state of a recurrent model'):
    carried.scorer(decoder.DecoderConfig(vocab_size=5).build())
  with pytest.raises(errors.InputError, match='context should be'):
    carried.Windows(0)
