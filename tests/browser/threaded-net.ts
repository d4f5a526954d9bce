// Trainings that are worth several threads, by name of the library only: this file runs in Node and in a page.
import {
  compile,
  crossEntropy,
  type Device,
  f32,
  i32,
  manualSeed,
  setDefaultDevice,
  type Tensor,
  wasmDevice,
} from 'dfdt'
import { saveModel } from 'dfdt/io'
import { clone, linear, relu, sequential } from 'dfdt/nn'
import { adam } from 'dfdt/optim'
import { ema, update } from 'dfdt/update'

const batch = 128

/** Numbers that look random and are the same everywhere. */
function data(step: number): { readonly x: Float32Array; readonly y: Int32Array } {
  const x = Float32Array.from({ length: batch * 256 }, (_, i) => (((i + step * 977) * 7919) % 1013) / 500 - 1)
  const y = Int32Array.from({ length: batch }, (_, i) => ((i + step) * 31) % 10)
  return { x, y }
}

/** A compiled step of some 20 ms on one thread, with a teacher that follows. */
export function makeStep(device: Device) {
  setDefaultDevice(device)
  manualSeed(7)
  const student = sequential(linear(256, 1024), relu(), linear(1024, 512), relu(), linear(512, 10))
  const teacher = clone(student)
  const optimizer = adam(student, { lr: 1e-3 })
  const step = compile([f32(batch, 256), i32(batch)], (x: Tensor<[128, 256]>, y: Tensor<[128], 'i32'>) => {
    const loss = crossEntropy(student.forward(x.trace()), y)
    optimizer.step(loss.backward())
    update({ target: teacher, source: student }, ema({ decay: 0.9 }))
    return loss
  })
  return { student, teacher, optimizer, step, data }
}

/** Losses and a digest of the teacher after some steps; with `ahead`, all are given before the first is read. */
export async function train(device: Device, steps: number, ahead: boolean) {
  const { step, teacher } = makeStep(device)
  const given: Tensor<[]>[] = []
  const losses: number[] = []
  // The caller may use its arrays again at once.
  const { x, y } = data(0)
  for (let i = 0; i < steps; i++) {
    const next = data(i)
    x.set(next.x)
    y.set(next.y)
    const loss = step(x, y)
    if (ahead) given.push(loss)
    else losses.push(await loss.item())
  }
  for (const loss of given) losses.push(await loss.item())
  const file = await saveModel(teacher)
  return { losses, teacher: file.reduce((hash, byte) => (Math.imul(hash, 31) + byte) | 0, 7) }
}

/** One thread without fused multiply-add: every engine computes the same bits. */
export const alone = () => wasmDevice({ mode: 'plain', threads: 1 })
