import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { clone } from '../../src/model/clone.js'
import { tensorsOf } from '../../src/model/walk.js'
import {
  avgPool2d,
  avgPoolGlobal,
  batchNorm2d,
  conv2d,
  flatten2d,
  linear,
  maxPool2d,
  relu,
  residual,
  sequential,
} from '../../src/nn/index.js'
import { crossEntropy, tensor } from '../../src/ops/index.js'
import { adam } from '../../src/optim/index.js'
import { compile } from '../../src/program/compile.js'
import { manualSeed, setDefaultDevice } from '../../src/tensor/device.js'
import { Random } from '../../src/testing/conformance/random.js'
import { ema, update } from '../../src/update/index.js'
import type { AnyX } from '../ops/cases.js'
import { bitsOf } from './bits.js'
import { targets } from './targets.js'

const same = { padding: 1 } as const
const models: Record<string, () => AnyX> = {
  'two convolutions with pooling': () =>
    sequential(
      ...[conv2d(2, 5, 3, same), relu(), maxPool2d(2)],
      ...[conv2d(5, 7, 3, same), relu(), maxPool2d(2), flatten2d(), linear(7 * 3 * 4, 3)],
    ),
  'strides, groups, dilation and points': () =>
    sequential(
      ...[conv2d(2, 8, 3, { stride: 2, padding: 1, bias: false }), batchNorm2d(8), relu()],
      ...[residual(sequential(conv2d(8, 8, 3, { padding: 1, groups: 8 }), relu(), conv2d(8, 8, 1)))],
      ...[conv2d(8, 6, 3, { padding: 2, dilation: 2 }), relu(), avgPool2d(2), avgPoolGlobal(), linear(6, 3)],
    ),
}

/** Some steps of training with a follower: losses, and everything that training changes. */
function train(make: () => AnyX, wrap: (step: (x: AnyX, y: AnyX) => AnyX) => (x: AnyX, y: AnyX) => AnyX): unknown {
  manualSeed(7)
  const student = make()
  const teacher = clone(student)
  const optimizer: AnyX = adam(student, { lr: 0.01 })
  const step = wrap((x, y) => {
    const loss: AnyX = crossEntropy(student.forward(x.trace()), y)
    optimizer.step(loss.backward())
    update({ target: teacher, source: student } as AnyX, ema({ decay: 0.9 }), { buffers: 'blend' })
    return loss
  })
  const random = new Random(5)
  const losses = Array.from({ length: 4 }, () => {
    const pixels = Float32Array.from({ length: 6 * 2 * 12 * 16 }, () => random.between(-1, 1))
    const labels = Int32Array.from({ length: 6 }, () => random.whole(0, 2))
    return step(tensor(pixels, [6, 2, 12, 16]), tensor(labels, [6])).itemSync() as number
  })
  const tensors = [student, teacher].flatMap((model) => tensorsOf(model).map(({ tensor: t }) => t))
  return { losses, state: bitsOf(tensors) }
}

const trained = new Map<string, unknown>()
for (const { name: on, make: makeDevice } of targets) {
  describe(`models of images on ${on}`, () => {
    const device = makeDevice()
    beforeAll(() => setDefaultDevice(device))
    afterAll(() => device.close())
    for (const [name, make] of Object.entries(models)) {
      it(`compiled training = eager training: ${name}`, () => {
        const eager = train(make, (step) => step)
        expect(train(make, (step) => compile(step) as typeof step)).toEqual(eager)
        trained.set(`${name} on ${on}`, eager)
      })
    }
  })
}

it('the number of threads changes no bit', () => {
  for (const name of Object.keys(models)) {
    expect(trained.get(`${name} on wasm, 2 threads`)).toEqual(trained.get(`${name} on wasm, 1 thread`))
  }
})
