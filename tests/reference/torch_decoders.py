"""GPT-2 and Llama in PyTorch, from the papers, on our parameter trees.

Written for reading beside the papers, one row at a time, and sharing no code
with lmjax: complex numbers for rotary, repeated heads for grouped queries.
"""
import torch
import torch.nn.functional as F


def tensors(tree):
  """Returns a tree of arrays as one of float32 tensors."""
  if hasattr(tree, 'items'):
    return {k: tensors(v) for k, v in tree.items()}
  return torch.tensor(tree, dtype=torch.float32)


def linear(p, x):
  y = x @ p['kernel']
  return y + p['bias'] if 'bias' in p else y


def causal(q, k, v):
  """Attends with heads first, [N, T, H]."""
  logits = q @ k.transpose(1, 2) / q.shape[-1] ** 0.5
  hidden = torch.ones(logits.shape[1:], dtype=torch.bool).triu(1)
  return torch.softmax(logits.masked_fill(hidden, float('-inf')), -1) @ v


def gpt2(params, ids, *, num_layers, num_heads, epsilon=1e-5):
  """Returns logits [T, V] of a row of ids: Radford et al., 2019."""
  p = tensors(params)
  ids = torch.tensor(ids)
  width = p['embed']['embedding'].shape[1]

  def norm(q, x):
    return F.layer_norm(x, (width,), q['scale'], q['bias'], epsilon)

  def heads(x):
    return x.view(len(ids), num_heads, -1).transpose(0, 1)

  x = p['embed']['embedding'][ids] + p['positions']['embedding'][:len(ids)]
  for i in range(num_layers):
    layer = p[f'layer_{i}']
    h = norm(layer['mixer_norm'], x)
    out = causal(*(heads(linear(layer['mixer'][name], h))
                   for name in ('query', 'key', 'value')))
    out = out.transpose(0, 1).reshape(len(ids), width)
    x = x + linear(layer['mixer']['out'], out)
    h = F.gelu(linear(layer['mlp']['in'], norm(layer['mlp_norm'], x)),
               approximate='tanh')
    x = x + linear(layer['mlp']['out'], h)
  return (norm(p['final_norm'], x) @ p['embed']['embedding'].T).numpy()


def llama(params, ids, *, num_layers, num_heads, num_kv_heads, head_size,
          theta, epsilon, qk_norm=False):
  """Returns logits [T, V] of a row of ids: Touvron et al., 2023."""
  p = tensors(params)
  ids = torch.tensor(ids)
  angles = torch.outer(
      torch.arange(len(ids), dtype=torch.float64),
      theta ** (-torch.arange(0, head_size, 2, dtype=torch.float64)
                / head_size))
  turns = torch.polar(torch.ones_like(angles), angles).to(torch.complex64)

  def norm(q, x):
    return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + epsilon) * (
        q['scale'])

  def rotate(x):  # [N, T, H]: dimension i and i + H / 2 make a number.
    first, second = x.chunk(2, dim=-1)
    turned = torch.complex(first.contiguous(), second.contiguous()) * turns
    return torch.cat([turned.real, turned.imag], dim=-1)

  x = p['embed']['embedding'][ids]
  for i in range(num_layers):
    layer = p[f'layer_{i}']
    mixer, mlp = layer['mixer'], layer['mlp']
    h = norm(layer['mixer_norm'], x)
    q, k, v = (linear(mixer[name], h).view(len(ids), count, head_size)
               for name, count in (('query', num_heads), ('key', num_kv_heads),
                                   ('value', num_kv_heads)))
    if qk_norm:
      q, k = norm(mixer['query_norm'], q), norm(mixer['key_norm'], k)
    q, k, v = (z.transpose(0, 1) for z in (q, k, v))
    k, v = (z.repeat_interleave(num_heads // num_kv_heads, 0) for z in (k, v))
    out = causal(rotate(q), rotate(k), v).transpose(0, 1)
    x = x + linear(mixer['out'], out.reshape(len(ids), -1))
    h = norm(layer['mlp_norm'], x)
    x = x + linear(
        mlp['out'], F.silu(linear(mlp['in'], h)) * linear(mlp['gate'], h))
  head = p['head']['kernel'] if 'head' in p else p['embed']['embedding'].T
  return (norm(p['final_norm'], x) @ head).numpy()
