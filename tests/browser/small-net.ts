// A small net trained 50 steps while its teacher follows, by name of the library only: this file runs in Node and in a page.
import { compile, crossEntropy, manualSeed, normal, setDefaultDevice, type Tensor, wasmDevice } from 'dfdt'
import { clone, linear, relu, sequential } from 'dfdt/nn'
import { adam } from 'dfdt/optim'
import { ema, update } from 'dfdt/update'

const steps = 50

/** The losses of all steps, and what student and teacher then say about the last batch. */
export interface Training {
  readonly mode: string
  readonly losses: readonly number[]
  readonly student: readonly number[]
  readonly teacher: readonly number[]
}

/** One thread and no fused multiply-add, so that every engine computes the same bits. */
export async function train(compiled: boolean): Promise<Training> {
  const device = wasmDevice({ mode: 'plain', threads: 1 })
  setDefaultDevice(device)
  manualSeed(5)
  const student = sequential(linear(12, 24), relu(), linear(24, 4))
  const teacher = clone(student)
  const optimizer = adam(student, { lr: 1e-2 })
  const rule = ema({ decay: 0.9 })
  const body = (x: Tensor<[16, 12]>, y: Tensor<[16], 'i32'>) => {
    const loss = crossEntropy(student.forward(x.trace()), y)
    optimizer.step(loss.backward())
    update({ target: teacher, source: student }, rule)
    return loss
  }
  const step = compiled ? compile(body) : body
  // The class is the largest of the first four numbers, which 50 steps can begin to learn.
  const make = () => {
    const x = normal([16, 12])
    return { x, y: x.slice([null, [0, 4]]).argmax(1) }
  }
  const losses: number[] = []
  for (let i = 0; i < steps; i++) {
    const { x, y } = make()
    losses.push(await step(x, y).item())
  }
  const { x } = make()
  const [seen, followed] = [student.forward(x), teacher.forward(x)]
  const mode = device.backend.description
  return { mode, losses, student: [...(await seen.data())], teacher: [...(await followed.data())] }
}
