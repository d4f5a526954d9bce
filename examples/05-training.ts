// A training loop: two interleaved half-circles, an MLP, Adam. No memory API: backward and step release what they used.
import { bceWithLogits, manualSeed, scope, tensor } from 'dfdt'
import { linear, sequential, tanh } from 'dfdt/nn'
import { adam } from 'dfdt/optim'

manualSeed(1)
const points = Array.from({ length: 200 }, (_, i) => {
  const angle = (Math.PI * (i >> 1)) / 100
  return i % 2 === 0 ? [Math.cos(angle), Math.sin(angle)] : [1 - Math.cos(angle), 0.5 - Math.sin(angle)]
})
const x = tensor(points.flat(), { dtype: 'f32' }).reshape([200, 2])
const y = tensor(points.map((_, i) => i % 2)).reshape([200, 1])

const model = sequential(linear(2, 32), tanh(), linear(32, 32), tanh(), linear(32, 1))
const optimizer = adam(model, { lr: 1e-2 })
for (let step = 1; step <= 300; step++) {
  const loss = bceWithLogits(model.forward(x.trace()), y)
  optimizer.step(loss.backward())
  if (step % 100 === 0) console.log(step, (await loss.item()).toFixed(4))
}
const right = scope(() => model.forward(x).gt(0).to('f32').eq(y).to('f32').mean())
console.log('accuracy', await right.item())
