"""A text is written from another one, by an encoder-decoder or a decoder."""
import dataclasses
import json

import jax
import numpy as np
import pytest

import lmjax
from lmjax.core import errors
from lmjax.data.tokenizers import export
from lmjax.data.tokenizers import specials
from lmjax.data.tokenizers import symbols
from lmjax import experiment
from lmjax.interop import runs
from lmjax.models import cost
from lmjax.models import decoder
from lmjax.models import encoder_decoder
from lmjax.recipes import finetuning
from lmjax.recipes import importing
from lmjax.tasks import seq2seq
from lmjax.tasks.written import decoding
from lmjax.tasks.written import memory_pairs
from lmjax.tasks.written import pair_rows
from lmjax.tasks.written import paired_texts
from lmjax.tasks.written import sides
from lmjax.testing import hot
from lmjax.training import options
from tests.reference import parity

BYTES = symbols.Bytes(bos=True, eos=True).build()
PAIRS = memory_pairs.MemoryPairs((('ab', 'ba', 'b a'), ('cd', 'dc')))
FEATURES = pair_rows.PairFeatures(
    lengths=(12,), target_lengths=(6,), batch_size=2)


def task(**changes):
  return seq2seq.Seq2Seq(**{
      'source': paired_texts.PairedTexts(
          PAIRS, PAIRS, PAIRS, drop_shared=False),
      'features': FEATURES} | changes)


def output(text, nll, finished=True):
  ids = [*text.encode(), *[BYTES.eos_id] * finished]
  return {'tokens': np.array(ids + [0] * (9 - len(ids))), 'drawn': len(ids),
          'finished': finished, 'logprob': np.float32(-1.5),
          'nll': np.float32(nll), 'count': np.float32(3)}


def test_texts_are_judged_and_answered_without_their_end():
  value = task()
  splits = value.read()
  rows = value.rows(splits.test, splits, BYTES)
  outputs = [output(' b a', 3), output(' d', 6, finished=False)]
  result = value.judge(outputs, splits.test, rows, splits)
  assert result.metrics['loss'].value == 9 / 6
  assert result.metrics['exact'].value == 50
  assert [item.finished for item in result.written] == [True, False]
  first, second = value.answers(outputs, splits.test, rows, splits)
  assert first == {'text': 'ab', 'targets': ['ba', 'b a'], 'predicted': 'b a',
                   'logprob': -1.5, 'tokens': 5, 'finished': True}
  assert second['predicted'] == 'd' and second['tokens'] == 2
  assert list(value.texts(splits.train)) == [' ab', ' ba', ' cd', ' dc']
  assert value.examples(['x '], 'w', ' y')[0] == ('x', ('y',), 'w')
  assert value.examples(['x'], 'w')[0].targets == ()


@pytest.mark.parametrize('most, expected', [
    (None, [1, 1]), (1, [1, 0]), (0, [0, 0]), (9, [1, 1])])
def test_some_validation_texts_are_written_and_all_test_texts(most, expected):
  value = task(metrics=seq2seq.Metrics(valid=most))
  splits = value.read()
  asked = lambda pairs: value.rows(
      pairs, splits, BYTES).by_row['asked'].tolist()
  assert asked(splits.valid) == expected and asked(splits.test) == [1, 1]
  rows = value.rows(splits.valid, splits, BYTES)
  result = value.judge([output('', 3)] * 2, splits.valid, rows, splits)
  assert result.examples == sum(expected)
  assert result.metrics['loss'].value == 1


def test_baselines_need_no_model():
  value = task()
  splits = value.read()
  found = value.baselines(splits, value.rows(splits.test, splits, BYTES))
  assert list(found) == [
      'copy of the source', 'first 1 words', 'target of the nearest source']
  assert 'loss' not in found['copy of the source'].metrics
  with pytest.raises(errors.InputError, match="'copied'; choose from.*'copy'"):
    seq2seq.Metrics(baselines=('copied',))


def test_rows_have_room_for_the_longest_text():
  assert task().longest == 18  # Source and target in one row.
  assert task(layout=sides.Apart()).longest == 12
  assert task(decode=decoding.Greedy(max_length=20)).longest == 32


@pytest.mark.slow  # 6 s each: a program that scores and writes is compiled.
@pytest.mark.parametrize('layout, model', [
    (sides.Apart(), encoder_decoder.EncoderDecoderConfig(
        vocab_size=BYTES.vocab_size, context=32, width=16, num_layers=2)),
    (sides.Joined(), decoder.DecoderConfig(
        vocab_size=BYTES.vocab_size, context=32, width=16, num_layers=2)),
    (sides.Joined(both_ways=True), decoder.DecoderConfig(
        vocab_size=BYTES.vocab_size, context=32, width=16, num_layers=2))])
