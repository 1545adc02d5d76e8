"""A prompt has the layout of training rows."""
import dataclasses
import types

import numpy as np
import pytest

from lmjax.core import errors
from lmjax.data.corruption import denoisers
from lmjax.data.corruption import middle
from lmjax.data.corruption import noising
from lmjax.data.corruption import prefixes
from lmjax.data.corruption import spans
from lmjax.data import pipeline
from lmjax.data.tokenizers import export
from lmjax.data.tokenizers import specials
from lmjax.data.tokenizers import symbols
from lmjax import experiment
from lmjax.generation import marked
from lmjax.generation import prompts
from lmjax.generation import sample
from lmjax.generation import samples
from lmjax.models import cost
from lmjax.models import decoder
from lmjax.models import encoder
from lmjax.models import encoder_decoder
from lmjax.objectives.encoders import mlm
from lmjax.objectives import lm
from lmjax.objectives import prefix
from lmjax.objectives import seq2seq
from lmjax.recipes import exporting
from lmjax.recipes import importing
from lmjax.recipes.loaded import asking
from lmjax.recipes.loaded import prompting
from lmjax.recipes.loaded import trained
from lmjax.recipes import prepared
from lmjax.recipes import results
from lmjax.testing import hot
from tests.reference import parity

TOKENIZER = specials.Extended(
    symbols.Bytes().build(), ('[MASK]', '[R]', '[S]', '[X]'), sentinels=3)
MARKED = marked.Marked(TOKENIZER)
BOS, EOS = TOKENIZER.bos_id, TOKENIZER.eos_id
ZERO, ONE, TWO = TOKENIZER.sentinel_ids
MASK, R, S, X = (TOKENIZER.special(f'[{name}]') for name in (
    'MASK', 'R', 'S', 'X'))
A, B = b'ab'
T5 = encoder_decoder.EncoderDecoderConfig(
    vocab_size=TOKENIZER.vocab_size, context=32, width=16, num_layers=1)


def config(corrupted, model=T5, objective=seq2seq.Seq2Seq()):
  return experiment.Pretrain(
      data=pipeline.DataConfig(corruption=corrupted), model=model,
      objective=objective)


def laid(corrupted, text, model=T5, objective=seq2seq.Seq2Seq()):
  found = prompting.reader(config(corrupted, model, objective))(MARKED, text)
  ids, source = (None if x is None else np.asarray(x).tolist()
                 for x in (found.ids, found.source))
  return ids, source, found.both_ways, found.end


@pytest.mark.parametrize('corrupted, text, start, source, end', [
    (spans.SpanCorruption(), 'ab', [ZERO], [BOS, A, B, ZERO], ONE),
    (spans.SpanCorruption(), 'a<extra_id_0>b<extra_id_1>', [ZERO],
     [BOS, A, ZERO, B, ONE], TWO),
    (spans.SpanCorruption(), '<extra_id_0><extra_id_1><extra_id_2>',
     [ZERO], [BOS, ZERO, ONE, TWO], None),
    (prefixes.PrefixLM(), 'a', [ZERO], [BOS, A, ZERO], None),
    (denoisers.UL2(), 'a', [ZERO], [S, BOS, A, ZERO], ONE),
    (denoisers.UL2(), '<extra_id_0>a', [ZERO], [R, BOS, ZERO, A], ONE),
    (denoisers.UL2(), '[X]<extra_id_0>a', [ZERO], [X, BOS, ZERO, A], ONE),
    (noising.Bart(), 'a', [BOS], [BOS, A, MASK, EOS], None),
    (noising.Bart(), 'a[MASK]b', [BOS], [BOS, A, MASK, B, EOS], None)])
def test_what_an_encoder_reads(corrupted, text, start, source, end):
  assert laid(corrupted, text) == (start, source, 0, end)


@pytest.mark.parametrize('corrupted, text, ids, both_ways, end', [
    (spans.SpanCorruption(joined=True), 'a', [BOS, A, ZERO, ZERO], 3, ONE),
    (prefixes.PrefixLM(joined=True), 'ab', [BOS, A, B], 2, None),
    (denoisers.UL2(joined=True), 'a', [S, BOS, A, ZERO, ZERO], 4, ONE),
    (noising.Bart(joined=True), 'a', [BOS, A, MASK, EOS, BOS], 4, None)])
def test_what_a_decoder_sees_both_ways(corrupted, text, ids, both_ways, end):
  model = decoder.DecoderConfig()
  assert laid(corrupted, text, model, prefix.PrefixLM()) == (
      ids, None, both_ways, end)
  assert laid(corrupted, text, model, lm.Causal()) == (ids, None, 0, end)


