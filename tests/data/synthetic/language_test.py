"""The optimal score on rows: whole documents, packed rows, and bad input."""
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.data.synthetic import chains
from lmjax.data.synthetic import language
from lmjax.data.synthetic import puzzles
from lmjax.data.tokenizers import symbols
from lmjax.testing import batches

PARITY = puzzles.Parity(max_length=3, num_documents=20)
TOKENIZER = symbols.Bytes().build()


def ids(text):
  return TOKENIZER.encode_document(text).astype(np.int32)


def test_packed_rows_score_as_rows_alone():
  score = PARITY.optimal_score(TOKENIZER)
  docs = [ids(text) for text in ('101=0', '1=1', '01=1')]
  alone, packed = batches.alone(docs), batches.packed(docs)
  nll, correct = score(alone)
  np.testing.assert_array_equal(
      score(packed)[0][packed['weights'] > 0], nll[alone['weights'] > 0])
  assert not nll[alone['weights'] == 0].any()
  # Two bits and two lengths left; then what is certain.
  np.testing.assert_allclose(np.exp(-nll[1, :4]), [1/2, 1/3, 1, 1], rtol=1e-6)
  np.testing.assert_allclose(correct[1, :4], [1/2, 1/3, 1, 1], rtol=1e-6)


def test_an_eos_among_the_inputs_of_a_packed_row_predicts_nothing():
  stream = np.concatenate([ids('1=1'), ids('0=0')])
  first = np.arange(9) < 5  # Row of the training data: EOS, then another BOS.
  nll, _ = PARITY.optimal_score(TOKENIZER)({
      'inputs': stream[None, :-1], 'targets': stream[None, 1:],
      'segments': np.where(first, 1, 2)[None]})
  np.testing.assert_allclose(
      np.exp(-nll[0]), [1/2, 1/3, 1, 1, 1, 1/2, 1/3, 1, 1], rtol=1e-6)


def test_texts_outside_the_language_have_infinite_loss():
  nll, correct = PARITY.optimal_score(TOKENIZER)(batches.alone([ids('11=1')]))
  assert np.isfinite(nll[0, :3]).all()
  assert np.isinf(nll[0, 3]) and not correct[0, 3:].any()


def test_documents_are_the_same_every_time_and_depend_on_the_seed():
  longer = puzzles.Parity(max_length=3, num_documents=2000)
  texts = list(PARITY.documents())
  assert len(texts) == 20 and texts == list(PARITY.documents())
  assert list(longer.documents())[:20] == texts
  other = puzzles.Parity(max_length=3, num_documents=20, seed=1)
  assert list(other.documents()) != texts
  assert other.fingerprint() != PARITY.fingerprint()


def test_per_token_is_what_an_evaluator_divides():
  assert language.Entropy(6.0, 3.0).per_token == 2.0


def test_unusable_input_is_refused():
  with pytest.raises(errors.InputError, match='bos=True'):
    PARITY.optimal_score(symbols.Bytes(eos=False).build())
  score = PARITY.optimal_score(TOKENIZER)
  with pytest.raises(errors.InputError, match='id 120 is not a symbol'):
    score(batches.alone([ids('1x=1')]))
  with pytest.raises(errors.InputError, match='whole documents'):
    score(batches.alone([ids('10=1')[1:]]))
  with pytest.raises(errors.InputError, match='num_documents .* got 0'):
    puzzles.Parity(num_documents=0)
  with pytest.raises(errors.InputError, match='symbols should be from 1 to 62'):
    chains.MarkovChain(order=0, symbols=63).alphabet
