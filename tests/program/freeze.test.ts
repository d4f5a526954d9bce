import { compile, ones, setDefaultDevice } from 'dfdt'
import { freeze, linear, unfreeze } from 'dfdt/nn'
import { sgd } from 'dfdt/optim'
import { beforeEach, describe, expect, test } from 'vitest'
import { devices } from '../devices.js'

describe.each(devices)('freezing a compiled model on $name', ({ make }) => {
  beforeEach(() => setDefaultDevice(make()))

  test('takes effect in the next step, and so does unfreezing', () => {
    const model = linear(2, 1)
    const optimizer = sgd(model, { lr: 0.1 })
    const x = ones([4, 2])
    const step = compile(() => {
      const loss = model.forward(x.trace()).square().mean()
      optimizer.step(loss.backward())
      return loss
    })
    const moved = (): [weight: boolean, bias: boolean] => {
      const before = [model.weight.dataSync().join(), model.bias.dataSync().join()]
      step().itemSync()
      return [before[0] !== model.weight.dataSync().join(), before[1] !== model.bias.dataSync().join()]
    }
    expect(moved()).toEqual([true, true])
    freeze(model, 'weight')
    expect(moved()).toEqual([false, true])
    unfreeze(model)
    expect(moved()).toEqual([true, true])
    // Freezing back and forth, as GANs do, captures each state once.
    expect(step.programs).toBe(2)
    expect(optimizer.steps).toBe(3)
  })
})