def test_decoders_continue_the_text():
  for corrupted in (None, middle.FillInTheMiddle()):
    assert laid(corrupted, 'a', decoder.DecoderConfig(), lm.Causal()) == (
        [BOS, A], None, 0, None)


def parts(run, model):
  data = types.SimpleNamespace(tokenizer=TOKENIZER, length=8, valid=None)
  return prepared.Prepared(run, data, None, model.config, model, None, None)


@pytest.mark.slow
def test_a_run_with_an_encoder_shows_samples():
  model, params = T5.build(), hot.hot_params(cost.shapes(T5))
  run = dataclasses.replace(
      config(spans.SpanCorruption()), samples=samples.Samples(
          prompts=('', 'ab'), max_new_tokens=6))
  shown = results.Results(parts(run, model)).draw(params)
  want = sample.generate(
      model, params, [
          prompts.Prompt([ZERO], [BOS, ZERO], end=ONE),
          prompts.Prompt([ZERO], [BOS, A, B, ZERO], end=ONE)],
      max_new_tokens=6, sampling=run.samples.sampling,
      eos_id=EOS).tokens
  assert shown == [
      (prompt, TOKENIZER.decode(tokens))
      for prompt, tokens in zip(('', 'ab'), want)]


def test_a_run_that_cannot_write_is_refused_before_it_begins():
  model = encoder.EncoderConfig(vocab_size=5)
  run = experiment.Pretrain(model=model, objective=mlm.MaskedLM())
  with pytest.raises(errors.InputError, match='Encoder cannot continue'):
    results.Results(parts(run, model.build()))


PAIRS = {  # A config of `transformers`, its head, and changes of generation.
    'T5Config': ('T5ForConditionalGeneration', False, dict(
        d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4,
        decoder_start_token_id=257, pad_token_id=257, eos_token_id=256), {}),
    'BartConfig': ('BartForConditionalGeneration', True, dict(
        d_model=32, encoder_layers=2, decoder_layers=2, encoder_ffn_dim=48,
        decoder_ffn_dim=48, encoder_attention_heads=4,
        decoder_attention_heads=4, max_position_embeddings=66,
        decoder_start_token_id=257, bos_token_id=256, eos_token_id=257,
        forced_eos_token_id=257, pad_token_id=258), dict(forced_bos_token_id=256)),
    'MarianConfig': ('MarianMTModel', False, dict(
        d_model=32, encoder_layers=2, decoder_layers=2, encoder_ffn_dim=48,
        decoder_ffn_dim=48, encoder_attention_heads=4,
        decoder_attention_heads=4, max_position_embeddings=66,
        decoder_start_token_id=257, pad_token_id=257, eos_token_id=256,
        forced_eos_token_id=256), dict(
            bad_words_ids=[[257], [97]], suppress_tokens=[98], num_beams=4))}


@pytest.mark.slow
@pytest.mark.parametrize('name', PAIRS)
def test_published_models_write_what_the_reference_writes(name, tmp_path):
  torch, transformers = parity.torch_and_transformers()
  head, begins, fields, generation = PAIRS[name]
  tokenizer = specials.Extended(symbols.ByteTokenizer(begins, True), (
      '[PAD]',), sentinels=3)
  reference = getattr(transformers, head)(getattr(transformers, name)(
      **fields, vocab_size=tokenizer.vocab_size)).float().eval()
  parity.heat(reference, 0)
  reference.generation_config.update(**generation)
  reference.save_pretrained(tmp_path / 'files')
  for file, content in export.files(tokenizer).items():
    (tmp_path / 'files' / file).write_bytes(content)
  importing.save(*importing.load(tmp_path / 'files'), tmp_path / 'run')
  run = trained.load(tmp_path / 'run')
  for text in 'a text to read', 'b':
    before, _, after = tokenizer.frame().ids
    ids = [*before, *text.encode(), *after]
    want = reference.generate(
        torch.tensor([ids]), max_new_tokens=40, do_sample=False, num_beams=1,
        repetition_penalty=2.0)
    first = 2 if 'forced_bos_token_id' in generation else 1
    (_, found), = asking.completions(
        run, [text], max_new_tokens=40 + 1 - first, temperature=0.0,
        repetition_penalty=2.0)
    # The last one may be EOS, which a limit forces on the reference.
    assert found.tokens[:38] == want[0, first:].tolist()[:38]
    assert len(set(found.tokens)) > 8
  exporting.export(tmp_path / 'run', tmp_path / 'new')
  again = type(reference).from_pretrained(tmp_path / 'new').generate(
      torch.tensor([ids]), max_new_tokens=40, do_sample=False, num_beams=1,
      repetition_penalty=2.0)
  assert torch.equal(again, want)
