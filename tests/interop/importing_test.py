"""Config, names, shapes and numbers are checked while a model is imported."""
import dataclasses
import functools
import gc
import json
import subprocess
import sys
import time
import weakref

import jax
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.core import trees
from lmjax.interop import checkpoint
from lmjax.interop import importing
from lmjax.interop.families.llamas import llama
from lmjax.interop.formats import tensors as tensors_lib
from lmjax.interop.mapping import rows
from lmjax.models import cost
from lmjax.models.presets import decoders
from lmjax.parallel import mesh as mesh_lib
from lmjax.testing import hot

CONFIG = decoders.llama(16, 2, 4, 2, 24, vocab_size=31, context=32)
PARAMS = jax.device_get(hot.hot_params(cost.shapes(CONFIG)))


def opened(config=None, **changes):
  tensors = dict(rows.write(llama.FAMILY.rows(CONFIG), PARAMS))
  tensors |= {name.replace('__', '.'): tensors_lib.Tensor.of(value)
              for name, value in changes.items()}
  return checkpoint.Checkpoint(
      None, llama.FAMILY.fields(CONFIG) | (config or {}), tensors)


def test_a_model_is_imported_as_it_was_exported():
  found = importing.convert(opened())
  assert found.family is llama.FAMILY
  want = dict(trees.items(PARAMS))
  for path, value in trees.items(found.params):
    np.testing.assert_array_equal(value, want.pop(path))
  assert not want


def test_a_model_saved_without_its_head_is_imported():
  source = opened()
  source = dataclasses.replace(source, tensors={
      name.removeprefix('model.'): tensor
      for name, tensor in source.tensors.items()})
  found = importing.convert(source)
  assert jax.tree.map(np.shape, found.params) == jax.tree.map(np.shape, PARAMS)


def test_a_copy_of_the_table_in_a_tied_model_is_checked():
  table = PARAMS['embed']['embedding']
  assert importing.convert(opened(lm_head__weight=table)).match.copies
  with pytest.raises(errors.InputError, match='lm_head.weight should equal'):
    importing.convert(opened(lm_head__weight=-table))


@pytest.mark.slow
def test_parameters_go_to_their_parts_of_a_mesh_one_by_one():
  mesh = mesh_lib.Mesh(sizes='fsdp:4,tensor:2')
  before, divided = [], 0

  def place(path, array):
    nonlocal divided
    before.append(weakref.ref(array))
    placed = mesh.place_one(path, array)
    parts = {shard.device: shard.data.size
             for shard in placed.addressable_shards}
    assert len(parts) == 8 and len(set(parts.values())) == 1
    divided += parts[mesh.devices[0]] < array.size
    if array.ndim > 1:
      assert parts[mesh.devices[0]] * 4 <= array.size, path
    return placed

  def read(tensor):
    until = time.monotonic() + 10  # JAX lets go of arrays with some delay.
    while any(each() is not None for each in before):
      assert time.monotonic() < until
      gc.collect()
    return tensor.read().copy()  # As from a file.

  source = opened()
  source = dataclasses.replace(source, tensors={
      name: dataclasses.replace(tensor, read=functools.partial(read, tensor))
      for name, tensor in source.tensors.items()})
  found = importing.convert(source, place)
  assert divided == 15  # All but norms: the table and 7 kernels of 2 layers.
  for placed, where in zip(*map(jax.tree.leaves, (
      found.params, mesh.shardings(found.params)))):
    assert placed.sharding == where
  for placed, want in zip(*map(jax.tree.leaves, (
      mesh.gather(found.params), PARAMS))):
    np.testing.assert_array_equal(placed, want)


def test_parameters_are_placed_one_by_one():
  placed = []
  importing.convert(
      opened(), place=lambda path, array: placed.append((path, array.dtype)))
  assert dict(placed) == {
      path: np.dtype('float32') for path, _ in trees.items(PARAMS)}


@pytest.mark.parametrize('config, what', [
    ({'model_type': 'lama'}, "mean 'llama'"),
    ({'model_type': None}, 'model_type is None'),
    ({'hidden_size': 20}, 'should have shape'),
    ({'num_hidden_layers': 3}, r'missing: model.layers.2'),
    ({'num_hidden_layers': 1}, r'unknown: model.layers.1'),
    ({'tie_word_embeddings': False}, 'missing: lm_head.weight'),
    ({'sliding_window': 4}, 'sliding_window = 4'),
])
def test_a_config_of_another_model_is_refused(config, what):
  with pytest.raises(errors.InputError, match=what):
    importing.convert(opened(config))


def test_heads_of_other_tasks_are_left_out_as_the_message_says():
  source = opened(pre_classifier__bias=np.zeros(3), score__weight=np.zeros(3))
  with pytest.raises(
      errors.InputError,
      match=r"--ignore='pre_classifier\.\*' --ignore='score\.\*'"):
    importing.convert(source)
  found = importing.convert(source, ignore=['pre_classifier.*', 'score.*'])
  assert found.match.ignored == ('pre_classifier.bias', 'score.weight')


@pytest.mark.parametrize('number', [np.nan, np.inf])
def test_weights_that_are_not_numbers_are_refused(number):
  bad = np.full(16, number, 'float32')
  with pytest.raises(errors.InputError, match='model.norm.weight has 16 numbers'):
    importing.convert(opened(model__norm__weight=bad))


# Linux counts the memory of the process that started it into a new process's
# `ru_maxrss`, but not into its VmHWM.
_MEMORY = """
import pathlib, re, sys
from lmjax.interop import importing
importing.load(sys.argv[1], place=lambda path, array: array.shape)
status = pathlib.Path('/proc/self/status').read_text()
print(1024 * int(re.search(r'VmHWM:\\s+(\\d+) kB', status)[1]))
"""


@pytest.mark.slow
def test_seven_billion_parameters_need_the_memory_of_two_tensors(tmp_path):
  """The file is sparse: it has the shapes of Llama 2 7B, and takes no room."""
  config = decoders.llama(
      4096, 32, 32, 32, 11008, vocab_size=32000, context=4096, tied=False)
  header, end, largest = {}, 0, 0
  for name, tensor in rows.write(
      llama.FAMILY.rows(config), cost.shapes(config)):
    header[name] = {'dtype': 'BF16', 'shape': tensor.shape,
                    'data_offsets': (end, end + 2 * tensor.size)}
    end, largest = end + 2 * tensor.size, max(largest, 4 * tensor.size)
  raw = json.dumps(header).encode()
  with open(tmp_path / 'model.safetensors', 'wb') as file:
    file.write(len(raw).to_bytes(8, 'little') + raw)
    file.truncate(8 + len(raw) + end)
  (tmp_path / 'config.json').write_text(
      json.dumps(llama.FAMILY.fields(config)))
  assert end > 13e9
  done = subprocess.run(
      [sys.executable, '-c', _MEMORY, tmp_path], text=True, check=True,
      capture_output=True)
  assert int(done.stdout) < 2 * largest + 500e6
