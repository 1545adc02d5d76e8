"""The initial and the trainable parameters of fine-tuning."""
import dataclasses

from lmjax.core import errors
from lmjax.data.tokenizers import symbols
from lmjax.data.tokenizers import words
from lmjax import experiment
from lmjax.interop import vector_file
from lmjax.models import decoder
from lmjax.models import encoder
from lmjax.models.heads import paired
from lmjax.models.heads import pooled
from lmjax.models import parts
from lmjax.nn import block
from lmjax.nn import pattern
from lmjax.recipes import starting
from lmjax.tasks import classification
from lmjax.tasks.readers.texts import in_memory
from lmjax.tasks.readers.texts import labelled
from lmjax.tasks import rows
from lmjax.training.optimizers import adamw
from lmjax.training import options
import numpy as np
import pytest

CONFIG = experiment.Finetune(
    task=classification.Classification(
        features=rows.Features(lengths=(8,))),
    tokenizer=symbols.Bytes(),
    model=decoder.DecoderConfig(context=8, width=16, num_layers=1))
SPLITS = labelled.Labelled(
    *[in_memory.InMemory((('good', '1'), ('bad', '0')))] * 3,
    drop_shared=False).read()
PARAMS = {'embed': {'embedding': np.zeros((3, 2))},
          'layer_0': {'kernel': np.zeros((2, 2))},
          'layer_1': {'kernel': np.zeros((2, 2))},
          'classes': {'bias': np.zeros(2)}}


def still(patterns):
  import re
  return {path for path in (
      'embed/embedding', 'layer_0/kernel', 'layer_1/kernel', 'classes/bias')
          if any(re.search(pattern, path) for pattern in patterns)}


@pytest.mark.parametrize('train_only, freeze, expected', [
    ((), (), set()),
    (('classes', 'layer_1'), (), {'embed/embedding', 'layer_0/kernel'}),
    (('^classes',), (), {
        'embed/embedding', 'layer_0/kernel', 'layer_1/kernel'}),
    ((), ('embed',), {'embed/embedding'}),
    (('kernel$', 'classes'), ('layer_0',), {
        'embed/embedding', 'layer_0/kernel'}),
    (('.',), (), set()),
])
def test_frozen_is_all_that_should_not_train(train_only, freeze, expected):
  config = dataclasses.replace(
      CONFIG, train_only=train_only, optimizer=adamw.AdamW(freeze=freeze))
  patterns = starting.frozen(config, PARAMS)
  assert still(patterns) == expected
  built = starting.optimizer(config, patterns)
  assert built.freeze == patterns
  built.build(PARAMS, 10)  # Every pattern meets a parameter.


@pytest.mark.slow
def test_from_scratch_the_vocabulary_is_the_tokenizers():
  start = starting.start(CONFIG, SPLITS)
  assert start.params is None and start.backbone.vocab_size == 258
  model = CONFIG.task.model(start.backbone, SPLITS)
  params = start.initial_params(model, seed=3)
  assert params['classes']['kernel'].shape == (16, 2)
  again = start.initial_params(model, seed=3)
  other = start.initial_params(model, seed=4)
  same = [(params['embed']['embedding'] == p['embed']['embedding']).all()
          for p in (again, other)]
  assert same == [True, False]


def test_dropout_replaces_the_backbones_rates():
  config = dataclasses.replace(CONFIG, dropout=0.25)
  backbone = starting.start(config, SPLITS).backbone
  assert (backbone.embed.dropout, backbone.block.dropout) == (0.25, 0.25)
  backbone = starting.start(CONFIG, SPLITS).backbone
  assert (backbone.embed.dropout, backbone.block.dropout) == (0.0, 0.0)
  other = pattern.Layer(block.PostNorm())
  config = dataclasses.replace(config, model=dataclasses.replace(
      config.model, num_layers=2,
      pattern=pattern.Periodic((pattern.Layer(), other))))
  backbone = starting.start(config, SPLITS).backbone
  assert {layer.block.dropout for layer in backbone.arrangement.layers} == {
      0.25}


def test_features_must_fit_the_context():
  config = dataclasses.replace(
      CONFIG, model=dataclasses.replace(CONFIG.model, context=7))
  with pytest.raises(errors.InputError, match='end at 8 tokens.*context of 7'):
    starting.start(config, SPLITS)


def test_a_pair_before_a_model_without_types_is_noted():
  def notes(backbone, splits, head=pooled.PooledConfig()):
    model = head.build(backbone, 2, texts=splits.texts)
    return starting.untyped(model, backbone, splits)
  pairs = dataclasses.replace(SPLITS, texts=2)
  note, = notes(CONFIG.model, pairs)
  assert note.startswith('DecoderConfig as configured has no token types')
  assert not notes(CONFIG.model, SPLITS)
  assert not notes(encoder.EncoderConfig(), pairs)
  assert notes(
      encoder.EncoderConfig(embed=parts.TypedEmbed(types=1)), pairs)
  assert not notes(CONFIG.model, pairs, paired.PairedConfig())


def test_heads_and_rows_must_divide_over_the_mesh():
  for mesh, told in ('tensor:8', 'num_heads'), ('data:3', 'batch of'):
    config = dataclasses.replace(CONFIG, training=options.Training(
        parallel='mesh', mesh=mesh))
    with pytest.raises(errors.InputError, match=told):
      starting.start(config, SPLITS)


def test_word_vectors_initialise_the_embedding_at_its_own_scale(
    tmp_path, capsys):
  (tmp_path / 'vectors.txt').write_text(
      f'good {" ".join("1" * 16)}\nBAD {" ".join("2" * 16)}\n'
      f'bad {" ".join(["-2"] * 16)}\n')
  config = dataclasses.replace(
      CONFIG, tokenizer=words.Words(),
      vectors=vector_file.VectorFile(str(tmp_path / 'vectors.txt')))
  begin = starting.start(config, SPLITS)
  assert 'vectors of 2 of' in capsys.readouterr().out
  model = config.task.model(begin.backbone, SPLITS)
  params = begin.initial_params(model, 0)
  plain = dataclasses.replace(begin, vectors=None).initial_params(model, 0)
  table, was = (np.asarray(each['embed']['embedding'])
                for each in (params, plain))
  changed = np.flatnonzero(np.any(table != was, axis=1))
  assert len(changed) == 2
  assert np.std(table[changed]) == pytest.approx(np.std(was), rel=1e-3)
  ratio = table[changed, 0] / table[changed[0], 0]
  assert sorted(ratio.tolist())[0] == pytest.approx(-2, abs=1e-3) or (
      sorted(ratio.tolist())[0] == pytest.approx(-0.5, abs=1e-3))


def test_vectors_of_another_width_are_refused(tmp_path):
  (tmp_path / 'vectors.txt').write_text('good 1 2 3\nbad 3 4 5\n')
  config = dataclasses.replace(
      CONFIG, tokenizer=words.Words(),
      vectors=vector_file.VectorFile(str(tmp_path / 'vectors.txt')))
  begin = starting.start(config, SPLITS)
  with pytest.raises(errors.InputError, match='word vectors are 2 x 3'):
    begin.initial_params(config.task.model(begin.backbone, SPLITS), 0)


def test_an_embedding_comes_from_one_place():
  with pytest.raises(errors.InputError, match='leave out one of them'):
    dataclasses.replace(
        CONFIG, init='runs/demo', vectors=vector_file.VectorFile('v.txt'))
