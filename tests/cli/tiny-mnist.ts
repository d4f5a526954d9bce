import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Writes the four MNIST files with `train` and `test` images into `directory`. */
export function writeTinyMnist(directory: string, train = 640, test = 100): void {
  for (const [part, count] of [
    ['train', train],
    ['t10k', test],
  ] as const) {
    writeFileSync(join(directory, `${part}-images-idx3-ubyte`), idx([count, 28, 28], 784 * count))
    writeFileSync(join(directory, `${part}-labels-idx1-ubyte`), idx([count], count))
  }
}

function idx(shape: readonly number[], values: number): Uint8Array {
  const bytes = new Uint8Array(4 + 4 * shape.length + values)
  bytes.set([0, 0, 8, shape.length])
  const view = new DataView(bytes.buffer)
  for (const [axis, size] of shape.entries()) view.setUint32(4 + 4 * axis, size)
  for (let i = 0; i < values; i++) bytes[4 + 4 * shape.length + i] = i % 10
  return bytes
}
