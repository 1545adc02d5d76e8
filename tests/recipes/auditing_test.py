import numpy as np
import pytest

from lmjax.core import errors
from lmjax.data.tokenizers import symbols
from lmjax.interop import runs
from lmjax.models import decoder
from lmjax.models.presets import decoders
from lmjax.recipes import auditing

FOUND = auditing.Finding('positions.theta', '500000.0', 0.5, 9.0, 2000, False)


def audit(*findings):
  return auditing.Audit(3.0, 2000, findings, 1.0)


def test_a_refusal_names_the_field_the_reading_and_the_nats():
  refusal = audit(FOUND).refusal()
  for part in ('positions.theta = 500000.0', '0.500 nats', 'z = 9.0',
               '--accept=positions.theta'):
    assert part in refusal


@pytest.mark.parametrize('change', [
    {'nats': -0.5, 'z': -9.0}, {'z': 4.9}, {'nats': 0.009}])
def test_a_reading_that_is_not_clearly_better_is_no_reason(change):
  found = auditing.Finding(**{**vars(FOUND), **change})
  assert audit(found).refusal() is None


def test_a_reading_that_makes_a_model_less_sure_needs_more():
  surer = {**vars(FOUND), 'field': 'head.softcap', 'what': '30'}
  assert audit(auditing.Finding(**surer)).refusal()
  assert audit(auditing.Finding(**surer | {'nats': 0.05})).refusal() is None


def test_an_accepted_field_is_no_reason():
  assert audit(FOUND).refusal(accept=['positions.theta']) is None
  assert audit(FOUND).refusal(accept=['head.scale']) is not None


def test_dependent_tokens_do_not_count_as_many():
  rng = np.random.default_rng(0)
  alike = np.repeat(rng.normal(0.1, 1, 64), 32)  # 32 tokens say the same.
  every = auditing.z_score(alike, np.arange(len(alike)))
  blocks = auditing.z_score(alike, np.arange(len(alike)) // 32)
  assert every / blocks == pytest.approx(32 ** 0.5, rel=0.01)


def test_differences_without_noise_are_certain():
  assert auditing.z_score(np.ones(4), np.arange(4)) == np.inf
  assert auditing.z_score(np.zeros(4), np.arange(4)) == 0


def test_the_text_is_plain_and_long_enough():
  text = auditing.plain_text()
  assert text.isascii() and 7_500 < len(text.encode()) < 9_000


def test_a_text_that_is_too_short_is_refused():
  tokenizer = symbols.ByteTokenizer(bos=True, eos=True)
  config = decoders.gpt2(8, 1, 2, vocab_size=258, context=64)
  model = runs.Pretrained(config, tokenizer, config.build(),
                          decoder.initial_params(config.build(), 0), 0)
  with pytest.raises(errors.InputError, match='at least 62 tokens; got 5'):
    auditing.audit(model, 'short')
