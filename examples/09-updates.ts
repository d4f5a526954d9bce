// One model learning from another: rates, walks, rules of your own, parts, conditions, memory.
import { compile, manualSeed, minimum, mse, normal, type Tensor, tensor } from 'dfdt'
import { loadCheckpoint, saveCheckpoint } from 'dfdt/io'
import { assign, buffer, clone, freeze, linear, namedParameters, sequential, tanh, zipParameters } from 'dfdt/nn'
import { adam } from 'dfdt/optim'
import { copy, defineRule, ema, follow, schedules, swa, update } from 'dfdt/update'

class Net {
  readonly encoder = sequential(linear(2, 32), tanh())
  readonly head = linear(32, 1)
  forward(x: Tensor<[64, 2], 'f32', 'taped'>) {
    return this.head.forward(this.encoder.forward(x))
  }
}
manualSeed(5)
const model = new Net()
const optimizer = adam(model, { lr: 0.05 })
const error = (net: Net, x: Tensor<[64, 2]>) => mse(net.forward(x.trace()), x.square().sum(1).reshape([64, 1]))

// 1. An average, at a rate named by decay, tau, halfLife or timeConstant, constant or by schedule.
const teacher = follow(model, ema({ halfLife: 50 }))
const warmed = follow(model, ema({ decay: schedules.warmUp(0.99) }))

// 3. A rule of your own: no element moves by more than `reach` in one update.
const within = (reach: number) =>
  defineRule({
    name: 'within',
    scalars: { reach },
    next: ({ target, source }, s) => ({ target: source.sub(target).max(s.reach.neg()).min(s.reach).add(target) }),
  })
const careful = clone(model)

// 4. Parts of a model: the encoder follows, without its biases; the head stays as it was.
const probe = follow(model, ema({ tau: 0.1 }), { only: ['encoder.*'], except: ['*.bias'] })

// 5. Conditions: of the training, asked by the host (after step 200, each tenth, while the loss is low) …
const late = follow(model, swa(), { after: 200, every: 10, when: ({ last }) => (last.loss ?? 1) < 0.1 })
// … and of this very step, decided inside the program: the weights of the lowest loss so far.
const best = clone(model)
const lowest = buffer(tensor(1e9))

const step = compile((x: Tensor<[64, 2]>) => {
  const loss = error(model, x)
  update({ target: best, source: model }, copy(), { if: loss.lt(lowest) })
  assign(lowest, minimum(lowest, loss.detach()))
  optimizer.step(loss.backward())
  for (const shadow of [teacher, warmed, probe, late]) shadow.update()
  update({ target: careful, source: model }, within(1e-3))
  return loss
})
const train = async (steps: number) => {
  for (let i = 0; i < steps; i++) {
    const x = normal([64, 2])
    late.observe({ loss: await step(x).item() })
    x.dispose()
  }
}
await train(10)
const { device } = model.head.weight
const { used } = device.memory()
await train(590)
console.log('lowest loss', (await lowest.item()).toFixed(4), 'updates of late', late.updates)
console.log('memory that 590 steps of seven models took:', device.memory().used - used, 'bytes')

// What happens to each tensor, and why.
console.log(probe.explain())

// 2. The walk: every tensor with its path; here zipped over three models.
for (const [a, b, c] of zipParameters(model, teacher.model, careful)) {
  const far = (t: typeof a.tensor) => a.tensor.sub(t).abs().max().itemSync().toFixed(4)
  console.log(a.path.padEnd(16), `[${a.tensor.shape}]`.padEnd(7), 'teacher', far(b.tensor), 'careful', far(c.tensor))
}
console.log(
  namedParameters(model).reduce((sum, { tensor: { size } }) => sum + size, 0),
  'numbers are trained',
)

// Evaluate with the average: pointers change places, and change back.
const held = Array.from({ length: 20 }, () => normal([64, 2]))
const mean = (net: Net) => held.reduce((sum, x) => sum + error(net, x).itemSync(), 0) / held.length
console.log('error of the model', mean(model).toFixed(4), 'of its average', teacher.evaluateWith(mean).toFixed(4))

// 6. Lazy: what does not change costs nothing. The frozen encoder is only counted, until somebody looks.
freeze(model, 'encoder.*')
const lazy = follow(model, ema({ decay: 0.99 }), { lazy: true })
for (let i = 0; i < 5; i++) {
  optimizer.step(error(model, normal([64, 2])).backward())
  lazy.update()
}
const { pending } = await lazy.state()
console.log('updates put off, tensor by tensor:', pending.map(({ count }) => count).join(' '))

// A checkpoint holds averages with their counters and what they have put off: going on is bit for bit the same.
const file = await saveCheckpoint({ model, optimizer, teacher, lazy, device })
const go = async () => {
  await train(3)
  return teacher.model.head.bias.item()
}
const first = await go()
loadCheckpoint({ model, optimizer, teacher, lazy, device }, file)
console.log('went on as before:', Object.is(await go(), first))
