/** What the peers in JavaScript share: shapes, data and the workloads' sizes, as in ../workloads. */

const tenLayers = Array.from({ length: 10 }, (_, layer) => {
  const outputs = layer === 9 ? 10 : 304
  return [[outputs, layer === 0 ? 784 : 304], [outputs]]
}).flat()

function resnet50() {
  const conv = (outputs, inputs, kernel) => [[outputs, inputs, kernel, kernel], [outputs], [outputs]]
  const shapes = conv(64, 3, 7)
  let inputs = 64
  for (const [width, blocks] of [
    [64, 3],
    [128, 4],
    [256, 6],
    [512, 3],
  ]) {
    for (let block = 0; block < blocks; block++) {
      shapes.push(...conv(width, inputs, 1), ...conv(width, width, 3), ...conv(4 * width, width, 1))
      if (block === 0) shapes.push(...conv(4 * width, inputs, 1))
      inputs = 4 * width
    }
  }
  return [...shapes, [1000, 2048], [1000]]
}

/** What a workload's name says. */
export function workload(name) {
  const [kind, size] = name.split('-')
  if (kind === 'ema') return { kind, shapes: size === '1m' ? tenLayers : resnet50() }
  if (kind === 'gemm') return { kind, n: Number(size) }
  const sizes = kind === 'tiny' ? [4, 64, 64, 2] : [784, 512, 128, 32, 10]
  return { kind: 'training', batch: Number(size), sizes, followed: name.endsWith('-ema') }
}

export const elements = (shape) => shape.reduce((product, size) => product * size, 1)

export const randomNumbers = (count, bound = 1) =>
  Float32Array.from({ length: count }, () => (2 * Math.random() - 1) * bound)

/** Weights [in, out] and biases of an MLP, initialised as PyTorch's. */
export function mlpParameters(sizes) {
  return sizes.slice(1).flatMap((outputs, layer) => {
    const inputs = sizes[layer]
    const bound = 1 / Math.sqrt(inputs)
    return [
      { shape: [inputs, outputs], values: randomNumbers(inputs * outputs, bound) },
      { shape: [outputs], values: randomNumbers(outputs, bound) },
    ]
  })
}

/** Eight batches of images against seven of one-hot labels. */
export function batches(batch, features, classes) {
  const images = Array.from({ length: 8 }, () => randomNumbers(batch * features).map(Math.abs))
  const labels = Array.from({ length: 7 }, (_, shift) => {
    const rows = new Float32Array(batch * classes)
    for (let i = 0; i < batch; i++) rows[i * classes + ((i * 7 + shift * 3) % classes)] = 1
    return rows
  })
  return { images, labels }
}
