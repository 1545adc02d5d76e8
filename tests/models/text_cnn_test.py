"""TextCNN against plain loops over windows."""
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.models import cost
from lmjax.models import text_cnn
from lmjax.nn import masks
from lmjax.testing import hot

CONFIG = text_cnn.TextCNNConfig(
    11, embedding=5, sizes=(1, 2, 4), maps=3, num_layers=2)
IDS = np.random.default_rng(0).integers(0, 11, (2, 7)).astype(np.int32)
PARAMS = hot.hot_params(cost.shapes(CONFIG))


def hidden(ids, mask=None):
  return np.asarray(jax.jit(lambda *args: CONFIG.build().apply(
      {'params': PARAMS}, *args, method='hidden')[0])(ids, mask))


def convolved(x_TE, params):
  """Returns the maps of one document, window by window (eq. 2)."""
  length, out = len(x_TE), []
  for number, size in enumerate(CONFIG.sizes):
    kernel = np.asarray(params[f'window_{size}']['kernel'])
    for each in range(CONFIG.maps):
      bias, row = params['bias'][number * CONFIG.maps + each], []
      for t in range(length):
        total = bias
        for place in range(size):
          at = t + place - (size - 1) // 2
          if 0 <= at < length:
            w_E = kernel[:, place * CONFIG.maps + each]
            total = total + x_TE[at] @ w_E
        row.append(max(total, 0))
      out.append(row)
  return np.array(out).T


def test_maps_equal_loops_over_windows():
  for ids, found in zip(IDS, hidden(IDS)):
    x_TD = convolved(
        np.asarray(PARAMS['embed']['embedding'])[ids], PARAMS['layer_0'])
    x_TD = x_TD + convolved(x_TD, PARAMS['layer_1'])
    np.testing.assert_allclose(found, x_TD, rtol=1e-4, atol=1e-5)


def test_documents_of_a_row_are_read_as_if_alone():
  segments = np.array([[1, 1, 1, 2, 2, 0, 0]])
  mask = masks.make(jnp.zeros((1, 7), int), jnp.asarray(segments),
                    causal=False)
  packed = hidden(IDS[:1], mask)
  for start, stop in (0, 3), (3, 5):
    np.testing.assert_allclose(
        packed[:, start:stop], hidden(IDS[:1, start:stop]), rtol=1e-5)


@pytest.mark.parametrize('rate, same', [(0.0, True), (0.5, False)])
def test_dropout_is_on_in_training_only(rate, same):
  model = text_cnn.TextCNNConfig(
      11, embedding=5, sizes=(1, 2, 4), maps=3, num_layers=2,
      dropout=rate).build()
  found = jax.jit(lambda key: model.apply(
      {'params': PARAMS}, IDS, train=True, method='hidden',
      rngs={'dropout': key})[0])(jax.random.key(0))
  assert np.allclose(found, hidden(IDS), atol=1e-5) == same


@pytest.mark.parametrize('sizes', [(), (3, 3)])
def test_each_window_has_another_size(sizes):
  with pytest.raises(errors.InputError, match='each once'):
    text_cnn.TextCNNConfig(sizes=sizes)
