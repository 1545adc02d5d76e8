"""The sentences about two runs say what was tested, and what cannot be."""
import dataclasses

import pytest

from lmjax import experiment
from lmjax.objectives.encoders import mlm
from lmjax.recipes.comparing import contrast
from lmjax.recipes.comparing import outcome


def contrasts(*runs):
  found = [outcome.read(run) for run in runs]
  return contrast.against(found[0], found[1:], outcome.titles(found))


def test_the_better_run_is_named_with_its_interval(pretrained):
  (found,), refused = contrasts(
      pretrained('a', nats=2.5), pretrained('b', nats=2.25))
  assert not refused
  assert found.found.value == pytest.approx(0.25)
  told = found.sentences()
  assert told.startswith(
      'b is better than a by 0.2500 ± 0.0000 nats/token (95% interval 0.2500 '
      'to 0.2500; 8 documents; p = 0.0078, exact ')
  (turned,), _ = contrasts(
      pretrained('c', nats=2.25), pretrained('d', nats=2.5))
  assert turned.sentences().startswith(
      'c is better than d by 0.2500 ± 0.0000 nats/token (95% interval 0.2500 ')
  assert 'No difference' not in told and found.p == 2 / 2**8


def test_few_documents_cannot_show_a_difference_and_this_is_said(pretrained):
  texts = 'a few', 'of', 'them here', 'only'
  (found,), _ = contrasts(pretrained('a', nats=2.0, texts=texts),
                       pretrained('b', nats=1.0, texts=texts))
  told = found.sentences()
  assert told.startswith('No difference is shown: b is ahead of a by 1.0000')
  assert 'With 4 documents, no p-value can be below 0.12' in told


def test_one_document_allows_no_test(pretrained):
  (found,), _ = contrasts(pretrained('a', nats=2.0, texts=['one text']),
                       pretrained('b', nats=1.0, texts=['one text']))
  assert found.p is None
  assert found.sentences().startswith(
      'On this one unit of documents, b is ahead of a by 1.0000 nats/token.')


def test_the_same_scores_are_said_to_be_the_same(pretrained):
  (found,), _ = contrasts(pretrained('a'), pretrained('b'))
  assert found.sentences() == 'a and b score the same on 8 documents.'


def test_other_tokenizers_are_compared_by_bytes(pretrained):
  (found,), refused = contrasts(
      pretrained('a', nats=2.0, tokenizer='t'),
      pretrained('b', nats=1.5, tokenizer='u', per_byte=2))
  assert not refused and found.metric == 'bits/byte'
  assert found.found.value < 0  # Twice the tokens, though each costs less.
  assert 'a is better than b' in found.sentences()


def test_other_text_is_refused(pretrained):
  found, (refused,) = contrasts(
      pretrained('a'), pretrained('b', texts=['0 0 0 ', 'another']))
  assert not found
  assert 'of 8 and 2 documents, 1 are the same' in refused
  assert '--below=evaluation' in refused


def test_other_kinds_of_likelihood_are_refused(pretrained):
  masked = dataclasses.replace(
      experiment.Pretrain(), objective=mlm.MaskedLM())
  found, (refused,) = contrasts(pretrained('a'), pretrained('b', config=masked))
  assert not found
  assert 'the likelihood of a is exact, of b pseudo' in refused


def test_runs_from_before_losses_were_kept_are_refused(pretrained):
  old = pretrained('b')
  (old / 'held_out.jsonl').unlink()
  assert 'b has no held_out.jsonl' in contrasts(pretrained('a'), old)[1][0]


def test_other_windows_are_noted(pretrained):
  (found,), _ = contrasts(pretrained('a'), pretrained('b', nats=1, stride=4))
  assert found.sentences().endswith(
      'a was scored with stride 8, b with 4.')


def test_p_values_of_several_tests_are_adjusted(pretrained):
  found, _ = contrasts(pretrained('a'), pretrained('b', nats=1),
                    pretrained('c', nats=3))
  assert [each.p for each in found] == [4 / 2**8, 4 / 2**8]
  assert 'adjusted for several runs' in found[0].sentences()


def answers(*predicted):
  return [{'text': f'text {i}', 'label': 'a', 'predicted': each}
          for i, each in enumerate(predicted)]


def test_answers_of_tuned_runs_are_tested(tuned):
  (found,), _ = contrasts(tuned('a', answers(*'aaaaaaaaab')),
                       tuned('b', answers(*'bbbbbbbabb')))
  assert found.sentences().startswith(
      'a is better than b by 0.8000 ± 0.1333 accuracy (95% interval ')
  assert '10 examples; p = 0.0078, exact McNemar test' in found.sentences()


def test_other_test_splits_are_refused(tuned):
  found, (refused,) = contrasts(tuned('a', answers('a', 'b')),
                             tuned('b', answers('a')))
  assert not found and 'their test splits have different examples' in refused
  assert 'no answers' in contrasts(tuned('c', []), tuned('d', []))[1][0]
