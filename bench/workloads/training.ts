/** Training steps: forward, loss, backward, Adam and, where the name says so, a teacher that follows. */
import { compile, crossEntropy, scope, type Tensor, tensor, uniform } from 'dfdt'
import { clone, conv2d, flatten2d, linear, maxPool2d, relu, sequential } from 'dfdt/nn'
import { adam } from 'dfdt/optim'
import { ema, update } from 'dfdt/update'
import type { Workload } from './workload.js'

export type Images = Tensor<[number, number]>
export type Labels = Tensor<[number], 'i32'>
type Step = (x: Images, y: Labels) => Tensor<[], 'f32', 'taped'>

export const digitNet = () =>
  sequential(linear(784, 512), relu(), linear(512, 128), relu(), linear(128, 32), relu(), linear(32, 10))

/** Images and labels that stay on the device. */
export function resident(batch: number, features: number, classes: number) {
  const labels = (shift: number) => Int32Array.from({ length: batch }, (_, i) => (i * 7 + shift * 3) % classes)
  return {
    // Eight batches of images against seven of labels: nothing can be learnt by heart, so gradients keep their size
    // however long the bench runs, and no step gets slower by denormals.
    images: Array.from({ length: 8 }, () => uniform([batch, features])),
    labels: Array.from({ length: 7 }, (_, shift) => tensor(labels(shift), [batch])),
  }
}

/** The step on its resident batches in turn; the loss is computed and not read. */
function running(step: Step, { images, labels }: ReturnType<typeof resident>, eager: boolean): () => void {
  const run = eager ? (x: Images, y: Labels) => scope(() => step(x, y)) : compile(step)
  let turn = 0
  return () => {
    const x = images[turn % images.length]
    const y = labels[turn % labels.length]
    turn++
    if (x && y) run(x, y).dispose()
  }
}

function mlp(batch: number, eager: boolean, followed: boolean): () => void {
  const student = digitNet()
  const optimizer = adam(student, { lr: 1e-3 })
  const teacher = clone(student)
  const rule = ema({ decay: 0.999 })
  const step: Step = (x, y) => {
    const loss = crossEntropy(student.forward(x.realize([batch, 784]).trace()), y)
    optimizer.step(loss.backward())
    if (followed) update({ target: teacher, source: student }, rule)
    return loss
  }
  return running(step, resident(batch, 784, 10), eager)
}

function tiny(batch: number, eager: boolean): () => void {
  const model = sequential(linear(4, 64), relu(), linear(64, 64), relu(), linear(64, 2))
  const optimizer = adam(model, { lr: 1e-3 })
  const step: Step = (x, y) => {
    const loss = crossEntropy(model.forward(x.realize([batch, 4]).trace()), y)
    optimizer.step(loss.backward())
    return loss
  }
  return running(step, resident(batch, 4, 2), eager)
}

function conv(batch: number, eager: boolean): () => void {
  const model = sequential(
    ...([conv2d(1, 16, 3, { padding: 1 }), relu(), maxPool2d(2)] as const),
    ...([conv2d(16, 32, 3, { padding: 1 }), relu(), maxPool2d(2)] as const),
    ...([flatten2d(), linear(1568, 10)] as const),
  )
  const optimizer = adam(model, { lr: 1e-3 })
  const step: Step = (x, y) => {
    const loss = crossEntropy(model.forward(x.realize([batch, 784]).reshape([batch, 1, 28, 28]).trace()), y)
    optimizer.step(loss.backward())
    return loss
  }
  return running(step, resident(batch, 784, 10), eager)
}

const row = (name: string, prepare: (eager: boolean) => () => void): Workload => ({
  name,
  unit: 'steps/s',
  work: 1,
  prepare: ({ eager }) => prepare(eager),
})

export const trainingWorkloads: readonly Workload[] = [
  row('mlp-32', (eager) => mlp(32, eager, false)),
  row('mlp-32-ema', (eager) => mlp(32, eager, true)),
  row('mlp-256', (eager) => mlp(256, eager, false)),
  row('mlp-256-ema', (eager) => mlp(256, eager, true)),
  row('conv-32', (eager) => conv(32, eager)),
  row('tiny-32', (eager) => tiny(32, eager)),
]
