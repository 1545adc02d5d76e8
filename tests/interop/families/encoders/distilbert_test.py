"""An imported DistilBERT computes what the reference computes."""
import pytest

from lmjax.core import errors
from lmjax.interop import families
from lmjax.interop.families import family as family_lib
from lmjax.models.presets import lookup
from tests.reference import parity
from tests.reference import parity_encoders

FAMILY = families.FAMILIES['distilbert']
SIZE = dict(
    vocab_size=211, dim=48, hidden_dim=72, n_layers=2, n_heads=6,
    max_position_embeddings=520)
CASES = {
    'masked': ('DistilBertForMaskedLM', {}),
    'headless': ('DistilBertModel', dict(activation='relu')),
    'sinusoids': ('DistilBertForMaskedLM', dict(sinusoidal_pos_embds=True)),
}
PUBLISHED = dict(
    activation='gelu', architectures=['DistilBertForMaskedLM'],
    attention_dropout=0.1, dim=768, dropout=0.1, hidden_dim=3072,
    initializer_range=0.02, max_position_embeddings=512,
    model_type='distilbert', n_heads=12, n_layers=6, pad_token_id=0,
    qa_dropout=0.1, seq_classif_dropout=0.2, sinusoidal_pos_embds=False,
    tie_weights_=True, vocab_size=30522)
NAMES = {'vocab_transform.weight'}


def case(folder, name, written=None, **changes):
  _, transformers = parity.torch_and_transformers()
  head, own = CASES[name]
  return parity.case(
      folder, transformers.DistilBertConfig(**SIZE | own | changes), head,
      **written or {})


def test_a_published_config_is_the_preset():
  assert family_lib.computing(
      FAMILY.config(PUBLISHED, NAMES)) == family_lib.computing(
          lookup.named('distilbert'))


@pytest.mark.parametrize('name', ['distilbert'])
def test_a_preset_is_written_and_read_as_the_same_model(name):
  config = lookup.named(name).with_vocab(1000)
  names = {each for row in FAMILY.rows(config) for each in row.names}
  assert family_lib.computing(FAMILY.config(
      FAMILY.fields(config), names)) == family_lib.computing(config)


@pytest.mark.parametrize('change', [
    dict(activation='mish'), dict(tie_weights_=False), dict(hidden_size=768)])
def test_a_field_with_another_meaning_is_refused(change):
  with pytest.raises(errors.InputError, match=next(iter(change))):
    FAMILY.config(PUBLISHED | change)


@pytest.mark.slow
@pytest.mark.parametrize('name', CASES)
def test_import_computes_what_the_reference_computes(name, tmp_path):
  parity_encoders.check(case(tmp_path, name))


@pytest.mark.slow
@pytest.mark.parametrize('name', CASES)
def test_export_is_the_import_reversed(name, tmp_path):
  parity_encoders.check_round_trip(case(tmp_path, name))


@pytest.mark.slow
@pytest.mark.parametrize('written', [
    dict(activation='gelu_new'), dict(activation='relu'), dict(n_heads=8)])
def test_a_wrong_field_is_far_outside_of_the_tolerance(written, tmp_path):
  found = case(tmp_path, 'masked', written)
  assert parity_encoders.error(found) > 4 * parity.LOGITS
