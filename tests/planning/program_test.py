"""Costs estimated from a trace are close to the compiled program's."""
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.models import cost
from lmjax.models.presets import decoders
from lmjax.nn import attend
from lmjax.objectives import lm
from lmjax.planning import program

GPT2 = decoders.gpt2(256, 2, 4, vocab_size=2000, context=128)
LLAMA = decoders.llama(
    256, 2, 4, 2, 688, vocab_size=2000, context=128, tied=False)
ROWS = {name: jax.ShapeDtypeStruct((8, 128), kind) for name, kind in dict(
    inputs=np.int32, targets=np.int32, weights=np.float32, positions=np.int32,
    segments=np.int32).items()}


def gradient(config, chunk=None, attend_by=attend.plain):
  objective = lm.Causal(chunk=chunk).build(config.build(attend=attend_by))
  return lambda params, batch: jax.grad(
      lambda params: objective(params, batch)['loss'].total)(params)


@pytest.mark.parametrize('config, chunk', [
    (GPT2, None),
    pytest.param(LLAMA, None, marks=pytest.mark.slow),
    pytest.param(LLAMA, 256, marks=pytest.mark.slow),
    # Where blocks are looped, XLA on a CPU undoes what `remat` asks for.
    (dataclasses.replace(LLAMA, scan=True, remat='full'), 256),
    pytest.param(dataclasses.replace(GPT2, scan=True), None,
                 marks=pytest.mark.slow),
], ids=['gpt2', 'llama', 'llama_chunk', 'llama_scan_remat', 'gpt2_scan'])
def test_memory_and_flops_are_close_to_xla(config, chunk):
  params = cost.shapes(config)
  told = program.cost(gradient(config, chunk), params, ROWS)
  compiled = jax.jit(gradient(config, chunk)).lower(params, ROWS).compile()
  memory = compiled.memory_analysis()
  held = memory.temp_size_in_bytes + memory.output_size_in_bytes
  assert told.peak == pytest.approx(held, rel=0.15)
  if not config.scan and chunk is None:  # XLA counts one turn of a loop.
    xla = compiled.cost_analysis()
    assert told.flops == pytest.approx(xla['flops'], rel=0.02)


@pytest.mark.slow
def test_flops_are_the_models_plus_recomputation():
  params = cost.shapes(GPT2)
  told = program.cost(gradient(GPT2), params, ROWS).flops
  objective = lm.Causal().build(GPT2.build(attend=attend.plain))
  assert told == cost.training_flops(objective, params, ROWS)
  again = dataclasses.replace(GPT2, remat='full')
  more = program.cost(gradient(again), params, ROWS).flops
  assert 1.15 < more / told < 4 / 3  # Not the head, nor a block's last.
  scanned = dataclasses.replace(GPT2, scan=True)
  assert told == program.cost(
      gradient(scanned), cost.shapes(scanned), ROWS).flops
  assert told == program.cost(gradient(GPT2, 256), params, ROWS).flops


def square(n):
  return jax.ShapeDtypeStruct((n, n), jnp.float32)


def peak(function, *args, **kwargs):
  return program.cost(function, *args, **kwargs).peak / program._PACKING


def test_elementwise_work_becomes_part_of_its_reader():
  size = 4 * 64 * 64
  assert peak(lambda x: jnp.sum(2 * x + 1), square(64)) == 4
  assert peak(lambda x: 2 * x + 1, square(64)) == size
  # A product reads whole arrays, and is one.
  assert peak(lambda x: jnp.sum((2 * x) @ x), square(64)) == 2 * size
  # What is costly and read twice is written.
  def twice(x):
    y = jnp.exp(x)
    return jnp.sum(y) + jnp.max(y)
  assert peak(twice, square(64)) > size
  assert peak(lambda x: jnp.sum(jnp.exp(x)), square(64)) == 4


def test_arrays_are_held_from_the_first_to_the_last_use():
  def chain(x):
    for _ in range(5):
      x = x @ x
    return x
  assert peak(chain, square(64)) == 2 * 4 * 64 * 64
  def kept(x):
    y = x @ x
    return (y @ y) @ (y @ x)  # y, both factors; then the product.
  assert peak(kept, square(64)) == 3 * 4 * 64 * 64
  assert peak(lambda x: (x @ x, x @ x)[0], square(64)) == 4 * 64 * 64


def test_divided_results_count_with_their_held_bytes():
  kind = (64, 64), np.dtype('float32')
  assert peak(lambda x: x @ x, square(64), held={kind: 100.0}) == 100.0
  # Inside a loop too, where they are carried from turn to turn.
  def summed(x):
    return jax.lax.scan(lambda x, _: (x + x @ x, None), x, length=3)[0]
  assert peak(summed, square(64), held={kind: 100.0}) <= 300.0


def test_computations_of_a_mask_stay_in_the_loop():
  def attending(x, mask):
    return jnp.where(mask[:, None] > mask[None], x @ x.T, 0.0) @ x

  def layers(params, mask):
    x, _ = jax.lax.scan(
        lambda x, w: (program.fused(attending)(x @ w, mask), None),
        jnp.ones((256, 8)), params)
    return x.sum()

  shapes = (jax.ShapeDtypeStruct((4, 8, 8), 'float32'),
            jax.ShapeDtypeStruct((256,), 'float32'))
  assert peak(jax.grad(layers), *shapes) < 4 * 256 * 256


def test_loops_repeat_work_and_not_memory():
  def loop(x):
    return jax.lax.scan(lambda c, _: (c @ c @ c, None), x, None, length=7)[0]
  told = program.cost(loop, square(16))
  assert told.flops == 7 * 2 * 2 * 16**3
  assert told.peak / program._PACKING <= 4 * 4 * 16 * 16


def test_a_loop_writes_what_it_carries_in_place():
  def sums(x_ND):
    add = lambda total, x_D: (total + x_D[:, None] * x_D[None], None)
    return jax.lax.scan(add, jnp.zeros((64, 64)), x_ND)[0]
  assert peak(sums, jax.ShapeDtypeStruct((7, 64), jnp.float32)) == 4 * 64 * 64
  size = 4 * 64 * 64
  def powers(x, of):  # A turn makes a product beside what it reads.
    return jax.lax.scan(lambda c, _: (c @ x, None), of, None, length=7)[0]
  assert peak(lambda x: powers(x, x @ x) @ x, square(64)) == 2 * size
  def again(x):
    y = x @ x
    return powers(x, y) @ y
  assert peak(again, square(64)) == 3 * size
  def stacked(x):  # Lies beside what it is from.
    return jax.lax.scan(lambda c, row: (c, 2 * row), 0.0, x @ x)[1] @ x
  assert peak(stacked, square(64)) == 2 * size


def test_a_kernel_saves_only_its_operands_and_recomputes():
  def plain(operands, rest):
    q, k = operands
    return jnp.tanh((q @ k.T) * rest) @ k
  kernel = program.fused(plain)
  q = jnp.asarray(np.random.default_rng(0).normal(size=(64, 4)), jnp.float32)
  def loss(function):
    return jax.value_and_grad(
        lambda o: jnp.sum(function(o, jnp.float32(0.5))))
  jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5),
      loss(kernel)((q, q)), loss(plain)((q, q)))
  costs = [program.cost(loss(f), (q, q)) for f in (kernel, plain)]
  assert costs[0].peak < 4 * 64 * 64 < costs[1].peak
  product = 2 * 64 * 64 * 4
  assert costs[1].flops == 6 * product
  assert costs[0].flops == 7 * product