def test_a_written_text_has_the_likelihood_that_it_has_as_a_target(
    layout, model):
  value = task(layout=layout)
  splits = value.read()
  module = value.model(model, splits)
  params = hot.hot_params(cost.shapes(model), std=0.3)
  function = jax.jit(value.outputs(module))
  rows = value.rows(splits.test, splits, BYTES)
  (_, batch), = rows.once()
  first = function(params, batch)
  written = [tokens[:drawn] for tokens, drawn in zip(
      np.asarray(first['tokens']), first['drawn'])]
  assert min(map(len, written)) > 0
  (_, batch), = dataclasses.replace(rows, targets=written).once()
  second = function(params, batch)
  np.testing.assert_allclose(second['nll'], -first['logprob'], rtol=1e-4)
  assert second['count'].tolist() == first['drawn'].tolist()


@pytest.mark.slow  # 20 s: programs that train, score and write are compiled.
@pytest.mark.parametrize('layout, model', [
    (sides.Apart(), encoder_decoder.EncoderDecoderConfig(
        context=32, width=16, num_layers=1)),
    (sides.Joined(both_ways=True), decoder.DecoderConfig(
        context=32, width=16, num_layers=1))])
def test_a_run_writes_the_same_text_once_it_is_loaded(layout, model, tmp_path):
  config = experiment.Finetune(
      task=task(layout=layout), tokenizer=symbols.Bytes(), model=model,
      training=options.Training(steps=2, log_every=1))
  results = finetuning.finetune(config, str(tmp_path / 'run'))
  assert {'loss', 'bleu', 'chrf', 'rougeL', 'exact'} <= {
      *results['model'].metrics}
  answers = [json.loads(line) for line in (
      tmp_path / 'run/predictions.jsonl').open()]
  run = lmjax.load(tmp_path / 'run')
  found = run.predict(['ab', ' ', 'cd'])
  assert found[1]['predicted'] is None
  for mine, theirs in zip(found[::2], answers, strict=True):
    assert mine['predicted'] == theirs['predicted']
    assert mine['logprob'] == pytest.approx(theirs['logprob'], rel=1e-3)
  report = json.loads((tmp_path / 'run/report.json').read_text())
  assert 'version:' in report['results']['model']['signatures']['bleu']
  kept = [json.loads(line) for line in (tmp_path / 'run/metrics.jsonl').open()]
  assert any('valid/bleu' in row for row in kept)


@pytest.mark.slow  # 8 s each: a reference in torch, saved and imported.
@pytest.mark.parametrize('name', ['T5Config', 'BartConfig'])
def test_imported_weights_start_and_end_as_their_files_say(name, tmp_path):
  torch, transformers = parity.torch_and_transformers()
  sizes = dict(d_model=32, eos_token_id=257, decoder_start_token_id=257)
  kind, begins, more = {
      'T5Config': ('T5', False, dict(
          d_kv=8, d_ff=48, num_layers=2, num_heads=4, eos_token_id=256,
          pad_token_id=257)),
      'BartConfig': ('Bart', True, dict(
          encoder_layers=2, decoder_layers=2, encoder_ffn_dim=48,
          decoder_ffn_dim=48, encoder_attention_heads=4,
          decoder_attention_heads=4, max_position_embeddings=66,
          bos_token_id=256, pad_token_id=258))}[name]
  tokenizer = specials.Extended(
      symbols.ByteTokenizer(begins, True), ('[PAD]',), sentinels=3)
  reference = getattr(transformers, f'{kind}ForConditionalGeneration')(
      getattr(transformers, name)(
          **sizes | more, vocab_size=tokenizer.vocab_size)).float().eval()
  parity.heat(reference, 0)
  reference.generation_config.update(
      forced_bos_token_id=256 if begins else None, forced_eos_token_id=None)
  reference.save_pretrained(tmp_path / 'files')
  for file, content in export.files(tokenizer).items():
    (tmp_path / 'files' / file).write_bytes(content)
  importing.save(*importing.load(tmp_path / 'files'), tmp_path / 'run')
  found = runs.backbone(str(tmp_path / 'run'))

  value = task(layout=sides.Apart(), features=pair_rows.PairFeatures(
      lengths=(12,), target_lengths=(16,), batch_size=2, prefix=''))
  splits = value.read()
  rows = value.rows(splits.test, splits, found.tokenizer)
  (_, batch), = rows.once()
  outputs = jax.jit(value.outputs(value.model(found.config, splits)))(
      found.params, batch)
  first = 1 + begins
  for place, source in enumerate(rows.sources):
    want = reference.generate(
        torch.tensor([source.tolist()]), max_new_tokens=15 + first,
        do_sample=False, num_beams=1)[0, first:first + 16].tolist()
    drawn = int(outputs['drawn'][place])
    assert outputs['tokens'][place, :drawn].tolist() == want[:drawn]
    assert drawn == 16 or bool(outputs['finished'][place])
