"""The cached loop against the full forward pass, alone and in a batch."""
import dataclasses
import math
import re

import jax
from jax.extend import core as jax_core
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.generation import prompts
from lmjax.generation import sample
from lmjax.generation import transforms
from lmjax.models import encoder
from lmjax.models import lstm
from lmjax.models.presets import encoder_decoders
from lmjax.nn import masks
from lmjax.nn import recurrent
from tests.generation import conftest

GREEDY = transforms.Sampling(temperature=0)
PROMPTS = [[3, 1, 4], [1], [5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3],
           [2, 7, 1, 8, 2, 8]]


def logprobs_of(model, params, tokens):
  """The full forward's log-probabilities, without cache or padding."""
  row_BT = np.zeros((1, 40), np.int32)  # Causal: what follows does not matter.
  row_BT[0, :len(tokens)] = tokens
  logits_BTV, _ = jax.jit(model.apply)({'params': params}, row_BT)
  return np.asarray(jax.nn.log_softmax(logits_BTV))[0, :len(tokens)]


@pytest.mark.slow
def test_greedy_equals_the_full_forward(any_model):
  model, params = any_model
  result = sample.generate(
      model, params, PROMPTS, max_new_tokens=16, sampling=GREEDY)
  for prompt, tokens, logprobs in zip(PROMPTS, result.tokens, result.logprobs):
    assert len(tokens) == 16
    want_TV = logprobs_of(model, params, prompt + tokens.tolist())
    want_TV = want_TV[len(prompt) - 1:-1]
    np.testing.assert_array_equal(tokens, want_TV.argmax(-1))
    np.testing.assert_allclose(
        logprobs, want_TV[np.arange(16), tokens], atol=1e-4)


@pytest.mark.slow
def test_log_probabilities_are_those_of_the_model_untransformed(model):
  chain = transforms.Sampling(2.0, 20, 0.95, None, 0.001, 1.3)
  result = sample.generate(
      *model, PROMPTS, max_new_tokens=16, sampling=chain, rng=3)
  for prompt, tokens, logprobs in zip(PROMPTS, result.tokens, result.logprobs):
    want_TV = logprobs_of(*model, prompt + tokens.tolist())[len(prompt) - 1:-1]
    np.testing.assert_allclose(
        logprobs, want_TV[np.arange(16), tokens], atol=1e-4)


@pytest.mark.slow
def test_a_prompt_in_a_batch_is_the_prompt_alone(any_model):
  options = dict(max_new_tokens=16, sampling=GREEDY)
  together = sample.generate(*any_model, PROMPTS, **options)
  for i, prompt in enumerate(PROMPTS):
    alone = sample.generate(*any_model, [prompt], **options)
    np.testing.assert_array_equal(alone.tokens[0], together.tokens[i])
    np.testing.assert_allclose(
        alone.logprobs[0], together.logprobs[i], atol=1e-4)


@pytest.mark.slow
def test_a_prompts_draws_depend_only_on_its_own_key(model):
  keys = jax.random.split(jax.random.key(5), len(PROMPTS))
  together = sample.generate(*model, PROMPTS, max_new_tokens=12, rng=keys)
  for i in (1, 2):
    alone = sample.generate(
        *model, [PROMPTS[i]], max_new_tokens=12, rng=keys[i:i + 1])
    np.testing.assert_array_equal(alone.tokens[0], together.tokens[i])


@pytest.mark.slow
def test_another_seed_or_row_draws_other_tokens(model):
  def draw(rng, prompts):
    return [tokens.tolist() for tokens in sample.generate(
        *model, prompts, max_new_tokens=12, rng=rng).tokens]
  same = draw(0, [[1, 2]] * 3)
  assert draw(0, [[1, 2]] * 3) == same
  assert draw(1, [[1, 2]] * 3) != same
  assert same[0] != same[1] != same[2]
  assert draw(0, [[1, 2], [4]])[0] == same[0]


