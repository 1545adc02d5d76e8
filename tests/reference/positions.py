"""Positions as the papers and their released code define them, one by one."""
import math

import numpy as np


def rotate_pair(first, second, angle):
  """Turns the point (first, second) by an angle, as a complex number."""
  turned = complex(first, second) * complex(math.cos(angle), math.sin(angle))
  return turned.real, turned.imag


def rotate(vector, position, frequencies):
  """Rotates dimension i with i + R/2, R = 2 * len(frequencies)."""
  half = len(frequencies)
  out = np.array(vector, np.float64)
  for i, frequency in enumerate(frequencies):
    out[i], out[i + half] = rotate_pair(
        vector[i], vector[i + half], position * frequency)
  return out


def llama3_frequency(frequency, factor, low, high, context):
  """The three cases of Llama 3.1's `apply_scaling`, by wavelength."""
  wavelength = 2 * math.pi / frequency
  if wavelength < context / high:
    return frequency
  if wavelength > context / low:
    return frequency / factor
  smooth = (context / wavelength - low) / (high - low)
  return (1 - smooth) * frequency / factor + smooth * frequency


def yarn_frequency(index, theta, size, factor, context, fast, slow):
  """YaRN's NTK-by-parts interpolation of one pair of dimensions."""
  frequency = theta ** (-2 * index / size)
  def dimension_of(turns):  # The (real-valued) index that makes so many turns.
    wavelength = context / turns
    return size / 2 * math.log(wavelength / (2 * math.pi), theta)
  low = max(math.floor(dimension_of(fast)), 0)
  high = min(math.ceil(dimension_of(slow)), size - 1)
  if index <= low:
    return frequency
  if index >= high:
    return frequency / factor
  interpolated = (index - low) / (high - low)
  return frequency * (1 - interpolated) + frequency / factor * interpolated


def alibi_slopes(heads):
  """ALiBi's slopes, recursively, as in section 3 and the released code."""
  if heads & (heads - 1) == 0:
    start = 2 ** (-8 / heads)
    return [start ** (i + 1) for i in range(heads)]
  below = 2 ** math.floor(math.log2(heads))
  return alibi_slopes(below) + alibi_slopes(2 * below)[::2][:heads - below]


def t5_bucket(distance, num_buckets, max_distance, bidirectional):
  """T5's bucket of query position minus key position.

  Boundaries are found in whole numbers: the first distance d with
  (d / exact) ** (far / 1) >= (max / exact) ** (j) opens far bucket j.
  """
  offset = 0
  if bidirectional:
    num_buckets //= 2
    if distance < 0:
      offset, distance = num_buckets, -distance
  distance = max(distance, 0)
  exact = num_buckets // 2
  if distance < exact:
    return offset + distance
  far = num_buckets - exact
  bucket = 0
  # j <= far * log(d / e) / log(m / e)  <=>  (d / e) ** far >= (m / e) ** j.
  while (bucket < far - 1 and distance ** far * exact ** (bucket + 1)
         >= max_distance ** (bucket + 1) * exact ** far):
    bucket += 1
  return offset + exact + bucket
