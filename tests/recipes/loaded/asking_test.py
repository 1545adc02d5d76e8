"""A run in a notebook answers as the scripts do, or says why it cannot."""
import dataclasses
import math

import numpy as np
import pytest

from lmjax.core import errors
from lmjax.data import pipeline
from lmjax.data.text import sources
from lmjax.data.tokenizers import symbols
from lmjax.evaluation import embeddings
from lmjax.evaluation import held_out
from lmjax.evaluation import scoring
from lmjax import experiment
from lmjax.generation import samples
from lmjax.generation import streaming
from lmjax.generation import transforms
from lmjax.interop import continuing
from lmjax.models import cost
from lmjax.models.counted import ngram
from lmjax.models import encoder
from lmjax.models.presets import decoders
from lmjax.objectives.encoders import replaced
from lmjax.recipes import counting
from lmjax.recipes.loaded import asking
from lmjax.recipes.loaded import trained as trained_lib
from lmjax.testing import hot

TOKENIZER = symbols.Bytes().build()
CONFIG = experiment.Pretrain(
    model=decoders.gpt2(32, 1, 2, vocab_size=300, context=64),
    samples=samples.Samples(sampling=transforms.Sampling(0.5, top_k=9)))
TEXTS = 'so much depends', 'upon a red wheel barrow ' * 9, 'glazed'


def run_of(config):
  return trained_lib.Trained(
      config, TOKENIZER, config.model.build(),
      hot.hot_params(cost.shapes(config.model)), 1)


@pytest.fixture(scope='module')
def run():
  return run_of(CONFIG)


@pytest.mark.slow
def test_one_prompt_gives_a_text_and_several_a_list(run):
  texts = run.generate(['so', 'so', 'much'], max_new_tokens=12, seed=3)
  assert run.generate('so', max_new_tokens=12, seed=3) == texts[0] != texts[1]
  assert run.generate([]) == []
  assert [found.text for _, found in streaming.samples(
      run.model, run.params, TOKENIZER, ['so', 'so', 'much'], seed=3,
      max_new_tokens=12, sampling=CONFIG.samples.sampling)] == texts


@pytest.mark.slow
def test_sampling_is_the_runs_own_with_the_fields_that_are_given(run):
  assert asking.sampling(CONFIG.samples, {'top_p': 0.9}) == (
      transforms.Sampling(0.5, top_k=9, top_p=0.9))
  greedy = [run.generate('so', temperature=0, seed=seed, max_new_tokens=9)
            for seed in (0, 1)]
  assert greedy[0] == greedy[1]
  with pytest.raises(errors.InputError, match="'temprature' .* 'temperature'"):
    run.generate('so', temprature=0)


@pytest.mark.slow
def test_a_text_ends_before_each_id_that_ends_one_in_the_run(run):
  options = dict(max_new_tokens=9, seed=3)
  text = run.generate('so', **options)
  end = TOKENIZER.encode(text)[4]
  ended = dataclasses.replace(run, published=continuing.Continuing(
      stop_ids=(7, int(end))))
  want = text[:text.index(chr(end))]
  assert ended.generate('so', **options) == want
  assert asking.options(ended)['stop_ids'] == (7, int(end))


@pytest.mark.slow
def test_ids_that_files_forbid_are_never_drawn(run):
  assert asking.options(run)['transforms'] == ()
  forbidding = dataclasses.replace(
      run, published=continuing.Continuing(never_ids=(3, 7)))
  assert asking.options(forbidding)['transforms'] == (
      transforms.Without((3, 7)),)


@pytest.mark.slow
def test_the_end_of_the_context_is_told_unless_windows_go_on(run, capsys):
  assert len(run.generate('a' * 60)) <= 3
  assert 'context of 64 tokens was full' in capsys.readouterr().err
  run.generate('a' * 60, window=True)
  assert capsys.readouterr().err == ''


