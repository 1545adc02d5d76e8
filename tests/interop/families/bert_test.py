"""An imported BERT computes what the reference computes."""
import pytest

from lmjax.core import errors
from lmjax.interop import families
from lmjax.interop.families import family as family_lib
from lmjax.models import encoder
from lmjax.models import parts
from lmjax.models.presets import lookup
from lmjax.nn import layers
from tests.reference import parity
from tests.reference import parity_encoders

NORM = layers.LayerNorm(epsilon=1e-12)
FAMILY = families.FAMILIES['bert']
SIZE = dict(
    vocab_size=211, hidden_size=48, intermediate_size=72, num_hidden_layers=2,
    num_attention_heads=6, max_position_embeddings=520)
CASES = {
    'pretraining': ('BertForPreTraining', {}),
    'masked': ('BertForMaskedLM', dict(hidden_act='gelu_new')),
    'pooled': ('BertModel', dict(layer_norm_eps=1e-3)),
    'pairs': ('BertForNextSentencePrediction', dict(hidden_act='relu')),
}
PUBLISHED = dict(
    architectures=['BertForMaskedLM'], attention_probs_dropout_prob=0.1,
    gradient_checkpointing=False, hidden_act='gelu', hidden_dropout_prob=0.1,
    hidden_size=768, initializer_range=0.02, intermediate_size=3072,
    layer_norm_eps=1e-12, max_position_embeddings=512, model_type='bert',
    num_attention_heads=12, num_hidden_layers=12, pad_token_id=0,
    position_embedding_type='absolute', transformers_version='4.6.0.dev0',
    type_vocab_size=2, use_cache=True, vocab_size=30522)
NAMES = {
    'bert.pooler.dense.weight',
    'cls.predictions.bias',
    'cls.seq_relationship.weight'}


def case(folder, name, written=None, **changes):
  _, transformers = parity.torch_and_transformers()
  head, own = CASES[name]
  return parity.case(
      folder, transformers.BertConfig(**SIZE | own | changes), head,
      **written or {})


def test_a_published_config_is_the_preset():
  assert family_lib.computing(
      FAMILY.config(PUBLISHED, NAMES)) == family_lib.computing(
          lookup.named('bert_base'))


@pytest.mark.parametrize('name', ['tiny_bert', 'bert_base', 'bert_large'])
def test_a_preset_is_written_and_read_as_the_same_model(name):
  config = lookup.named(name).with_vocab(1000)
  names = {each for row in FAMILY.rows(config) for each in row.names}
  assert family_lib.computing(FAMILY.config(
      FAMILY.fields(config), names)) == family_lib.computing(config)


@pytest.mark.parametrize('change', [
    dict(position_embedding_type='relative_key'), dict(is_decoder=True),
    dict(add_cross_attention=True), dict(hidden_act='mish'),
    dict(tie_word_embeddings=False), dict(embedding_size=128)])
def test_a_field_with_another_meaning_is_refused(change):
  with pytest.raises(errors.InputError, match=next(iter(change))):
    FAMILY.config(PUBLISHED | change)


@pytest.mark.parametrize('names, tokens, pooler', [
    (['embeddings.LayerNorm.weight'], None, None),
    (['pooler.dense.weight'], None, encoder.Pooler(pairs=False)),
    (['bert.pooler.dense.bias'], None, encoder.Pooler(pairs=False)),
    (['cls.predictions.bias'], parts.TokenHead(norm=NORM), None),
    (['cls.seq_relationship.bias'], None, encoder.Pooler()),
])
def test_the_heads_are_those_in_the_file(names, tokens, pooler):
  config = FAMILY.config(PUBLISHED, set(names))
  assert (config.tokens, config.pooler) == (tokens, pooler)


def test_older_names_of_norms_are_found():
  config = FAMILY.config(PUBLISHED | dict(num_hidden_layers=1))
  now = [row.names[0] for row in FAMILY.rows(config)]
  older = [name.removeprefix('bert.').replace('LayerNorm.weight', 'LayerNorm.'
           'gamma').replace('LayerNorm.bias', 'LayerNorm.beta') for name in now]
  assert older != now
  assert [row.names[0] for row in FAMILY.named(config, set(older))] == older
  assert [row.names[0] for row in FAMILY.named(config, set(now))] == now


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
    dict(layer_norm_eps=1e-4), dict(hidden_act='gelu_new'),
    dict(num_attention_heads=8)])
def test_a_wrong_field_is_far_outside_of_the_tolerance(written, tmp_path):
  found = case(tmp_path, 'pretraining', written)
  assert parity_encoders.error(found) > 4 * parity.LOGITS
