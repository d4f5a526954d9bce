/** How long the first loss takes to come: in a fresh process, with the device and the model there and nothing else. */
import { compile, crossEntropy, type Tensor, tensor } from 'dfdt'
import { adam } from 'dfdt/optim'
import { digitNet } from './training.js'
import type { Workload } from './workload.js'

export const firstStep: Workload = {
  name: 'first-step',
  unit: 'steps/s',
  work: 1,
  fresh: true,
  prepare: ({ eager }) => {
    const model = digitNet()
    const images = Float32Array.from({ length: 32 * 784 }, (_, i) => ((i * 2654435761) % 256) / 256)
    const labels = Int32Array.from({ length: 32 }, (_, i) => i % 10)
    return () => {
      const optimizer = adam(model, { lr: 1e-3 })
      const body = (x: Tensor<[32, 784]>, y: Tensor<[32], 'i32'>) => {
        const loss = crossEntropy(model.forward(x.trace()), y)
        optimizer.step(loss.backward())
        return loss
      }
      const step = eager ? body : compile(body)
      step(tensor(images, [32, 784]), tensor(labels, [32])).itemSync()
    }
  },
}
