"""What published files say about continuing texts is read strictly."""
import pytest

from lmjax.core import errors
from lmjax.interop import continuing


def of(**fields):
  return continuing.of(fields, 10, 'imported.json')


def test_files_that_say_nothing_ask_for_nothing():
  neutral = dict(num_beams=1, temperature=1.0, do_sample=False, top_k=50)
  assert of() == of(**neutral) == continuing.Continuing()


@pytest.mark.parametrize('given, want', [
    (None, ()), (0, (0,)), ([9, 2], (9, 2))])
def test_ids_that_end_a_text(given, want):
  assert of(eos_token_id=given).stop_ids == want


def test_a_decoder_starts_from_its_id_or_else_from_bos():
  assert of(decoder_start_token_id=0, bos_token_id=3).start_id == 0
  assert of(bos_token_id=3).start_id == 3
  assert of(forced_bos_token_id=7).forced_ids == (7,)


def test_ids_that_are_never_drawn():
  found = of(bad_words_ids=[[4], [1, 2], [5]], suppress_tokens=[6, 4],
             eos_token_id=5)
  assert found.never_ids == (4, 6)  # An end of texts stays possible.
  assert found.unapplied == ('bad_words_ids=[[1, 2]]',)


def test_what_is_not_applied_is_named():
  assert of(num_beams=4, min_length=56, temperature=0.6).unapplied == (
      'num_beams=4', 'min_length=56')
  assert of(do_sample=True, temperature=0.6, top_k=50).unapplied == (
      'do_sample=True', 'temperature=0.6')


@pytest.mark.parametrize('ids, told', [
    (10, '0 to 9.*got 10'), ([2, -1], 'got -1'), (True, 'got True'),
    ('2', "got '2'"), ([2.0], 'got 2.0'), ([[2]], r'got \[2\]'),
    ([None], 'got None'), ({'a': 2}, "got {'a': 2}")])
def test_ids_outside_the_vocabulary_are_refused(ids, told):
  for name in 'eos_token_id', 'decoder_start_token_id', 'suppress_tokens':
    with pytest.raises(errors.InputError, match=f'{name}.*{told}'):
      of(**{name: ids})


@pytest.mark.parametrize('words', [[4], 'a', [['a']], [[12]]])
def test_words_that_are_no_ids_are_refused(words):
  with pytest.raises(errors.InputError, match="'bad_words_ids' of"):
    of(bad_words_ids=words)
