"""The heads of BERT are those in the file, under any of their names."""
import re

import numpy as np
import pytest

from lmjax.core import errors
from lmjax.interop import checkpoint
from lmjax.interop import families
from lmjax.interop.formats import tensors as tensors_lib
from lmjax.interop import importing
from lmjax.interop.mapping import rows
from lmjax.models import cost
from lmjax.models import encoder
from lmjax.models import parts
from lmjax.models.presets import encoders
from lmjax.nn import layers
from lmjax.testing import hot
from tests.reference import parity
from tests.reference import wheels

REACTION = (
    'Nc1cccc2cnccc12.O=C(O)c1cc([N+](=O)[O-])c(Sc2c(Cl)cncc2Cl)s1>>'
    'O=C(Nc1cccc2cnccc12)c1cc([N+](=O)[O-])c(Sc2c(Cl)cncc2Cl)s1')
NORM = layers.LayerNorm(epsilon=1e-12)
FAMILY = families.FAMILIES['bert']
PUBLISHED = dict(
    architectures=['BertForMaskedLM'], attention_probs_dropout_prob=0.1,
    gradient_checkpointing=False, hidden_act='gelu', hidden_dropout_prob=0.1,
    hidden_size=768, initializer_range=0.02, intermediate_size=3072,
    layer_norm_eps=1e-12, max_position_embeddings=512, model_type='bert',
    num_attention_heads=12, num_hidden_layers=12, pad_token_id=0,
    position_embedding_type='absolute', transformers_version='4.6.0.dev0',
    type_vocab_size=2, use_cache=True, vocab_size=30522)


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


def test_the_oldest_files_are_known_by_their_prefix():
  assert importing.named({}, {'bert.pooler.dense.bias'}) is FAMILY
  for ambiguous in ('model.norm.weight', 'pooler.dense.bias'):
    with pytest.raises(errors.InputError, match='model_type is None'):
      importing.named({}, {ambiguous})


def test_a_head_of_which_tensors_are_ignored_is_left_out():
  config = encoders.bert(
      16, 1, 2, vocab_size=31, context=8, pooler=encoder.Pooler())
  tensors = dict(rows.write(
      FAMILY.rows(config), hot.hot_params(cost.shapes(config))))
  tensors['classifier.bias'] = tensors_lib.Tensor.of(np.zeros(3, 'float32'))
  source = checkpoint.Checkpoint(None, FAMILY.fields(config), tensors)
  with pytest.raises(errors.InputError, match='unknown: classifier.bias'):
    importing.convert(source)
  found = importing.convert(source, ignore=[r'cls\..*', 'classifier.*'])
  assert found.config.tokens is None
  assert found.config.pooler == encoder.Pooler(pairs=False)


@pytest.mark.slow
def test_a_published_model_of_reactions_fills_masks():
  """It fills 98 of the 103 tokens of the reaction in its README.

  `transformers` gives the same, with logits that differ by 1.2e-5 deviations.
  """
  folder = wheels.folder('rxnfp==0.1.0') / 'rxnfp/models/transformers'
  found = importing.load(folder / 'bert_pretrained')
  assert found.config.traits.heads == {'tokens', 'pooler', 'pairs'}
  vocab = (folder / 'bert_pretrained/vocab.txt').read_text().split('\n')
  tokens = ['[CLS]', *re.findall(
      r'\[[^]]+\]|Br|Cl|>>|%\d\d|.', REACTION), '[SEP]']
  ids_T = np.array([vocab.index(token) for token in tokens])
  masked_BT = np.where(
      np.eye(len(ids_T), dtype=bool), vocab.index('[MASK]'), ids_T)[1:-1]
  logits_BTV = parity.logits(
      parity.Case(None, found, folder), masked_BT)
  best_T = np.asarray(logits_BTV).argmax(-1)[
      np.arange(len(masked_BT)), np.arange(1, len(ids_T) - 1)]
  assert (np.sum(best_T == ids_T[1:-1]), len(best_T)) == (98, 103)