@pytest.mark.slow
def test_samples_follow_the_distribution(model):
  first = sample.generate(*model, [[1, 2]] * 2048, max_new_tokens=1).tokens
  share_V = np.bincount(np.concatenate(first), minlength=47) / 2048
  probs_V = np.exp(logprobs_of(*model, [1, 2])[-1])
  error_V = np.sqrt(probs_V * (1 - probs_V) / 2048)
  assert (np.abs(share_V - probs_V) < 5 * error_V + 1e-3).all()


@pytest.mark.slow
def test_a_row_ends_with_its_eos(model):
  free = sample.generate(
      *model, PROMPTS, max_new_tokens=16, sampling=GREEDY)
  eos = int(free.tokens[0][5])
  ended = sample.generate(
      *model, PROMPTS, max_new_tokens=16, sampling=GREEDY, eos_id=eos)
  for tokens, logprobs, finished, without in zip(
      ended.tokens, ended.logprobs, ended.finished, free.tokens):
    at = np.flatnonzero(without == eos)
    assert finished == bool(len(at))
    want = without[:at[0] + 1] if len(at) else without
    np.testing.assert_array_equal(tokens, want)
    assert len(logprobs) == len(tokens)
  assert ended.finished[0]


@pytest.mark.slow
def test_a_row_ends_with_the_first_of_several_ids(model):
  options = dict(max_new_tokens=16, sampling=GREEDY)
  free = sample.generate(*model, PROMPTS, **options)
  ends = [int(free.tokens[0][5]), int(free.tokens[1][3]), 46]
  ended = sample.generate(*model, PROMPTS, eos_id=ends, **options)
  for i, without in enumerate(free.tokens):
    at = np.flatnonzero(np.isin(without, ends))
    want = without[:at[0] + 1] if len(at) else without
    assert ended.finished[i] == bool(len(at))
    np.testing.assert_array_equal(ended.tokens[i], want)
  assert {int(tokens[-1]) for tokens in ended.tokens} >= set(ends[:2])


@pytest.mark.parametrize('given, want', [
    (None, [-1]), (7, [7]), ([7], [7]), ([], [-1]), ([7, 9], [7, 9]),
    ([7, 9, 8], [7, 9, 8, -1])])
def test_ids_that_end_a_row_are_padded_to_few_sizes(given, want):
  assert sample._ends(given).tolist() == want


@pytest.mark.slow
def test_the_penalty_counts_prompt_and_drawn_tokens(model):
  strict = transforms.Sampling(temperature=0, repetition_penalty=1e9)
  result = sample.generate(
      *model, [[1, 2, 3]], max_new_tokens=12, sampling=strict)
  seen = [1, 2, 3] + result.tokens[0].tolist()
  assert len(set(seen)) == len(seen)


@pytest.mark.slow
def test_tokens_to_the_last_slot_of_the_context(model):
  result = sample.generate(
      *model, [[1] * 40], max_new_tokens=24, sampling=GREEDY)
  assert len(result.tokens[0]) == 24
  with pytest.raises(errors.InputError, match='has 40 tokens, .* = 25 .* the 64'):
    sample.generate(*model, [[1] * 40], max_new_tokens=25)


@pytest.mark.parametrize('chunk', [1, 5, 100])
def test_decoding_in_chunks_draws_the_same(model, chunk):
  options = dict(max_new_tokens=12, rng=7, eos_id=4)
  whole = sample.generate(*model, PROMPTS, **options)
  pieces = list(sample.decode(*model, PROMPTS, **options, chunk=chunk))
  assert all(len(t) <= max(chunk, 1) for p in pieces for t in p.tokens)
  for i in range(len(PROMPTS)):
    np.testing.assert_array_equal(
        np.concatenate([p.tokens[i] for p in pieces]), whole.tokens[i])
    np.testing.assert_allclose(np.concatenate(
        [p.logprobs[i] for p in pieces]), whole.logprobs[i], atol=1e-5)
  np.testing.assert_array_equal(pieces[-1].finished, whole.finished)


