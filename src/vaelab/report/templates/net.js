"use strict";
// Runs in a worker, one for each model: the encoder to mu and the decoder to the mean image, as
// report/export.py writes them. An image is (H, W, C) with its channels last, a weight has its
// output channels last.

let net;

const LIKELIHOOD_MEANS = {
  bernoulli: sigmoid,
  gaussian: sigmoid,
  discretized_logistic: sigmoid,
  continuous_bernoulli: (raw) =>
    Math.abs(raw) < 0.3
      ? 0.5 + raw * (1 / 12 - (raw * raw) / 720)
      : 0.5 + 0.5 / Math.tanh(raw / 2) - 1 / raw,
};

function sigmoid(x) {
  return 1 / (1 + Math.exp(-x));
}

// out[o...] += x[i...] times the rows of `weight` from w on: as many as there are inputs, each as
// long as there are outputs. Four rows at a time: every sum is then read and written less often.
function accumulate(out, o, outputs, x, i, inputs, weight, w) {
  let c = 0;
  for (; c + 4 <= inputs; c += 4) {
    const [x0, x1, x2, x3] = [x[i + c], x[i + c + 1], x[i + c + 2], x[i + c + 3]];
    const w0 = w + c * outputs, w1 = w0 + outputs, w2 = w1 + outputs, w3 = w2 + outputs;
    for (let j = 0; j < outputs; j++) {
      out[o + j] +=
        x0 * weight[w0 + j] + x1 * weight[w1 + j] + x2 * weight[w2 + j] + x3 * weight[w3 + j];
    }
  }
  for (; c < inputs; c++) {
    for (let j = 0; j < outputs; j++) out[o + j] += x[i + c] * weight[w + c * outputs + j];
  }
}

// For each row of the output the [row of the input, row of the kernel] that it is a sum of; the
// same for columns. `up`: a transposed convolution.
function taps({ kernel, stride, padding, up, from, edge, to }) {
  return Array.from({ length: to }, (_, o) =>
    Array.from({ length: kernel }, (_, k) => [
      up ? (o + padding - k) / stride : o * stride + k - padding,
      k,
    ])
      .filter(([i]) => Number.isInteger(i) && i >= 0 && i < from + edge)
      .map(([i, k]) => [Math.min(i, from - 1), k]),
  );
}

const OPERATIONS = {
  silu: (x) => x.map((value) => value * sigmoid(value)),

  norm(x, op) {
    let mean = 0, variance = 0;
    for (const value of x) mean += value / x.length;
    for (const value of x) variance += (value - mean) ** 2 / x.length;
    const scale = 1 / Math.sqrt(variance + op.eps);
    return x.map((value, i) => (value - mean) * scale * op.weight[i] + op.bias[i]);
  },

  linear(x, op) {
    const out = op.bias.slice();
    accumulate(out, 0, out.length, x, 0, x.length, op.weight, 0);
    return out;
  },

  residual(x, op) {
    const branch = run(op.ops, x);
    return x.map((value, i) => value + branch[i]);
  },

  conv(x, op) {
    const { from, to, inputs, outputs, kernel, weight } = op;
    const out = new Float32Array(to * to * outputs);
    for (let row = 0, o = 0; row < to; row++) {
      for (let column = 0; column < to; column++, o += outputs) {
        out.set(op.bias, o);
        for (const [y, ky] of op.taps[row]) {
          for (const [x_, kx] of op.taps[column]) {
            const w = (ky * kernel + kx) * inputs * outputs;
            accumulate(out, o, outputs, x, (y * from + x_) * inputs, inputs, weight, w);
          }
        }
      }
    }
    return out;
  },
};

function run(ops, x) {
  return ops.reduce((value, op) => OPERATIONS[op.op](value, op), x);
}

function prepare(op) {
  if (op.op === "conv") op.taps = taps(op);
  op.ops?.forEach(prepare);
}

function decode(z) {
  return run(net.decoder, z).map(LIKELIHOOD_MEANS[net.likelihood]);
}

function encode(image) {
  return run(net.encoder, image.map((value) => 4 * value - 2));
}

// {net}: once, at first. Then {id, decode: z} or {id, encode: image}; the answer is {id, values,
// milliseconds}, values a Float32Array.
self.onmessage = ({ data }) => {
  if (data.net) {
    net = data.net;
    [...net.encoder, ...net.decoder].forEach(prepare);
    return;
  }
  const start = performance.now();
  const values = data.decode ? decode(data.decode) : encode(data.encode);
  const milliseconds = performance.now() - start;
  self.postMessage({ id: data.id, values, milliseconds }, [values.buffer]);
};
