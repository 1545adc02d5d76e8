"""Vectors of texts from any model, their similarity and nearest neighbours."""
from collections.abc import Sequence
import functools
import io
from typing import Any, BinaryIO

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from lmjax.core import errors
from lmjax.nn import readout


def embed(model: nn.Module, params: Any, tokenizer: Any, texts: Sequence[str],
          how: readout.Readout = readout.Readout(), *, batch_size: int = 32
          ) -> np.ndarray:
  """Returns the pooled hidden states of each text, float32 [texts, D].

  Texts that are too long are cut at their end, before the tokens that the
  tokenizer puts after a text.

  Args:
    model: A module with the method `hidden`, such as a decoder, an encoder or a
      recurrent model; of an encoder-decoder, the encoder is used.
    params: Its parameters.
    tokenizer: The model's tokenizer.
    texts: The texts, each read as a document.
    how: How texts are read, and how their hidden states are pooled.
    batch_size: Texts per batch; affects the speed only.
  """
  length = min(how.length or model.config.context, model.config.context)
  rows = [_encode(tokenizer, text.lower() if how.lower else text, length)
          for text in texts]
  out = [None] * len(rows)
  order = np.argsort([len(row) for row in rows], kind='stable')
  for start in range(0, len(rows), batch_size):
    places = order[start:start + batch_size]
    width = min(length, max(
        8, 1 << (max(len(rows[i]) for i in places) - 1).bit_length()))
    inputs_BT = np.zeros((batch_size, width), np.int32)
    segments_BT = np.zeros_like(inputs_BT)
    for row, i in enumerate(places):
      inputs_BT[row, :len(rows[i])] = rows[i]
      segments_BT[row, :len(rows[i])] = 1
    vectors_BD = np.asarray(_embed(
        params, inputs_BT, segments_BT, model=model, how=how))
    for row, i in enumerate(places):
      out[i] = vectors_BD[row]
  return np.stack(out)


def save(file: BinaryIO, vectors_ND: np.ndarray) -> None:
  """Writes vectors in the format of `np.load`, to a file or a pipe."""
  content = io.BytesIO()  # np.save would move within the file.
  np.save(content, vectors_ND)
  file.write(content.getbuffer())


def similarity(a_ND: np.ndarray, b_MD: np.ndarray) -> np.ndarray:
  """Returns the cosine of each pair of rows, [N, M]."""
  return _unit(a_ND) @ _unit(b_MD).T


def nearest(queries_ND: np.ndarray, texts_MD: np.ndarray, count: int
            ) -> tuple[np.ndarray, np.ndarray]:
  """Returns the most similar texts of each query: cosines and indices [N, k].

  Args:
    queries_ND: Vectors of the queries.
    texts_MD: Vectors of the texts to search.
    count: Most texts to return per query, k.
  """
  cosines_NM = similarity(queries_ND, texts_MD)
  count = min(count, cosines_NM.shape[1])
  best = np.argsort(-cosines_NM, axis=1, kind='stable')[:, :count]
  return np.take_along_axis(cosines_NM, best, axis=1), best


def _unit(x_ND: np.ndarray) -> np.ndarray:
  x_ND = np.asarray(x_ND, np.float32)
  return x_ND / np.maximum(
      np.linalg.norm(x_ND, axis=1, keepdims=True), 1e-12)


def _encode(tokenizer: Any, text: str, length: int) -> np.ndarray:
  ids = tokenizer.encode_document(text).astype(np.int32)
  if not len(ids):
    raise errors.InputError(
        'A text is empty, and the tokenizer has no BOS or EOS to encode it as.')
  after = np.array(tokenizer.frame().after, np.int32)[-length:]
  return ids if len(ids) <= length else np.concatenate(
      [ids[:length - len(after)], after])


@functools.partial(jax.jit, static_argnames=('model', 'how'))
def _embed(params, inputs_BT, segments_BT, *, model, how):
  """Returns float32 `x_BD`."""
  positions_BT = jnp.broadcast_to(
      jnp.arange(inputs_BT.shape[1])[None], inputs_BT.shape)
  x_BTD = model.apply({'params': params}, inputs_BT, positions_BT, segments_BT,
                      method=readout.states)
  return how.pooled(x_BTD, segments_BT > 0)