@pytest.mark.slow
def test_a_bucket_is_compiled_once(model):
  for rows, length, new in ((3, 20, 9), (4, 30, 16), (3, 17, 12)):
    sample.generate(*model, [[1] * length] * rows, max_new_tokens=new)
    if rows == 3 and length == 20:
      compiled = sample._generate._cache_size()
  assert sample._generate._cache_size() == compiled


def test_keys_are_one_or_one_per_prompt(model):
  with pytest.raises(ValueError, match='one for each of 4'):
    sample.generate(*model, PROMPTS, max_new_tokens=1,
                    rng=jax.random.split(jax.random.key(0), 3))


@pytest.mark.slow
def test_the_loop_copies_no_cache(model):
  """A copy of the cache at every token costs more than the attention."""
  batch, how = sample._prepare(model[0], [[1] * 30] * 2, 16, GREEDY, 0)
  text = sample._generate.lower(
      model[1], batch, how, jnp.array([-1]), jnp.int32(16), model=model[0],
      transforms=()).compile().as_text()
  size = 2 * 4 * 48 * 8  # Rows, heads, slots, head size.
  made = re.findall(  # In the loop's body, by an operation of its own.
      r'= f32\[([\d,]+)\]\S* (copy|transpose|fusion)\(.*while/body', text)
  whole = [(shape, operation) for shape, operation in made
           if math.prod(map(int, shape.split(','))) == size]
  assert len(made) > 10
  assert len(whole) == 2, whole  # Written in place: keys, and values.


# -- models that read more than a text's beginning

SOURCES = [[1, 2], [7] * 18 + [3], [5, 9, 2, 6, 5, 3, 5], [4]]
READ = [prompts.Prompt(ids, source)
        for ids, source in zip(([3], [3, 1], [3], [3]), SOURCES)]


@pytest.fixture(scope='module', params=[
    't5', pytest.param('original', marks=pytest.mark.slow)])
def reader(request):
  """An encoder-decoder, (model, params)."""
  make = {'t5': encoder_decoders.t5,
          'original': encoder_decoders.transformer}[request.param]
  # One layer compiles faster; several are tested where it is slow.
  num_layers = {'t5': 1, 'original': 2}[request.param]
  return conftest.hot_model(
      make(16, num_layers, 4, 24, vocab_size=47, context=40))


@pytest.mark.slow
def test_a_decoder_writes_what_the_full_forward_says_of_a_source(reader):
  model, params = reader
  together = sample.generate(
      model, params, READ, max_new_tokens=16, sampling=GREEDY)
  apply = jax.jit(lambda ids_BT, source_BS: model.apply(
      {'params': params}, ids_BT, encoder_inputs_BS=source_BS)[0])
  for i, prompt in enumerate(READ):
    tokens, logprobs = together.tokens[i], together.logprobs[i]
    row = prompt.ids + tokens.tolist()
    padded_BT = np.pad(row, (0, 20 - len(row)))[None]  # Later ids are unseen.
    logits_BTV = apply(padded_BT, np.array([prompt.source]))
    want_TV = np.asarray(jax.nn.log_softmax(logits_BTV))[
        0, len(prompt.ids) - 1:len(row) - 1]
    np.testing.assert_array_equal(tokens, want_TV.argmax(-1))
    np.testing.assert_allclose(
        logprobs, want_TV[np.arange(16), tokens], atol=1e-4)
    if i == 2:
      alone = sample.generate(
          model, params, [prompt], max_new_tokens=16, sampling=GREEDY)
      np.testing.assert_array_equal(alone.tokens[0], tokens)
      np.testing.assert_allclose(alone.logprobs[0], logprobs, atol=1e-4)
  pieces = list(sample.decode(
      model, params, READ, max_new_tokens=16, sampling=GREEDY, chunk=8))
  for i, tokens in enumerate(together.tokens):
    np.testing.assert_array_equal(
        np.concatenate([piece.tokens[i] for piece in pieces]), tokens)


