import {
  checkpoint,
  compile,
  type Gradients,
  manualSeed,
  normal,
  setDefaultDevice,
  ShapeError,
  type Tensor,
} from 'dfdt'
import { dropout, gelu, linear, sequential, tanh } from 'dfdt/nn'
import { beforeEach, describe, expect, test } from 'vitest'
import { devices } from '../devices.js'

/** Kilobytes of the arena, as explain() says them. */
const arenaOf = (text: string): number => {
  const [, size, unit] = /arena ([\d.]+) (k|M)B/.exec(text) ?? []
  return Number(size) * (unit === 'M' ? 1000 : 1)
}

describe.each(devices)('checkpoint on $name', ({ make }) => {
  beforeEach(() => setDefaultDevice(make()))

  function network() {
    manualSeed(3)
    const first = linear(8, 64)
    const block = sequential(tanh(), linear(64, 64), gelu(), dropout(0.3), linear(64, 64), tanh())
    const last = linear(64, 1)
    const parameters = [first.weight, block.layers[1].weight, block.layers[1].bias, block.layers[4].weight, last.weight]
    const loss = (x: Tensor<[16, 8]>, checkpointed: boolean) => {
      const hidden = first.forward(x.trace())
      const inner = checkpointed ? checkpoint((h) => block.forward(h), hidden) : block.forward(hidden)
      return last.forward(inner).square().mean()
    }
    const values = (gradients: Gradients) =>
      parameters.map((parameter) => gradients.get(parameter as unknown as Tensor<number[]>).arraySync())
    return { loss, values, parameters }
  }

  const run = (checkpointed: boolean) => {
    const { loss, values } = network()
    const x = normal([16, 8])
    const y = loss(x, checkpointed)
    const gradients = y.backward()
    return { loss: y.itemSync(), gradients: values(gradients), input: gradients.get(x).arraySync() }
  }

  test('gives the same bits, also through dropout, for parameters and inputs', () => {
    expect(run(true)).toEqual(run(false))
  })

  test('leaves no memory behind', () => {
    const { loss } = network()
    const x = normal([16, 8])
    const used: number[] = []
    for (let i = 0; i < 6; i++) {
      loss(x, true).backward().dispose()
      used.push(x.device.memory().used)
    }
    expect(new Set(used.slice(1)).size).toBe(1)
  })

  test('keeps less between forward and backward', () => {
    const { loss } = network()
    const x = normal([16, 8])
    const held = [false, true].map((checkpointed) => {
      const before = x.device.memory().used
      const y = loss(x, checkpointed)
      const during = x.device.memory().used - before
      y.backward().dispose()
      return during
    })
    expect(held[1]).toBeLessThan((held[0] ?? 0) / 2)
  })

  test('is a plain call on an untaped input, and when nothing is taped inside', () => {
    const x = normal([2, 3])
    expect(checkpoint((h: Tensor<[2, 3]>) => h.tanh(), x).tape).toBe('none')
  })

  test('wants one tensor', () => {
    const x = normal([2, 3]).trace()
    // @ts-expect-error an array of tensors
    expect(() => checkpoint((h) => [h], x)).toThrow(ShapeError)
  })

  test('inside compile: the same bits, and with several blocks a smaller arena', () => {
    const train = (checkpointed: boolean) => {
      manualSeed(4)
      const blocks = [0, 1, 2, 3, 4, 5].map(() =>
        sequential(linear(32, 32), gelu(), dropout(0.2), linear(32, 32), tanh()),
      )
      const step = compile((x: Tensor<[64, 32]>) => {
        let hidden: Tensor<[64, 32], 'f32', 'taped'> = x.trace()
        for (const block of blocks)
          hidden = checkpointed ? checkpoint((h) => block.forward(h), hidden) : block.forward(hidden)
        const loss = hidden.square().mean()
        const gradients = loss.backward()
        return { loss, gradients: blocks.map((block) => gradients.get(block.layers[0].weight)) }
      })
      const { loss, gradients } = step(normal([64, 32]))
      const values = [loss.itemSync(), ...gradients.map((gradient) => gradient.arraySync())]
      return { values, arena: arenaOf(step.explain()) }
    }
    const [plain, checkpointed] = [train(false), train(true)]
    expect(checkpointed.values).toEqual(plain.values)
    expect(checkpointed.arena).toBeLessThan(plain.arena * 0.8)
  })
})
