"""Text from a stream, a batch and the one-shot loop is the same text."""
import jax
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.generation import prompts
from lmjax.generation import sample
from lmjax.generation import streaming
from lmjax.generation import transforms
from lmjax.generation import window

WORDS = ['é'.encode()[:1], 'é'.encode()[1:], '日'.encode()[:2],
         '日'.encode()[2:], b' ', b'<end', b'>', b'\x1b'] + [
             bytes([c]) for c in b'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLM']


class Pieces:
  """A tokenizer some of whose tokens are parts of characters."""
  bos_id, eos_id, vocab_size = 45, 46, 47

  def encode(self, text):
    return np.array([WORDS.index(c.encode()) for c in text], np.int32)

  def token_bytes(self, token):
    return WORDS[token] if token < 45 else b''


TOKENIZER = Pieces()
OPTIONS = dict(max_new_tokens=16, transforms=(transforms.Temperature(1.5),))


def text_of(tokens):
  raw = b''.join(TOKENIZER.token_bytes(int(token)) for token in tokens)
  return raw.decode('utf-8', errors='replace')


def row(tokens, stop=(), each=1):
  """The pieces that a row shows, and its completion."""
  writer = streaming.Row(TOKENIZER, stop)
  shown = [writer.feed(tokens[i:i + each], [-1.0] * each)
           for i in range(0, len(tokens), each)]
  return shown + [writer.close()], writer.completion()


def test_characters_are_shown_whole():
  shown, found = row([0, 1, 8, 2, 3, 2])
  assert shown == ['', 'é', 'a', '', '日', '', '\ufffd']
  assert (found.text, found.ended) == ('éa日\ufffd', 'length')


@pytest.mark.parametrize('each', [1, 2, 3, 7])
def test_a_stop_string_ends_a_row_within_a_chunk(each):
  shown, found = row([8, 5, 6, 9, 10], ['<end>'], each)
  assert ''.join(shown) == found.text == 'a'
  assert (found.tokens, found.ended) == ([8, 5, 6], 'stop')
  assert found.logprobs == [-1.0] * 3


def test_text_held_back_is_returned_at_the_end():
  assert row([8, 5], ['<end>'])[0] == ['a', '', '<end']
  shown, found = row([8, 5, 46, 9], ['<end>'])
  assert (found.text, found.ended, found.tokens) == (
      'a<end', 'eos', [8, 5, 46])
  assert ''.join(shown) == found.text


@pytest.mark.slow
@pytest.mark.parametrize('chunk', [1, 8])
def test_a_stream_is_the_one_shot_loop(model, chunk):
  once = sample.generate(*model, [[45, 8, 9]], rng=2, eos_id=46, **OPTIONS)
  stream = streaming.Stream(
      *model, TOKENIZER, 'ab', rng=2, chunk=chunk, **OPTIONS)
  pieces = list(stream)
  found = stream.completion
  assert len(pieces) >= len(found.tokens) // chunk
  assert found.tokens == once.tokens[0].tolist()
  assert ''.join(pieces) == found.text == text_of(once.tokens[0])
  np.testing.assert_allclose(found.logprobs, once.logprobs[0], atol=1e-5)


@pytest.mark.slow
def test_a_batch_stops_each_prompt_where_alone(model):
  prompts = ['ab', 'c', '', 'hello']
  keys = streaming.keys(0, 4, 1)
  free = streaming.complete(*model, TOKENIZER, prompts, rng=keys, **OPTIONS)
  longest = max(free, key=lambda found: len(found.text))
  stop = longest.text[3:5]
  found = streaming.complete(
      *model, TOKENIZER, prompts, rng=keys, stop=[stop], chunk=4, **OPTIONS)
  assert 'stop' in [completion.ended for completion in found]
  for i, (with_stop, without) in enumerate(zip(found, free)):
    assert with_stop.text == without.text.split(stop)[0]
    assert (with_stop.ended == 'stop') == (stop in without.text)
    stream = streaming.Stream(*model, TOKENIZER, prompts[i], rng=keys[i:i + 1],
                              stop=[stop], **OPTIONS)
    assert ''.join(stream) == with_stop.text


@pytest.mark.slow
def test_a_prompts_own_end_ends_its_text(model):
  free = streaming.complete(*model, TOKENIZER, ['ab'], rng=1, **OPTIONS)[0]
  end = free.tokens[3]
  def encode(tokenizer, text):
    return prompts.Prompt(prompts.encode(tokenizer, text), end=end)
  stream = streaming.Stream(
      *model, TOKENIZER, 'ab', rng=1, encode=encode, **OPTIONS)
  shown = ''.join(stream)
  found = streaming.complete(
      *model, TOKENIZER, ['ab'], rng=1, encode=encode, **OPTIONS)[0]
  want = free.tokens[:free.tokens.index(end) + 1]
  assert stream.completion.tokens == found.tokens == want
  assert stream.completion.ended == found.ended == 'eos'
  assert shown == found.text == text_of(want[:-1])
  (_, drawn), = streaming.samples(
      *model, TOKENIZER, ['ab'], encode=lambda *_: prompts.Prompt(
          [45, 8], end=end), **OPTIONS)
  assert end not in drawn.tokens[:-1]