def test_a_source_is_read_once(reader):
  model, params = reader
  batch, how = sample._prepare(model, READ, 16, GREEDY, 0)
  state = jax.eval_shape(lambda: sample.start(
      model, params, batch, how, jnp.array([-1]), ()))
  rows = set()  # Of the left operands of all products in the loop.

  def visit(jaxpr):
    for equation in jaxpr.eqns:
      if equation.primitive.name == 'dot_general':
        rows.add(equation.invars[0].aval.shape[0])
      for inner in jax_core.jaxprs_in_params(equation.params):
        visit(inner)
  visit(jax.make_jaxpr(lambda state: sample.advance(
      model, params, state, jnp.array([-1]), jnp.int32(16), ()))(state).jaxpr)
  # A row for each of four prompts, and not for each of 4 x 32 source tokens.
  assert rows == {4}


@pytest.mark.slow
def test_each_row_ends_with_its_own_end(reader):
  model, params = reader
  free = sample.generate(
      model, params, READ, max_new_tokens=16, sampling=GREEDY)
  ends = [None, int(free.tokens[1][4]), None, int(free.tokens[3][0])]
  ended = sample.generate(
      model, params, [dataclasses.replace(prompt, end=end)
                      for prompt, end in zip(READ, ends)],
      max_new_tokens=16, sampling=GREEDY)
  for tokens, without, end, finished in zip(
      ended.tokens, free.tokens, ends, ended.finished):
    at = len(without) - 1 if end is None else without.tolist().index(end)
    np.testing.assert_array_equal(tokens, without[:at + 1])
    assert finished == (end is not None)


@pytest.mark.slow
def test_a_prefix_is_seen_both_ways(any_model):
  model, params = any_model
  both = [prompts.Prompt(ids, both_ways=count)
          for ids, count in zip(PROMPTS, (2, 0, 11, 6))]
  found = sample.generate(
      model, params, both, max_new_tokens=16, sampling=GREEDY)
  apply = jax.jit(lambda ids_BT, prefix_BT: model.apply(
      {'params': params}, ids_BT, masks.prefix(
          jnp.arange(40)[None], jnp.ones((1, 40), jnp.int32), prefix_BT))[0])
  for prompt, tokens, logprobs in zip(both, found.tokens, found.logprobs):
    row_BT = np.zeros((1, 40), np.int32)
    row = prompt.ids + tokens.tolist()
    row_BT[0, :len(row)] = row
    want_TV = np.asarray(jax.nn.log_softmax(
        apply(row_BT, np.arange(40)[None] < prompt.both_ways)))[0]
    want_TV = want_TV[len(prompt.ids) - 1:len(row) - 1]
    np.testing.assert_array_equal(tokens, want_TV.argmax(-1))
    np.testing.assert_allclose(
        logprobs, want_TV[np.arange(16), tokens], atol=1e-4)


def test_prompts_and_models_that_do_not_fit_are_refused(reader, model):
  with pytest.raises(errors.InputError, match='EncoderDecoder reads the source'):
    sample.generate(*reader, [[1, 2]], max_new_tokens=2)
  with pytest.raises(errors.InputError, match='Decoder has no encoder'):
    sample.generate(*model, READ, max_new_tokens=2)
  with pytest.raises(errors.InputError, match='Encoder cannot continue'):
    sample.check(encoder.EncoderConfig(vocab_size=5).build())


# -- tokens that were drawn when all rows shared a slot and a way of sampling

