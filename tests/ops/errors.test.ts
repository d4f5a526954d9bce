import '../../src/autodiff/fluent.js'
import '../../src/ops/fluent.js'
import { beforeAll, describe, expect, it } from 'vitest'
import { createReferenceBackend } from '../../src/backends/reference/index.js'
import * as d from '../../src/ops/index.js'
import { Device, setDefaultDevice } from '../../src/tensor/device.js'
import { DfdtError } from '../../src/tensor/errors.js'
import type { AnyX } from './cases.js'
import { makeInputs, table } from './table.js'

const device = new Device(createReferenceBackend())
const elsewhere = new Device(createReferenceBackend())
beforeAll(() => setDefaultDevice(device))

/** What a call makes of its arguments, in a line: the error, or the tensor where the arguments are fine after all. */
function outcome(call: () => AnyX): string {
  try {
    const y = call()
    return `accepted: ${y.dtype} [${y.shape.join(', ')}]`
  } catch (error) {
    if (!(error instanceof DfdtError)) throw error
    return `${error.name}: ${error.message}`
  }
}

const zeros = (like: AnyX, options: { dtype?: string; device?: Device; extra?: number[] }): AnyX =>
  d.zeros([...like.shape, ...(options.extra ?? [])], {
    dtype: (options.dtype ?? like.dtype) as 'f32',
    device: options.device ?? device,
  })

describe('wrong arguments, for every op of the table', () => {
  const seen = new Set<string>()
  for (const { row, cases } of table) {
    const [one] = cases
    if (!one || seen.has(row.op)) continue
    seen.add(row.op)
    it(row.op, () => {
      const inputs = makeInputs(device, one, 'f32')
      const last = inputs.length - 1
      const changed = (at: number, options: Parameters<typeof zeros>[1]) => () =>
        row.call(...inputs.map((x, i) => (i === at ? zeros(x, options) : x)))
      const lines = {
        'first input bool': outcome(changed(0, { dtype: 'bool' })),
        'first input i32': outcome(changed(0, { dtype: 'i32' })),
        ...(last > 0 && {
          'last input longer': outcome(changed(last, { extra: [2] })),
          'last input f64': outcome(changed(last, { dtype: 'f64' })),
          'last input bool': outcome(changed(last, { dtype: 'bool' })),
          'last input elsewhere': outcome(changed(last, { device: elsewhere })),
        }),
        'first input a string': outcome(() => row.call('x', ...inputs.slice(1))),
      }
      if (last > 0) expect(lines['last input elsewhere']).toMatch(/^DeviceError: /)
      expect(lines['first input a string']).toMatch(/Error: /)
      expect(lines).toMatchSnapshot()
    })
  }
})

