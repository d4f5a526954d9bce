/** Plays one workload on TensorFlow.js with its wasm backend, one thread (it refuses more in Node): tfjs.mjs <workload> <serve.mjs> */
import { dirname } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import * as tf from '@tensorflow/tfjs'
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm'
import { batches, elements, mlpParameters, randomNumbers, workload } from './models.mjs'

const [name, servePath] = process.argv.slice(2)
// Its notices go to console.warn and console.log; the latter belongs to the protocol.
console.log = console.error
setWasmPaths(`${dirname(fileURLToPath(import.meta.resolve('@tensorflow/tfjs-backend-wasm')))}/`)
await tf.setBackend('wasm')
await tf.ready()
if (tf.getBackend() !== 'wasm') throw new Error(`tfjs chose the backend ${tf.getBackend()}`)

const { serve } = await import(pathToFileURL(servePath).href)
await serve({ threads: 1, mode: `tfjs-wasm ${tf.version.tfjs}`, runtime: process.version }, prepare(workload(name)))

function prepare({ kind, shapes, n, batch, sizes, followed }) {
  if (kind === 'gemm') {
    const [a, b] = [0, 1].map(() => tf.tensor(randomNumbers(n * n), [n, n]))
    return () => tf.matMul(a, b).dispose()
  }
  const variables = (list) => list.map(({ shape, values }) => tf.variable(tf.tensor(values, shape)))
  if (kind === 'ema') {
    const model = () => variables(shapes.map((shape) => ({ shape, values: randomNumbers(elements(shape)) })))
    return follow(model(), model(), 0.005)
  }

  const parameters = mlpParameters(sizes)
  const student = variables(parameters)
  const blend = followed ? follow(variables(parameters), student, 0.001) : () => {}
  const optimizer = tf.train.adam(1e-3)
  const [features, classes] = [sizes[0], sizes.at(-1)]
  const data = batches(batch, features, classes)
  const images = data.images.map((values) => tf.tensor(values, [batch, features]))
  const labels = data.labels.map((values) => tf.tensor(values, [batch, classes]))
  const forward = (x) => {
    let h = x
    for (let i = 0; i < student.length; i += 2) {
      h = h.matMul(student[i]).add(student[i + 1])
      if (i + 2 < student.length) h = h.relu()
    }
    return h
  }
  let turn = 0
  return () => {
    const [x, y] = [images[turn % 8], labels[turn % 7]]
    turn++
    optimizer.minimize(() => tf.losses.softmaxCrossEntropy(y, forward(x)), false, student)
    blend()
  }
}

/** A moving average, tensor by tensor: there is no op for it. */
function follow(target, source, tau) {
  return () => {
    tf.tidy(() => {
      for (let i = 0; i < target.length; i++) target[i].assign(target[i].add(source[i].sub(target[i]).mul(tau)))
    })
  }
}
