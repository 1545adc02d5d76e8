"""The original Transformer, BART and T5 in PyTorch, from their papers.

Plain matrix products on one row, [T, D], and explicit lists of keys.
"""
import math

import torch
import torch.nn.functional as F

from tests.reference import torch_decoders

linear = torch_decoders.linear


def attention(p, x, memory, num_heads, scale, causal=False, bias=None):
  """Attends from x [T, D] to memory [S, D]; `bias` is [N, T, S]."""
  def heads(y):
    return y.view(len(y), num_heads, -1).transpose(0, 1)
  q, k, v = (heads(linear(p[name], y)) for name, y in (
      ('query', x), ('key', memory), ('value', memory)))
  logits = q @ k.transpose(1, 2) * scale
  if bias is not None:
    logits = logits + bias
  if causal:
    hidden = torch.ones(logits.shape[1:], dtype=torch.bool).triu(1)
    logits = logits.masked_fill(hidden, float('-inf'))
  out = torch.softmax(logits, -1) @ v
  return linear(p['out'], out.transpose(0, 1).reshape(len(x), -1))


def transformer(params, read, written, *, num_layers, num_heads):
  """Returns logits [T, V]: Vaswani et al., 2017."""
  p = torch_decoders.tensors(params)
  table = p['embed']['embedding']
  width = table.shape[1]

  def embedded(ids):
    rows = []
    for t, i in enumerate(ids):
      angles = [t / 10_000 ** (2 * j / width) for j in range(width // 2)]
      rows.append(table[i] * math.sqrt(width) + torch.tensor(
          [math.sin(a) for a in angles] + [math.cos(a) for a in angles]))
    return torch.stack(rows)

  x = post_norm(p, embedded(read), embedded(written), num_layers, num_heads,
                1e-6, F.relu)
  return (x @ table.T).numpy()


def bart(params, read, written, *, num_layers, num_heads):
  """Returns logits [T, V]: Lewis et al., 2019."""
  p = torch_decoders.tensors(params)
  table = p['embed']['embedding']

  def embedded(q, ids):  # The first two positions belong to no token.
    return layer_norm(
        q['embed_norm'], table[torch.tensor(ids)]
        + q['positions']['embedding'][2:2 + len(ids)], 1e-5)

  x = post_norm(
      p, embedded(p['encoder'], read), embedded(p['decoder'], written),
      num_layers, num_heads, 1e-5, F.gelu)
  return (x @ table.T).numpy()


def layer_norm(q, x, epsilon):
  """Normalises by a norm's parameters."""
  return F.layer_norm(x, x.shape[-1:], q['scale'], q['bias'], epsilon)


def post_norm(p, memory, x, num_layers, num_heads, epsilon, activation):
  """Returns what the head reads: blocks whose norms follow the sums.

  Args:
    p: Parameters of the model.
    memory: What the first block of the encoder reads.
    x: What that of the decoder reads.
    num_layers: Of each.
    num_heads: Of each attention.
    epsilon: Of the norms.
    activation: Of the feed-forward networks.
  """
  def norm(q, x):
    return layer_norm(q, x, epsilon)

  def fed(q, x):
    return linear(q['out'], activation(linear(q['in'], x)))

  scale = (x.shape[1] // num_heads) ** -0.5
  for i in range(num_layers):
    q = p['encoder'][f'layer_{i}']
    memory = norm(q['mixer_norm'], memory + attention(
        q['mixer'], memory, memory, num_heads, scale))
    memory = norm(q['mlp_norm'], memory + fed(q['mlp'], memory))
  for i in range(num_layers):
    q = p['decoder'][f'layer_{i}']
    x = norm(q['mixer_norm'], x + attention(
        q['mixer'], x, x, num_heads, scale, causal=True))
    x = norm(q['cross_norm'], x + attention(
        q['cross'], x, memory, num_heads, scale))
    x = norm(q['mlp_norm'], x + fed(q['mlp'], x))
  return x


def bucket(ahead, both_ways, buckets, furthest):
  """Returns the bucket of a key so many places ahead of the query."""
  start = 0
  if both_ways:
    buckets //= 2
    if ahead > 0:
      start = buckets
    distance = abs(ahead)
  else:
    distance = max(-ahead, 0)
  near = buckets // 2
  if distance < near:
    return start + distance
  far = near + int(math.log(distance / near) / math.log(furthest / near)
                   * (buckets - near))
  return start + min(far, buckets - 1)


def t5(params, read, written, *, num_layers, num_heads, gated, buckets,
       furthest):
  """Returns logits [T, V]: Raffel et al., 2020; `gated` is version 1.1."""
  p = torch_decoders.tensors(params)
  table = p['embed']['embedding']

  def norm(q, x):
    return q['scale'] * x / torch.sqrt((x * x).mean(-1, keepdim=True) + 1e-6)

  def fed(q, x):
    if gated:
      h = F.gelu(linear(q['in'], x), approximate='tanh') * linear(q['gate'], x)
    else:
      h = F.relu(linear(q['in'], x))
    return linear(q['out'], h)

  def bias(q, length, both_ways):
    chosen = torch.tensor([
        [bucket(s - t, both_ways, buckets, furthest) for s in range(length)]
        for t in range(length)])
    return q['positions']['embedding'][chosen].permute(2, 0, 1)

  memory = table[torch.tensor(read)]
  encoder, decoder = p['encoder'], p['decoder']
  shared = bias(encoder, len(read), True)
  for i in range(num_layers):
    q = encoder[f'layer_{i}']
    h = norm(q['mixer_norm'], memory)
    memory = memory + attention(q['mixer'], h, h, num_heads, 1.0, bias=shared)
    memory = memory + fed(q['mlp'], norm(q['mlp_norm'], memory))
  memory = norm(encoder['final_norm'], memory)
  x = table[torch.tensor(written)]
  shared = bias(decoder, len(written), False)
  for i in range(num_layers):
    q = decoder[f'layer_{i}']
    h = norm(q['mixer_norm'], x)
    x = x + attention(
        q['mixer'], h, h, num_heads, 1.0, causal=True, bias=shared)
    x = x + attention(
        q['cross'], norm(q['cross_norm'], x), memory, num_heads, 1.0)
    x = x + fed(q['mlp'], norm(q['mlp_norm'], x))
  x = norm(decoder['final_norm'], x)
  if gated:
    return (x @ p['head']['kernel']).numpy()
  return (x * table.shape[1] ** -0.5 @ table.T).numpy()
