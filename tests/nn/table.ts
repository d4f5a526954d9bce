import { concat, type Tensor } from 'dfdt'
import {
  addInto,
  avgPool2d,
  avgPoolGlobal,
  batchNorm1d,
  batchNorm2d,
  conv2d,
  dropout,
  embedding,
  flatten,
  flatten2d,
  gelu,
  layerNorm,
  leakyRelu,
  linear,
  maxPool2d,
  maxPoolGlobal,
  relu,
  repeated,
  residual,
  sequential,
  sigmoid,
  softplus,
  splitInto,
  tanh,
} from 'dfdt/nn'

export type FloatDType = 'f32' | 'f64'
export type AnyTaped = Tensor<number[], FloatDType, 'taped'>

/** Every layer: how to make the one that each golden case (tools/golden/nn.py) describes, by the case's name. */
export const layers: Record<string, Record<string, (dtype: FloatDType) => object>> = {
  addInto: { addInto: () => addInto(linear(4, 2), sequential(linear(4, 3), tanh(), linear(3, 2))) },
  avgPool2d: {
    avgPool2d: () => avgPool2d(2),
    'avgPool2d, overlapping': () => avgPool2d(3, { stride: 2, padding: 1 }),
    'avgPool2d, padding not counted': () => avgPool2d(3, { stride: 2, padding: 1, countIncludePad: false }),
  },
  avgPoolGlobal: { avgPoolGlobal },
  batchNorm1d: {
    batchNorm1d: (dtype) => batchNorm1d(3, { dtype }),
    'batchNorm1d of rank 3': () => batchNorm1d(3),
    'batchNorm1d of one item of many': () => batchNorm1d(3),
    'batchNorm1d with eps and momentum': () => batchNorm1d(3, { eps: 0.1, momentum: 0.5 }),
    'batchNorm1d never trained': () => batchNorm1d(3),
  },
  batchNorm2d: {
    batchNorm2d: (dtype) => batchNorm2d(3, { dtype }),
    'batchNorm2d with eps and momentum': () => batchNorm2d(3, { eps: 0.1, momentum: 0.5 }),
  },
  conv2d: {
    conv2d: (dtype) => conv2d(3, 4, 3, { dtype }),
    'conv2d with stride and padding': () => conv2d(2, 3, 3, { stride: 2, padding: 1 }),
    'conv2d with dilation': () => conv2d(2, 3, 3, { padding: 2, dilation: 2 }),
    'conv2d in groups': () => conv2d(4, 6, 3, { padding: 1, groups: 2 }),
    'conv2d without bias': () => conv2d(2, 3, 1, { bias: false }),
    'conv2d of one image': () => conv2d(2, 3, 3),
  },
  dropout: { 'dropout in evaluation': () => dropout(0.5) },
  embedding: { embedding: () => embedding(5, 3) },
  flatten: { flatten },
  flatten2d: { flatten2d },
  gelu: { gelu: () => gelu(), 'gelu tanh': () => gelu({ approximate: 'tanh' }) },
  layerNorm: {
    layerNorm: (dtype) => layerNorm(5, { dtype }),
    'layerNorm of a vector': () => layerNorm(5),
    'layerNorm of rank 3, eps': () => layerNorm(5, { eps: 0.1 }),
  },
  leakyRelu: { leakyRelu: () => leakyRelu(), 'leakyRelu 0.2': () => leakyRelu(0.2) },
  linear: {
    linear: (dtype) => linear(4, 3, { dtype }),
    'linear of a vector': () => linear(4, 3),
    'linear of rank 3': () => linear(4, 3),
    'linear without bias': () => linear(4, 3, { bias: false }),
  },
  maxPool2d: { maxPool2d: () => maxPool2d(2), 'maxPool2d, overlapping': () => maxPool2d(3, { stride: 2, padding: 1 }) },
  maxPoolGlobal: { maxPoolGlobal },
  relu: { relu },
  repeated: { repeated: () => repeated(2, () => linear(4, 4)) },
  residual: { residual: () => residual(sequential(linear(4, 4), tanh())) },
  sequential: {
    sequential: () => sequential(linear(4, 6), batchNorm1d(6), relu(), linear(6, 2)),
    'sequential of images': () =>
      sequential(
        ...[conv2d(2, 4, 3, { padding: 1, bias: false }), batchNorm2d(4), relu(), maxPool2d(2)],
        ...[flatten2d(), linear(36, 3)],
      ),
  },
  sigmoid: { sigmoid },
  softplus: { softplus },
  splitInto: { splitInto: () => splitInto(linear(4, 2), linear(4, 3)) },
  tanh: { tanh },
}

/** What a layer gives, as one tensor: the branches of `splitInto` side by side, as the golden case has them. */
export function forwardOf(layer: object, x: AnyTaped): AnyTaped {
  const y = (layer as { forward(x: AnyTaped): AnyTaped | AnyTaped[] }).forward(x)
  return Array.isArray(y) ? (concat(y as never, -1) as unknown as AnyTaped) : y
}
