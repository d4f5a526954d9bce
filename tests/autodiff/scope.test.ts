import { type Device, layerNorm, logSoftmax, ones, scope, setDefaultDevice, type Tensor, tensor, zeros } from 'dfdt'
import { linear, parameter, relu, sequential } from 'dfdt/nn'
import { sgd } from 'dfdt/optim'
import { beforeEach, describe, expect, test } from 'vitest'
import { DisposedError, OptionError } from '../../src/tensor/errors.js'
import { devices } from '../devices.js'

describe.each(devices)('scope on $name', ({ make }) => {
  let device: Device
  beforeEach(() => {
    device = make()
    setDefaultDevice(device)
  })

  /** Bytes in use after `run`, minus those before. */
  const growth = (run: () => void): number => {
    const { used } = device.memory()
    run()
    return device.memory().used - used
  }
  const bytes = (elements: number) => growth(() => void tensor(Array.from({ length: elements }, () => 0)))

  test('releases what was made in it, and keeps what it returns', () => {
    let inner: Tensor<[3]> | undefined
    let result: Tensor<[3]> | undefined
    const x = tensor([1, 2, 3])
    const grown = growth(() => {
      result = scope(() => {
        inner = x.mul(2)
        return inner.add(1)
      })
    })
    expect(result?.arraySync()).toEqual([3, 5, 7])
    expect(() => inner?.dataSync()).toThrow(DisposedError)
    expect(() => inner?.dataSync()).toThrow('the scope() it was made in has ended; return it from there to keep it')
    expect(grown).toBe(bytes(3))
    expect(x.arraySync()).toEqual([1, 2, 3])
  })

  test('finds tensors in arrays and plain objects, and passes other values through', () => {
    const x = tensor([1, 2])
    const [a, { b, deep }] = scope(() => [x.mul(2), { b: x.mul(3), deep: [[x.mul(4)]] }] as const)
    expect([a, b, deep[0]?.[0]].map((t) => t?.arraySync())).toEqual([
      [2, 4],
      [3, 6],
      [4, 8],
    ])
    expect(scope(() => x.sum().itemSync())).toBe(3)
    expect(scope(() => undefined)).toBeUndefined()
    expect(scope(() => 'text')).toBe('text')
    expect(scope(() => x)).toBe(x)
    expect(x.arraySync()).toEqual([1, 2])
  })

  test('scopes in scopes', () => {
    const x = tensor([1, 2])
    const grown = growth(() => {
      const total = scope(() => {
        const inner = scope(() => x.mul(2).add(1))
        expect(inner.arraySync()).toEqual([3, 5])
        return inner.sum()
      })
      expect(total.itemSync()).toBe(8)
      total.dispose()
    })
    expect(grown).toBe(0)
  })

  test('parameters that are made in it stay', () => {
    const model = scope(() => linear(2, 1))
    expect(model.weight.shape).toEqual([1, 2])
    let kept: Tensor<[2]> | undefined
    scope(() => {
      kept = parameter(tensor([1, 2]))
    })
    expect(kept?.arraySync()).toEqual([1, 2])
  })

  test('an error ends it and releases what was made', () => {
    const x = tensor([1, 2])
    const grown = growth(() => {
      expect(() =>
        scope(() => {
          x.mul(2)
          throw new RangeError('mine')
        }),
      ).toThrow(RangeError)
    })
    expect(grown).toBe(0)
    // The scope is closed: what is made now lives.
    expect(x.mul(2).arraySync()).toEqual([2, 4])
  })

  test('a promise is an error that does not come back later', async () => {
    const x = tensor([1, 2])
    const late = async () => {
      const y = x.mul(2)
      await Promise.resolve()
      return y.sum()
    }
    expect(() => scope(late)).toThrow(OptionError)
    expect(() => scope(late)).toThrow('return tensors and await their values outside')
    await new Promise((resolve) => setTimeout(resolve, 5))
  })

  test('a taped tensor that is returned can still go backward, whatever was made on the way', () => {
    const model = sequential(linear(2, 3), relu(), linear(3, 1))
    const x = tensor([
      [1, 2],
      [3, 4],
    ])
    const { weight } = model.layers[0]
    const outside = model.forward(x.trace()).square().mean().backward()
    const expected = [outside.get(weight).arraySync(), outside.get(x).arraySync()]
    outside.dispose()
    const grown = growth(() => {
      const loss = scope(() => model.forward(x.trace()).square().mean())
      const gradients = loss.backward()
      expect([gradients.get(weight).arraySync(), gradients.get(x).arraySync()]).toEqual(expected)
      gradients.dispose()
      loss.dispose()
    })
    expect(grown).toBe(0)
  })

  test('also when an untaped tensor of the scope is what the gradient needs', () => {
    const w = parameter(tensor([2, 3]))
    const loss = scope(() => {
      const mask = tensor([1, 0])
      return tensor([5, 7]).trace().mul(w).mul(mask).sum()
    })
    expect(loss.backward().get(w).arraySync()).toEqual([5, 0])
  })

  test('a tape that is not returned goes, with all that its gradients would have read', () => {
    const x = tensor([
      [1, 2],
      [3, 4],
    ])
    const [weight, bias] = [parameter(ones([2])), parameter(zeros([2]))]
    const grown = growth(() => {
      const value = scope(() =>
        logSoftmax(layerNorm(x.trace(), weight, bias), 1)
          .exp()
          .mean()
          .itemSync(),
      )
      expect(value).toBeCloseTo(0.5, 5)
    })
    expect(grown).toBe(0)
  })

  test('gradients that are returned keep what they need', () => {
    const w = parameter(tensor([2, 3]))
    const x = tensor([5, 7])
    const gradients = scope(() => x.trace().mul(w).square().sum().backward())
    expect(gradients.get(w).arraySync()).toEqual([100, 294])
    expect(gradients.get(x).arraySync()).toEqual([40, 126])
    const { loss, kept } = scope(() => {
      const made = x.trace().mul(w).sum()
      return { loss: made, kept: made.backward() }
    })
    expect(kept.get(w).arraySync()).toEqual([5, 7])
    expect(loss.itemSync()).toBe(31)
  })

  test('a whole training step inside leaves nothing behind', () => {
    const model = linear(2, 1)
    const optimizer = sgd(model, { lr: 0.1, momentum: 0.9 })
    const step = () =>
      scope(() => {
        const loss = model
          .forward(tensor([[1, 2]]).trace())
          .square()
          .mean()
        optimizer.step(loss.backward())
        return loss.itemSync()
      })
    const first = step()
    let last = first
    expect(growth(() => (last = step()))).toBe(0)
    expect(last).not.toBe(first)
  })
})
