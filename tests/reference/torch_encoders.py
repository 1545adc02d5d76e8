"""BERT, ALBERT and a modern encoder in PyTorch, on our parameter trees.

Written for reading beside the papers, one row at a time, with PyTorch's own
norms and activations, and sharing no code with lmjax.
"""
import torch
import torch.nn.functional as F

from tests.reference import torch_decoders

linear = torch_decoders.linear
ACTIVATIONS = {
    'gelu': F.gelu, 'gelu_tanh': lambda x: F.gelu(x, approximate='tanh')}


def norm(p, x, epsilon):
  return F.layer_norm(x, x.shape[-1:], p['scale'], p.get('bias'), epsilon)


def attend(p, x, num_heads, visible=None, turn=lambda x: x):
  """Returns what T tokens tell each other, [T, D], before the residual."""
  def heads(name):
    return linear(p[name], x).view(len(x), num_heads, -1).transpose(0, 1)
  q, k, v = turn(heads('query')), turn(heads('key')), heads('value')
  logits = q @ k.transpose(1, 2) / q.shape[-1] ** 0.5
  if visible is not None:
    logits = logits.masked_fill(~visible, float('-inf'))
  out = (torch.softmax(logits, -1) @ v).transpose(0, 1).reshape(len(x), -1)
  return linear(p['out'], out)


def bert(params, ids, types, *, num_layers, num_heads, epsilon=1e-12,
         activation='gelu', offset=0):
  """Returns a row's logits [T, V], pooled vector [D] and pair logits [2].

  Devlin et al., 2018; with a `widen` layer and `layer_0` alone, ALBERT.
  """
  p = torch_decoders.tensors(params)
  ids, act = torch.tensor(ids), ACTIVATIONS[activation]
  x = p['embed']['embedding'][ids]
  x = x + p['positions']['embedding'][offset:offset + len(ids)]
  x = x + p['types']['embedding'][torch.tensor(types)]
  x = norm(p['embed_norm'], x, epsilon)
  if 'widen' in p:
    x = linear(p['widen'], x)
  for i in range(num_layers):
    layer = p.get(f'layer_{i}', p['layer_0'])
    x = norm(layer['mixer_norm'], x + attend(layer['mixer'], x, num_heads),
             epsilon)
    h = linear(layer['mlp']['out'], act(linear(layer['mlp']['in'], x)))
    x = norm(layer['mlp_norm'], x + h, epsilon)
  head = p['tokens']
  h = norm(head['norm'], act(linear(head['transform'], x)), epsilon)
  logits = h @ p['embed']['embedding'].T + head['bias']
  pooled = torch.tanh(linear(p['pooler'], x[0]))
  return logits.numpy(), pooled.numpy(), linear(p['pairs'], pooled).numpy()


def modern(params, ids, *, num_layers, num_heads, window, every, theta,
           local_theta, epsilon=1e-5):
  """Returns a row's logits [T, V]: Warner et al., 2024."""
  p = torch_decoders.tensors(params)
  ids = torch.tensor(ids)
  places = torch.arange(len(ids))
  near = (places[:, None] - places[None]).abs() < window

  def rotary(theta):
    def turn(x):  # [N, T, H]: dimension i and i + H / 2 make a number.
      size = x.shape[-1]
      angles = torch.outer(
          places.double(), theta ** (-torch.arange(0, size, 2).double() / size))
      turns = torch.polar(torch.ones_like(angles), angles).to(torch.complex64)
      first, second = x.chunk(2, dim=-1)
      turned = torch.complex(first.contiguous(), second.contiguous()) * turns
      return torch.cat([turned.real, turned.imag], dim=-1)
    return turn

  x = norm(p['embed_norm'], p['embed']['embedding'][ids], epsilon)
  for i in range(num_layers):
    layer, local = p[f'layer_{i}'], i % every > 0
    h = x  # The first layer may read what was normed already.
    if 'mixer_norm' in layer:
      h = norm(layer['mixer_norm'], x, epsilon)
    x = x + attend(layer['mixer'], h, num_heads, near if local else None,
                   rotary(local_theta if local else theta))
    h, mlp = norm(layer['mlp_norm'], x, epsilon), layer['mlp']
    x = x + linear(
        mlp['out'], F.gelu(linear(mlp['in'], h)) * linear(mlp['gate'], h))
  x = norm(p['final_norm'], x, epsilon)
  h = norm(p['tokens']['norm'], F.gelu(linear(p['tokens']['transform'], x)),
           epsilon)
  return (h @ p['embed']['embedding'].T + p['tokens']['bias']).numpy()
