"""Quantised weights are those of the library, whatever the size of a chunk."""
import gguf
import ml_dtypes
import numpy as np
import pytest

from lmjax.interop.formats.gguf import blocks

QUANTISED = [each for each in blocks.TYPES.values() if each.dtype is None]


def test_types_have_the_sizes_and_numbers_of_the_library():
  for kind in blocks.TYPES.values():
    theirs = gguf.GGMLQuantizationType[kind.name]
    assert kind.number == theirs
    assert (kind.weights, kind.bytes) == gguf.GGML_QUANT_SIZES[theirs]


@pytest.mark.parametrize('kind', QUANTISED, ids=lambda kind: kind.name)
def test_dequantised_weights_are_the_librarys(kind, monkeypatch):
  shape = 6, 512
  data = np.random.default_rng(0).integers(
      0, 256, kind.size(shape), dtype=np.uint8)
  with np.errstate(all='ignore'):
    theirs = gguf.dequantize(
        data.reshape(6, -1), gguf.GGMLQuantizationType(kind.number))
  for chunk in 256, 1024, 1 << 20:
    monkeypatch.setattr(blocks, '_CHUNK', chunk)
    np.testing.assert_array_equal(blocks.read(data, kind, shape), theirs)


def test_floats_keep_their_type():
  for name, dtype in (('F32', np.float32), ('F16', np.float16),
                      ('BF16', ml_dtypes.bfloat16)):
    kind = blocks.BY_NAME[name]
    array = np.linspace(-3, 3, 6).astype(dtype).reshape(2, 3)
    data = np.frombuffer(blocks.written(array, kind), np.uint8)
    found = blocks.read(data, kind, (2, 3))
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, array)


def test_written_blocks_are_the_librarys(monkeypatch):
  array = np.random.default_rng(0).normal(size=(5, 64)).astype(np.float32)
  theirs = gguf.quantize(array, gguf.GGMLQuantizationType.Q8_0).tobytes()
  for chunk in 64, 128, 1 << 20:
    monkeypatch.setattr(blocks, '_CHUNK', chunk)
    assert blocks.written(array, blocks.BY_NAME['Q8_0']) == theirs


def test_a_type_that_is_not_read_is_named():
  assert 'type IQ2_XXS' in blocks.refusal(16)
  assert 'type number 999' in blocks.refusal(999)
