import dataclasses
import itertools
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.data.tokenizers import specials
from lmjax.data.tokenizers import symbols
from lmjax.interop.audit import findings
from lmjax.interop.audit import rivals
from lmjax.interop import runs
from lmjax.models import cost
from lmjax.models import decoder
from lmjax.models.presets import decoders
from lmjax.models.presets import encoder_decoders
from lmjax.models.presets import encoders
from lmjax.models import xlnet
from lmjax.recipes import auditing
from lmjax.testing import hot

FOUND = findings.Finding('positions.theta', '500000.0', 0.5, 9.0, 2000, False)


def audit(*findings, frequencies=5.0):
  return auditing.Audit(3.0, frequencies, 2000, findings, 1.0)


def test_a_refusal_names_the_field_the_reading_and_the_nats():
  refusal = audit(FOUND).refusal()
  for part in ('positions.theta = 500000.0', '0.500 nats', 'z = 9.0',
               '--accept=positions.theta'):
    assert part in refusal


def test_a_text_that_no_reading_knows_is_no_reason_but_a_doubt():
  found = audit(FOUND, frequencies=2.4)
  assert found.refusal() is None
  assert '3.00 nats per token' in found.doubt()
  assert '(2.40)' in found.doubt() and '--text' in found.doubt()


def test_a_reading_that_knows_the_text_is_a_reason():
  found = audit(FOUND, frequencies=2.8)
  assert found.refusal() is not None
  assert audit(FOUND, frequencies=2.7).refusal() is None
  assert audit(FOUND).doubt() is None


def test_a_text_that_cannot_be_read_is_refused(tmp_path):
  (tmp_path / 'text').write_bytes(b'\xff')
  for name in 'text', 'none':
    with pytest.raises(errors.InputError, match='--text='):
      auditing.read_text(tmp_path / name)


@pytest.mark.parametrize('change', [
    {'nats': -0.5, 'z': -9.0}, {'z': 4.9}, {'nats': 0.009}])
def test_a_reading_that_is_not_clearly_better_is_no_reason(change):
  found = findings.Finding(**{**vars(FOUND), **change})
  assert audit(found).refusal() is None


def test_a_reading_that_makes_a_model_less_sure_needs_more():
  surer = {**vars(FOUND), 'field': 'head.softcap', 'what': '30'}
  assert audit(findings.Finding(**surer)).refusal()
  assert audit(findings.Finding(**surer | {'nats': 0.05})).refusal() is None


def test_a_refusal_says_that_it_is_not_about_how_sure_a_model_is():
  soft = findings.Finding(**{
      **vars(FOUND), 'field': 'head.softcap', 'nats': 0.05, 'calibrated': True})
  assert 'each at its best temperature, better by 0.050' in audit(
      soft).refusal()
  assert 'temperature' not in audit(FOUND).refusal()


def test_an_accepted_field_is_no_reason():
  assert audit(FOUND).refusal(accept=['positions.theta']) is None
  assert audit(FOUND).refusal(accept=['head.scale']) is not None