const x = () => d.zeros([2, 3]) as AnyX
const i = (values: number[]) => d.tensor(values, { dtype: 'i32' }) as AnyX
const special: Record<string, () => AnyX> = {
  'sum axis 2': () => d.sum(x(), 2),
  'sum axis 0.5': () => d.sum(x(), 0.5),
  'sum axes [0, -2]': () => d.sum(x(), [0, -2]),
  'softmax axis 5': () => d.softmax(x(), 5 as never),
  'argmax of an empty axis': () => d.argmax(d.zeros([2, 0]), 1),
  'select 3 of 3': () => d.select(x(), 1, 3),
  'select 0.5': () => d.select(x(), 1, 0.5),
  'select by indices out of range': () => d.select(x(), 1, i([0, 3])),
  'gather out of range': () => d.gather(x(), 0, i([0, -1])),
  'gather to rank 7': () => d.gather(d.zeros([1, 1, 1, 1, 1]), 0, d.zeros([1, 1, 1], { dtype: 'i32' })),
  'embedding of rank 1': () => d.embedding(i([0]), d.zeros([3]) as AnyX),
  'scatterAdd of another shape': () => d.scatterAdd(x(), 0, i([0]), d.zeros([3]) as AnyX),
  'oneHot out of range': () => d.oneHot(i([3]), 3),
  'oneHot of -1 classes': () => d.oneHot(i([3]), -1),
  'permute twice the same': () => d.permute(x(), ...([0, 0] as AnyX)),
  'reshape to 7': () => d.reshape(x(), [7] as AnyX),
  'broadcast to fewer': () => d.broadcastTo(x(), [3] as AnyX),
  'slice past the end': () => d.slice(x(), [[0, 4]] as AnyX),
  'pad by -1': () => d.pad(x(), [[-1, 0]] as AnyX),
  'pad by 0.5': () => d.pad(x(), [[0.5, 0]] as AnyX),
  'pad three axes of two': () => d.pad(x(), [null, null, [1, 1]] as AnyX),
  'concat nothing': () => d.concat([] as AnyX, 0),
  'concat of two dtypes': () => d.concat([x(), d.zeros([2, 3], { dtype: 'i32' })] as AnyX, 0),
  'concat of other sizes': () => d.concat([x(), d.zeros([3, 2])] as AnyX, 0),
  'stack of other sizes': () => d.stack([x(), d.zeros([3, 2])] as AnyX),
  'realize another size': () => d.realize(x(), [2, 4]),
  'where of a float condition': () => d.where(x(), 1, 2),
  'where of two dtypes': () => d.where(x().gt(0), x(), d.zeros([2, 3], { dtype: 'f64' }) as AnyX),
  'add two numbers': () => d.add(1, 2 as AnyX),
  'add 0.5 to i32': () => d.add(i([1]), 0.5),
  'compare bool with 2': () => d.eq(x().gt(0), 2),
  'clamp to nothing': () => d.clamp(x(), {}),
  'clamp to NaN': () => d.clamp(x(), { min: Number.NaN }),
  'dropout of 1.5': () => d.dropout(x(), { p: 1.5 }),
  'dropout of NaN': () => d.dropout(x(), { p: Number.NaN }),
  'crossEntropy of class 3 of 3': () => d.crossEntropy(x(), i([0, 3])),
  'crossEntropy with three targets for two rows': () => d.crossEntropy(x(), i([0, 1, 2]) as AnyX),
  'crossEntropy smoothed by 2': () => d.crossEntropy(x(), i([0, 1]), { labelSmoothing: 2 }),
  'crossEntropy reduced by toString': () => d.crossEntropy(x(), i([0, 1]), { reduction: 'toString' as never }),
  'mse reduced by batchmean': () => d.mse(x(), x(), { reduction: 'batchmean' as never }),
  'huber of delta 0': () => d.huber(x(), x(), { delta: 0 }),
  'layerNorm of other features': () => d.layerNorm(x(), d.ones([2]), d.zeros([2])),
  'batchNorm of rank 1': () => (d.batchNorm as AnyX)(...[0, 1, 2, 3, 4].map(() => d.ones([3]))),
  'matmul of other sizes': () => (d.matmul as AnyX)(x(), x()),
  'conv2d of rank 2': () => (d.conv2d as AnyX)(x(), d.zeros([4, 3, 3, 3])),
  'conv2d of other channels': () => (d.conv2d as AnyX)(d.zeros([2, 4, 8, 8]), d.zeros([4, 3, 3, 3])),
  'conv2d by a weight of rank 3': () => (d.conv2d as AnyX)(d.zeros([2, 3, 8, 8]), d.zeros([3, 3, 3])),
  'conv2d by a window larger than the image': () => (d.conv2d as AnyX)(d.zeros([3, 8, 4]), d.zeros([4, 3, 5, 5])),
  'conv2d in groups that do not divide': () =>
    (d.conv2d as AnyX)(d.zeros([4, 8, 8]), d.zeros([5, 2, 3, 3]), undefined, { groups: 2 }),
  'conv2d with stride 0': () => (d.conv2d as AnyX)(d.zeros([3, 8, 8]), d.zeros([4, 3, 3, 3]), undefined, { stride: 0 }),
  'conv2d with padding 0.5': () =>
    (d.conv2d as AnyX)(d.zeros([3, 8, 8]), d.zeros([4, 3, 3, 3]), undefined, { padding: 0.5 }),
  'conv2d with another bias': () => (d.conv2d as AnyX)(d.zeros([3, 8, 8]), d.zeros([4, 3, 3, 3]), d.zeros([3])),
  'maxPool2d of rank 2': () => (d.maxPool2d as AnyX)(x(), 2),
  'maxPool2d of a small image': () => (d.maxPool2d as AnyX)(d.zeros([1, 2, 8]), 3),
  'maxPool2d of 0': () => (d.maxPool2d as AnyX)(d.zeros([1, 8, 8]), 0),
  'avgPool2d with more padding than half a window': () => (d.avgPool2d as AnyX)(d.zeros([1, 8, 8]), 3, { padding: 2 }),
  'avgPoolGlobal of rank 1': () => (d.avgPoolGlobal as AnyX)(d.zeros([3])),
  'flatten2d of rank 2': () => (d.flatten2d as AnyX)(x()),
  'a ragged literal': () => (d.tensor as AnyX)([[1, 2], [3]]),
  'an array that does not fill its shape': () => d.tensor(Float32Array.of(1, 2, 3), [2, 2]),
  'zeros of -1': () => d.zeros([-1]),
  'zeros of rank 7': () => d.zeros([1, 1, 1, 1, 1, 1, 1]),
  'arange with step 0': () => d.arange(3, { step: 0 }),
  'arange away from the end': () => d.arange(3, { step: -1 }),
  'linspace of 2.5': () => d.linspace(0, 1, 2.5),
  'eye of -1': () => d.eye(-1),
  'normal of NaN': () => d.normal([Number.NaN]),
}

describe('arguments with nothing to say about', () => {
  for (const [name, call] of Object.entries(special)) {
    it(name, () => {
      const line = outcome(call)
      expect(line).toMatch(/^(Shape|DType|Device|Option|Gradient)Error: /)
      expect(line).toMatchSnapshot()
    })
  }
})