@pytest.mark.slow
def test_scores_are_those_of_an_evaluation(run, tmp_path):
  data = pipeline.DataConfig(
      source=sources.InMemory(texts=TEXTS), split=None,
      tokenizer=symbols.Bytes()).build(tmp_path)
  how = scoring.Scoring().settled(run.context)
  score, lay = trained_lib.reading(run, how)
  report, *_ = held_out.reports(
      score, data.train, TOKENIZER, context=how.context, stride=how.stride,
      batch_size=how.batch_size, lay=lay)
  found = run.score(TEXTS)
  assert [(each.nats, each.tokens, each.bytes) for each in found] == list(zip(
      report.by_document.nats, report.by_document.tokens,
      map(len, TEXTS)))
  assert sum(each.nats for each in found) == pytest.approx(report.nats)
  one = run.score(TEXTS[0])
  assert one.nats == pytest.approx(found[0].nats, rel=1e-6)
  assert one.bits_per_byte == one.nats / math.log(2) / len(TEXTS[0])
  assert run.score('').tokens == 1  # EOS.


@pytest.mark.slow
def test_a_short_text_is_scored_in_a_small_batch(run, monkeypatch):
  sizes, reading = [], trained_lib.reading
  def watched(run, scoring):
    sizes.append(scoring.batch_size)
    return reading(run, scoring)
  monkeypatch.setattr(trained_lib, 'reading', watched)
  run.score('so')
  run.score(['so much depends ' * 9] * 40)
  assert sizes == [1, 32]


@pytest.mark.slow
def test_logits_are_of_each_tokens_successor(run):
  ids = np.concatenate([[TOKENIZER.bos_id], TOKENIZER.encode('so much')])
  logits_TV = run.logits('so much')
  np.testing.assert_array_equal(run.logits(ids), logits_TV)
  assert logits_TV.shape == (8, 300)
  want_TV = run.model.apply({'params': run.params}, ids[None])[0][0]
  np.testing.assert_allclose(logits_TV, want_TV, atol=1e-5)
  nll_T = -np.asarray(logits_TV - np.logaddexp.reduce(
      logits_TV, -1, keepdims=True))[np.arange(7), ids[1:]]
  assert run.score('so much').nats == pytest.approx(
      nll_T.sum() + math.log(np.exp(logits_TV[-1]).sum())
      - logits_TV[-1, TOKENIZER.eos_id], rel=1e-5)


@pytest.mark.parametrize('given, told', [
    ('a' * 64, '65 tokens, but the model reads 64'), ([], 'is empty'),
    ([3, 300], 'token id 300')])
def test_ids_that_have_no_logits_are_refused(run, given, told):
  with pytest.raises(errors.InputError, match=told):
    run.logits(given)


def test_embed_is_that_of_the_script(run):
  np.testing.assert_allclose(run.embed(['so', 'much']), embeddings.embed(
      run.model, run.params, TOKENIZER, ['so', 'much']), atol=1e-6)
  assert run.embed('so', 'last').shape == (32,)


def test_a_pretrained_run_says_how_to_get_answers(run):
  with pytest.raises(errors.InputError, match='^predict: .* --config.init='):
    run.predict(['so'])


def test_texts_that_are_no_str_are_refused_by_number(run):
  with pytest.raises(errors.InputError, match='Text 1 should be a str; got 3'):
    run.score(['a', 3])
  with pytest.raises(errors.InputError, match='Text 0 has a lone surrogate'):
    run.generate('\ud800')


def test_an_objective_without_likelihood_scores_nothing():
  config = dataclasses.replace(
      CONFIG, objective=replaced.ReplacedTokens(),
      model=encoder.EncoderConfig(
          vocab_size=300, context=64, width=16, num_layers=1))
  with pytest.raises(errors.InputError, match='defines no likelihood'):
    run_of(config).score('a')
  with pytest.raises(errors.InputError, match='cannot continue a prompt'):
    run_of(config).generate('a')


def test_a_counted_run_scores_and_says_what_it_cannot(tmp_path):
  counting.count(experiment.Count(
      data=pipeline.DataConfig(
          source=sources.InMemory(texts=TEXTS * 9), split=None,
          tokenizer=symbols.Bytes()),
      model=ngram.NgramConfig(order=2)), str(tmp_path / 'run'))
  run = trained_lib.load_any(tmp_path / 'run')
  assert run.score('red').nats < run.score('xyz').nats
  for method in 'generate', 'logits', 'embed', 'predict':
    with pytest.raises(errors.InputError, match='counted, and only scores'):
      getattr(run, method)('a')
