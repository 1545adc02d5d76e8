"""Folders of sentence-transformers are read strictly."""
import json

import pytest

from lmjax.core import errors
from lmjax.interop import sentences
from lmjax.nn import readout

KINDS = 'sentence_transformers.models.'
MODES = dict(pooling_mode_cls_token=False, pooling_mode_mean_tokens=False,
             pooling_mode_max_tokens=False, word_embedding_dimension=8)


def folder(path, pooling=('mean_tokens',), steps=('Normalize',), model='',
           **files):
  """Writes a folder; `files` are other files by name, without '.json'."""
  names = ['Transformer', 'Pooling', *steps]
  (path / '1_Pooling').mkdir()
  contents = {
      'modules': [
          {'idx': i, 'name': str(i), 'type': KINDS + name,
           'path': f'{i}_{name}' if i else model}
          for i, name in enumerate(names)],
      '1_Pooling/config': MODES | {
          f'pooling_mode_{mode}': True for mode in pooling}} | files
  for name, content in contents.items():
    (path / f'{name}.json').write_text(json.dumps(content))
  return path


def test_a_folder_without_modules_says_nothing(tmp_path):
  assert sentences.read(tmp_path) is None


def test_pooling_norm_and_limits_are_read(tmp_path):
  found = sentences.read(folder(
      tmp_path, sentence_bert_config=dict(max_seq_length=256,
                                          do_lower_case=True),
      config_sentence_transformers={'prompts': {}, 'default_prompt_name': None}
  ), width=8)
  assert found == readout.Readout('mean', unit=True, length=256, lower=True)


@pytest.mark.parametrize('mode, pooling', [
    ('cls_token', 'cls'), ('max_tokens', 'max'), ('lasttoken', 'last'),
    ('mean_sqrt_len_tokens', 'mean_sqrt')])
def test_each_way_to_pool_is_read(mode, pooling, tmp_path):
  assert sentences.read(folder(tmp_path, [mode], [])) == readout.Readout(
      pooling)


@pytest.mark.parametrize('changes, what', [
    (dict(steps=['Dense']), 'the steps Transformer, Pooling, Dense'),
    (dict(model='0_Transformer'), 'the model in 0_Transformer; give this'),
    (dict(pooling=[]), 'it chooses none'),
    (dict(pooling=['mean_tokens', 'max_tokens']),
     'it chooses pooling_mode_mean_tokens, pooling_mode_max_tokens'),
    (dict(pooling=['weightedmean_tokens']), 'it chooses .*weightedmean'),
    (dict(pooling=['median']), 'pooling_mode_median'),
    (dict(sentence_bert_config=dict(longest=8)), 'longest = 8'),
    (dict(sentence_bert_config=[]), 'should hold an object'),
    (dict(config_sentence_transformers=dict(default_prompt_name='query')),
     "puts the prompt 'query' before every text"),
    (dict(modules=[3]), 'modules.json should have objects'),
])
def test_what_lmjax_would_compute_otherwise_is_refused(
    changes, what, tmp_path):
  with pytest.raises(errors.InputError, match=what):
    sentences.read(folder(tmp_path, **changes))


def test_a_pooling_of_another_width_is_refused(tmp_path):
  with pytest.raises(errors.InputError, match='word_embedding_dimension is 8'):
    sentences.read(folder(tmp_path), width=9)


def test_a_pooling_outside_of_the_folder_is_refused(tmp_path):
  modules = [{'type': f'{KINDS}Transformer', 'path': ''},
             {'type': f'{KINDS}Pooling', 'path': '../elsewhere'}]
  with pytest.raises(errors.InputError, match='elsewhere'):
    sentences.read(folder(tmp_path, modules=modules))