@pytest.mark.slow
def test_a_text_ends_before_the_first_of_several_ids(model):
  texts, keys = ['ab', 'c'], streaming.keys(1, 2, 1)
  free = streaming.complete(*model, TOKENIZER, texts, rng=keys, **OPTIONS)
  ends = [free[0].tokens[5]]
  ends.append(next(token for token in free[1].tokens[2:]
                   if token not in (*ends, *free[0].tokens, 46)))
  found = streaming.complete(
      *model, TOKENIZER, texts, rng=keys, stop_ids=ends, **OPTIONS)
  for i, (text, without, each) in enumerate(zip(texts, free, found)):
    at = [place for place, token in enumerate(without.tokens)
          if token in (*ends, TOKENIZER.eos_id)]
    want = without.tokens[:at[0] + 1] if at else without.tokens
    stream = streaming.Stream(*model, TOKENIZER, text, rng=keys[i:i + 1],
                              stop_ids=ends, chunk=8, **OPTIONS)
    shown = ''.join(stream)
    assert each.tokens == stream.completion.tokens == want
    assert each.text == shown == text_of(want[:-1] if at else want)
    assert each.ended == stream.completion.ended == (
        'eos' if at else 'length')
  assert [each.tokens[-1] for each in found] == ends


def test_the_eos_of_the_tokenizer_ends_a_text_besides_other_ids():
  assert streaming._ends(TOKENIZER, ()) == [46]
  assert streaming._ends(TOKENIZER, (3, 46, 3)) == [46, 3]
  assert streaming._ends(Fewer(), (3,)) == [3]
  writer = streaming.Row(TOKENIZER, ends=(8, None))
  assert writer.feed([9, 46, 9], [-1.0] * 3) + writer.close() == 'b'
  writer = streaming.Row(TOKENIZER, ends=(8, None))
  assert writer.feed([9, 8, 9], [-1.0] * 3) + writer.close() == 'b'
  assert writer.completion().tokens == [9, 8]


def test_a_stopped_batch_computes_no_more(model, monkeypatch):
  drawn = []
  decode = sample.decode

  def counting(*args, **kwargs):
    for result in decode(*args, **kwargs):
      drawn.append(result)
      yield result

  monkeypatch.setattr(sample, 'decode', counting)
  first = streaming.complete(*model, TOKENIZER, ['ab'], **OPTIONS)[0]
  streaming.complete(*model, TOKENIZER, ['ab'], chunk=4,
                     stop=[first.text[:1]], **OPTIONS)
  assert len(drawn) <= 2


@pytest.mark.slow
def test_samples_do_not_depend_on_the_size_of_batches(model):
  def draw(batch_size, prompts=('ab', 'c')):
    return [(prompt, found.tokens) for prompt, found in streaming.samples(
        *model, TOKENIZER, prompts, num_samples=2, batch_size=batch_size,
        seed=1, **OPTIONS)]
  together = draw(4)
  assert [prompt for prompt, _ in together] == [0, 0, 1, 1]
  assert together[0] != together[1]
  assert draw(1) == together
  with pytest.raises(errors.InputError, match='Prompt 1 has 65 tokens'):
    next(streaming.samples(*model, TOKENIZER, ['ab', 'a' * 64], **OPTIONS))


def test_more_samples_leave_the_first_as_they_are():
  few = jax.random.key_data(streaming.keys(3, 2, 2)).reshape(2, 2, -1)
  many = jax.random.key_data(streaming.keys(3, 5, 4)).reshape(5, 4, -1)
  np.testing.assert_array_equal(few, many[:2, :2])
  assert len(np.unique(many.reshape(20, -1), axis=0)) == 20


class Fewer(Pieces):
  """A tokenizer with fewer ids than the model."""
  bos_id, eos_id, vocab_size = 8, None, 10


@pytest.mark.slow
def test_ids_beyond_the_tokenizer_are_never_drawn(model):
  options = dict(max_new_tokens=16, rng=1)
  one, = streaming.complete(*model, Fewer(), ['a'], **options)
  stream = streaming.Stream(*model, Fewer(), 'a', **options)
  list(stream)
  assert len(one.tokens) == len(stream.completion.tokens) == 16
  assert max(one.tokens + stream.completion.tokens) < 10
  everywhere, = streaming.complete(*model, TOKENIZER, ['a'], **options)
  assert max(everywhere.tokens) >= 10


@pytest.mark.slow
def test_the_context_limits_each_prompt_by_itself(model):
  texts = ['a' * 60, 'a', 'b' * 60]
  found = streaming.complete(
      *model, Fewer(), texts, max_new_tokens=20, rng=1)
  assert [len(each.tokens) for each in found] == [3, 20, 3]  # And BOS.
  assert [each.ended for each in found] == ['context', 'length', 'context']
  keys = sample.row_keys(1, 3, 3)
  for text, each, key in zip(texts, found, keys):
    alone, = streaming.complete(
        *model, Fewer(), [text], max_new_tokens=20, rng=key[None])
    assert alone.tokens == each.tokens


def test_a_prompt_that_fills_the_context_is_refused_with_the_choices(model):
  with pytest.raises(errors.InputError, match=(
      'Prompt 1 has 64 tokens, and the model reads 64, .*: shorten it. .* '
      '--window .* continues its last part')):
    next(streaming.samples(
        *model, Fewer(), ['a', 'a' * 63], max_new_tokens=2))


@pytest.mark.slow
def test_text_beyond_the_context_is_the_same_streamed_or_not(model):
  keys = jax.random.split(jax.random.key(0), 2)
  options = dict(max_new_tokens=90, beyond=window.decode)
  texts = ['a' * 99, 'b']
  found = streaming.complete(*model, Fewer(), texts, rng=keys, **options)
  for text, each, key in zip(texts, found, keys):
    stream = streaming.Stream(
        *model, Fewer(), text, rng=key[None], **options)
    assert ''.join(stream) == each.text
    assert len(each.tokens) == 90 and each.ended == 'length'
