/** Plays one workload on jax-js with its wasm backend, one thread (its threads need a browser's Worker): jax.mjs <workload> <serve.mjs> */
import { readFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { blockUntilReady, defaultDevice, init, jit, nn, numpy as np, valueAndGrad } from '@jax-js/jax'
import { batches, elements, mlpParameters, randomNumbers, workload } from './models.mjs'

const [name, servePath] = process.argv.slice(2)
await init('wasm')
defaultDevice('wasm')
const { serve } = await import(pathToFileURL(servePath).href)
const { version } = JSON.parse(readFileSync(new URL('node_modules/@jax-js/jax/package.json', import.meta.url), 'utf8'))
await serve({ threads: 1, mode: `jax-js wasm ${version}`, runtime: process.version }, prepare(workload(name)))

function prepare({ kind, shapes, n, batch, sizes, followed }) {
  const arrays = (list) => list.map(({ shape, values }) => np.array(values).reshape(shape))
  if (kind === 'gemm') {
    const [a, b] = arrays([0, 1].map(() => ({ shape: [n, n], values: randomNumbers(n * n) })))
    return async () => (await np.matmul(a.ref, b.ref).blockUntilReady()).dispose()
  }
  if (kind === 'ema') {
    // One jit a tensor: one over the whole tree is three times slower.
    const follow = jit((target, source) => lerp(target, source, 0.005))
    const model = () => arrays(shapes.map((shape) => ({ shape, values: randomNumbers(elements(shape)) })))
    const source = model()
    let target = model()
    return async () => {
      target = target.map((tensor, i) => follow(tensor, source[i].ref))
      await blockUntilReady(target)
    }
  }
  return training(batch, sizes, followed, arrays)
}

function training(batch, sizes, followed, arrays) {
  const [features, classes] = [sizes[0], sizes.at(-1)]
  const data = batches(batch, features, classes)
  const images = arrays(data.images.map((values) => ({ shape: [batch, features], values })))
  const labels = arrays(data.labels.map((values) => ({ shape: [batch, classes], values })))
  const parameters = mlpParameters(sizes)
  const zeros = () => arrays(parameters.map(({ shape }) => ({ shape, values: new Float32Array(elements(shape)) })))
  let state = {
    p: arrays(parameters),
    m: zeros(),
    v: zeros(),
    teacher: followed ? arrays(parameters) : [],
  }

  const lossOf = (p, x, y) => {
    let h = x
    for (let i = 0; i < p.length; i += 2) {
      h = np.matmul(h, p[i]).add(p[i + 1])
      if (i + 2 < p.length) h = nn.relu(h)
    }
    return nn
      .logSoftmax(h)
      .mul(y)
      .sum()
      .mul(-1 / batch)
  }
  /** `size` is lr / (1 - β₁ᵗ), `scale` 1 / (1 - β₂ᵗ). Every use of an array but the last takes a reference. */
  const step = jit(({ p, m, v, teacher }, x, y, size, scale) => {
    const [loss, gradients] = valueAndGrad(lossOf)(
      p.map((tensor) => tensor.ref),
      x,
      y,
    )
    const next = { p: [], m: [], v: [], teacher: [] }
    for (let i = 0; i < p.length; i++) {
      const g = gradients[i]
      const first = m[i].mul(0.9).add(g.ref.mul(0.1))
      const second = v[i].mul(0.999).add(np.square(g).mul(0.001))
      const denominator = np.sqrt(second.ref.mul(scale.ref)).add(1e-8)
      const updated = p[i].sub(first.ref.mul(size.ref).div(denominator))
      if (followed) next.teacher.push(lerp(teacher[i], updated.ref, 0.001))
      next.p.push(updated)
      next.m.push(first)
      next.v.push(second)
    }
    size.dispose()
    scale.dispose()
    return [loss, next]
  })

  let turn = 0
  return async () => {
    const [x, y] = [images[turn % 8], labels[turn % 7]]
    turn++
    const size = np.array([1e-3 / (1 - 0.9 ** turn)])
    const scale = np.array([1 / (1 - 0.999 ** turn)])
    const [loss, next] = step(state, x.ref, y.ref, size, scale)
    state = next
    await blockUntilReady(next)
    loss.dispose()
  }
}

function lerp(target, source, tau) {
  return target.ref.add(source.sub(target).mul(tau))
}