def test_items_are_drawn_as_they_are_needed_and_kept_in_order():
  drawn, done = [], []

  def items():
    for item in range(9):
      assert len(drawn) - len(done) < 2  # As many as there are threads.
      drawn.append(item)
      yield item
  assert auditing.together(
      lambda item: done.append(item) or item, items()) == list(range(9))
  with pytest.raises(ZeroDivisionError):
    auditing.together(lambda item: 1 // item, range(9))


def test_the_text_is_plain_and_long_enough():
  text = auditing.plain_text()
  assert text.isascii() and 20_000 < len(text.encode()) < 24_000


@pytest.mark.slow
def test_a_text_that_is_too_short_is_refused():
  tokenizer = symbols.ByteTokenizer(bos=True, eos=True)
  config = decoders.gpt2(8, 1, 2, vocab_size=258, context=64)
  model = runs.Pretrained(config, tokenizer, config.build(),
                          decoder.initial_params(config.build(), 0), 0)
  with pytest.raises(errors.InputError, match='at least 62 tokens; got 5'):
    auditing.audit(model, 'short')


def drawn(config, rows=32):
  """Returns a model, with a text that it drew itself, so its config is right.
  """
  module = config.build()
  params = hot.hot_params(cost.shapes(config), std=0.4)
  length = config.context - 2

  @jax.jit
  def longer(ids_BT, place, key):
    logits_BTV, _ = module.apply({'params': params}, ids_BT[:, :-1])
    return ids_BT.at[:, place + 1].set(
        jax.random.categorical(key, logits_BTV[:, place]))
  ids_BT = jnp.zeros((rows, length + 1), jnp.int32)
  for place in range(length):
    ids_BT = longer(ids_BT, place, jax.random.key(place))
  ids = np.asarray(ids_BT[:, 1:]).reshape(-1)
  return types.SimpleNamespace(
      model=module, params=params, tokenizer=types.SimpleNamespace(
          bos_id=0, eos_id=None, start_id=None, specials={}, sentinel_ids=(),
          encode=lambda text: ids))


LLAMA = decoders.llama(
    32, 2, 4, 2, 48, vocab_size=64, context=66, theta=500.0)


@pytest.mark.slow
def test_every_misreading_is_told_from_the_right_reading():
  found = auditing.audit(drawn(LLAMA), '')
  assert found.refusal() is None
  assert len(found.findings) > 50
  missed = {each.field for each in found.findings
            if not each.loses and not each.same}
  assert missed <= {'block.norm.epsilon', 'block.mixer.softcap',
                    'head.softcap'}  # Logits are far below both caps.


@pytest.mark.slow
@pytest.mark.parametrize('field', [
    'positions.theta', 'positions.interleaved', 'mlp.gate', 'mixer.groups',
    'block.mixer.num_heads', 'block.mixer.scale', 'block.norm.around_one'])
def test_a_config_that_lies_is_refused(field):
  truth = drawn(LLAMA)
  lie = next(rival for rival in rivals.of(
      *rivals.plain(LLAMA, truth.params), 64) if rival.field == field)
  found = auditing.audit(
      types.SimpleNamespace(model=lie.config.build(), params=lie.params,
                            tokenizer=truth.tokenizer), '',
      readings=lambda *model: (rival for rival in rivals.of(*model)
                               if rival.field == field))
  assert f'with {field} = ' in found.refusal()


@pytest.mark.slow
@pytest.mark.parametrize('scale, wins', [(0.85, False), (0.55, True)])
def test_a_reading_wins_by_making_a_model_surer_but_not_less_sure(scale, wins):
  right, wrong = (dataclasses.replace(
      LLAMA, head=dataclasses.replace(LLAMA.head, scale=each))
                  for each in (0.7, scale))
  truth = drawn(right)
  found = auditing.audit(
      types.SimpleNamespace(model=wrong.build(), params=truth.params,
                            tokenizer=truth.tokenizer), '',
      readings=lambda config, params, length: [
          rivals.Rival(field, '0.7', right, params)
          for field in ('mlp', 'head.scale', 'block.mixer.scale')])
  by_field = {each.field: each for each in found.findings}
  nats = by_field['mlp'].nats  # The difference as it is.
  assert 0.02 < nats < 0.1
  for field in ('head.scale', 'block.mixer.scale'):
    each = by_field[field]
    assert each.calibrated and each.wins == wins
    assert each.nats == pytest.approx(nats if wins else 0, abs=1e-3)


@pytest.mark.slow
def test_a_close_call_reads_four_times_as_many_tokens():
  truth, lie = drawn(LLAMA), dataclasses.replace(
      LLAMA, head=dataclasses.replace(LLAMA.head, scale=0.9))
  part, whole = (auditing.Scored(truth, '', budget) for budget in (512, 2048))
  model = rivals.plain(lie, truth.params)
  once, found = part.compared(*model), whole.compared(*model)
  assert (once.tokens, found.tokens) == (8 * 60, 32 * 60)
  assert part.closer(*model) == found != once


MARKED = specials.Extended(
    symbols.ByteTokenizer(bos=True, eos=True),
    ('[MASK]', *(f'<extra_id_{i}>' for i in range(12))))
SIZES = {'vocab_size': MARKED.vocab_size, 'context': 66}


@pytest.mark.slow
@pytest.mark.parametrize('config, predicted', [
    (encoders.bert(16, 2, 2, pooler=None, **SIZES), 216),
    (encoder_decoders.t5(16, 2, 2, 24, head_size=8, **SIZES), 496),
    (xlnet.XLNetConfig(
        width=16, num_layers=2, num_heads=2, hidden=24, **SIZES), 216)])
def test_models_are_audited_by_what_they_predict(config, predicted):
  model = types.SimpleNamespace(
      model=config.build(), tokenizer=MARKED,
      params=hot.hot_params(cost.shapes(config)))
  found = auditing.audit(model, budget=512, readings=lambda *model: (
      itertools.islice(rivals.of(*model), 1)))
  assert found.tokens == predicted and len(found.findings) == 1
