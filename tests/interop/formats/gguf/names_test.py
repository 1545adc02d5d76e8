"""The names of tensors are those of the library's own table."""
import gguf
import pytest

from lmjax.interop.formats.gguf import architectures

_MERGED = {  # The names under which llama.cpp's converter stacks experts.
    f'model.layers.{{}}.block_sparse_moe.experts.{{e}}.{part}':
        f'layers.{{}}.feed_forward.experts.{part}'
    for part in ('w1', 'w2', 'w3')}


@pytest.mark.parametrize(
    'architecture', architectures.ARCHITECTURES,
    ids=lambda each: f'{each.name}-{each.model_type}')
def test_names_are_the_librarys(architecture):
  number = next(number for number, name in gguf.MODEL_ARCH_NAMES.items()
                if name == architecture.name)
  table = gguf.get_tensor_name_map(number, 3)
  for row in architecture.rows:
    name = _MERGED.get(row.hf, row.hf).format(2)
    if architecture.name == 'bloom':  # The converter removes this prefix.
      name = name.removeprefix('transformer.')
    if row.hf != 'lm_head' or architecture.name not in ('gemma', 'gemma2'):
      assert table.get_name(name) == row.gguf.format(2), row


@pytest.mark.parametrize(
    'architecture', architectures.ARCHITECTURES,
    ids=lambda each: f'{each.name}-{each.model_type}')
def test_a_name_stands_for_one_tensor(architecture):
  for side in 'hf', 'gguf':
    names = [getattr(row, side) for row in architecture.rows]
    assert len(set(names)) == len(names)