KINDS = conftest.VARIANTS | {
    'prefix': conftest.VARIANTS['learned'],
    'window': conftest.with_window(conftest.VARIANTS['rotary'], 5),
    't5': encoder_decoders.t5(16, 2, 4, 24, vocab_size=47, context=40),
    'recurrent': lstm.RecurrentConfig(
        vocab_size=47, context=64, width=24,
        cell=recurrent.LSTMConfig(hidden=24)),
}
SAMPLINGS = {
    'plain': transforms.Sampling(),
    'cut': transforms.Sampling(1.3, 20, 0.95, None, 0.001, 1.3),
}
DRAWN = {  # A character an id, from '0' on.
    ('learned', 'plain'):
        '2Y:FP7X^PR^: ]5WCRE:7V<PP <KSJGPU74:7R 2SJ59RY5RRS1',
    ('learned', 'cut'):
        '2^:F7MT^PR^: D^RCRE:7VD7P <HSVGPU74:[R ^S[59R45RRSH',
    ('rotary', 'plain'):
        '2Y?FP8XOPR^: ]>WCR;:7L<>8 \\KSJZ\\UX0:L? 2SJ5;RYBRRS>',
    ('rotary', 'cut'):
        '2^?FW0;OP<^Z ?>WGRIG?LD>P \\K@IZ\\6XH^L? 2SCQ\\\\XZRRS>',
    ('alibi', 'plain'):
        '2Y:448XOPR^: ?5?7DI77C<7P L@SJGPU74:L? 2SJ59RY5RRS1',
    ('alibi', 'cut'):
        'JY:FP7@^PR^: D5?7DI77CD7P <@SLGPU74:[R AS[59R4ZRRSP',
    ('scan', 'plain'):
        'XY?F48X^L7HZ ?5?CD;77L<>@ L@SLQQX@9:L? VSJ5HLY5RR7H',
    ('scan', 'cut'):
        'XY?F48X^L7H[ ?5?CD;77LI7@ L@TLQXX@9^L? V8<5HL5Z^3SQ',
    ('window', 'plain'):
        '2Y?FP8XOS7^: ]>WCRI:7L<>S LKSKGKXX0:L? VSJ59LYBVRS>',
    ('window', 'cut'):
        '2^?FX<XOS<^Z ?>WGRI77V<>@ LK0LGXHX4^L@ VSC5HRXZZRS>',
    ('t5', 'plain'):
        '2YJXP0X^PRH: ?5WCM;77Z<>P LMSJQXUV4:6R 2SJ59RYZRR7\\',
    ('t5', 'cut'):
        'JGJF]0X^P7H: =>2CM;Z2Z\\>P <MSJQXUV4[6R A8J59LXZV<7\\',
    ('recurrent', 'plain'):
        '2Y?F40XOPR^: ?5WCR;77L<>8 L@SJQXUV0:L? 2SJ5;RYBRRS1',
    ('recurrent', 'cut'):
        'JYJXW0XYS79Z ?\\WGD071XDY@ \\@SJQX\\X0YQ@ 1SJN9\\YZWSS1',
    ('prefix', 'plain'):
        '2Y:FP7X^PR^: ]5WCRE:7V<PP <@SJGPU74:77 2SJ59RY5RRS1',
    ('prefix', 'cut'):
        '2Y:FP7@TPR^: D^RCRE:7VD7P <OSUGPU74:[R ^S[59R45RRSH',
}


@pytest.mark.parametrize('kind, sampling', [
    case if case in (('rotary', 'plain'), ('window', 'cut'), ('prefix', 'cut'))
    else pytest.param(*case, marks=pytest.mark.slow) for case in DRAWN])
def test_the_same_tokens_are_drawn_as_before(kind, sampling):
  asked = {'t5': READ, 'prefix': [
      prompts.Prompt(ids, both_ways=count)
      for ids, count in zip(PROMPTS, (2, 0, 11, 6))]}.get(kind, PROMPTS)
  found = sample.generate(
      *conftest.hot_model(KINDS[kind]), asked, max_new_tokens=12, rng=3,
      sampling=SAMPLINGS[sampling])
  assert [''.join(chr(48 + token) for token in tokens)
          for tokens in found.tokens] == DRAWN[kind, sampling].split()
