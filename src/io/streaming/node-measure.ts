import { elementCount, fileDTypeSize } from '../raw-tensor.js'
import { addDistance, type Distance, noDistance, numbersIn } from './distance.js'
import type { ReadFilesOptions } from './files-progress.js'
import { isFloatDType } from './float-bytes.js'
import type { FileTensor } from './model-layout.js'
import type { ModelFiles } from './node-model-files.js'
import { pipeline } from './pipeline.js'

const slots = 2
/** Elements of a chunk, which stay in the cache while they are compared. */
const chunk = 1 << 18

/** Two tensors of one shape, which need not have one type. */
export interface ComparedTensor {
  readonly name: string
  readonly first: FileTensor
  readonly second: FileTensor
}

interface Piece {
  readonly compared: ComparedTensor
  readonly from: number
  readonly count: number
}

interface Slot {
  readonly first: Uint8Array
  readonly second: Uint8Array
}

/** Reads both models once, in step, and returns the distance of each pair of tensors, by name. */
export async function measureDistances(
  first: ModelFiles,
  second: ModelFiles,
  pairs: readonly ComparedTensor[],
  { onProgress, signal }: ReadFilesOptions = {},
): Promise<Map<string, Distance>> {
  const distances = new Map(pairs.map(({ name }) => [name, noDistance()]))
  const memory = Array.from({ length: slots }, (): Slot => {
    return { first: new Uint8Array(8 * chunk), second: new Uint8Array(8 * chunk) }
  })
  const total = pairs.reduce((sum, pair) => sum + pair.first.byteLength + pair.second.byteLength, 0)
  let done = 0
  const stages = {
    read: async ({ compared, from, count }: Piece, slot: Slot) => {
      const [a, b] = [stretchOf(compared.first, from), stretchOf(compared.second, from)]
      await Promise.all([
        first.read(compared.first.file, slot.first.subarray(0, count * a.size), a.offset),
        second.read(compared.second.file, slot.second.subarray(0, count * b.size), b.offset),
      ])
      done += count * (a.size + b.size)
      onProgress?.({ pass: 'measure', done, total })
    },
    compute: ({ compared, count }: Piece, slot: Slot) => {
      const distance = distances.get(compared.name)
      if (distance) addPiece(distance, compared, slot, count)
    },
    write: async () => undefined,
  }
  await pipeline(piecesOf(pairs), memory, stages, signal)
  return distances
}

function addPiece(total: Distance, { first, second }: ComparedTensor, slot: Slot, count: number): void {
  const numbers = (bytes: Uint8Array, { dtype }: FileTensor) =>
    numbersIn(bytes.subarray(0, count * fileDTypeSize(dtype)), dtype)
  addDistance(total, numbers(slot.first, first), numbers(slot.second, second))
}

function stretchOf({ dtype, offset }: FileTensor, from: number): { readonly size: number; readonly offset: number } {
  const size = fileDTypeSize(dtype)
  return { size, offset: offset + from * size }
}

function* piecesOf(pairs: readonly ComparedTensor[]): Generator<Piece> {
  for (const compared of pairs) {
    const total = elementCount(compared.first.shape) ?? 0
    for (let from = 0; from < total; from += chunk) yield { compared, from, count: Math.min(chunk, total - from) }
  }
}

/** Names of the tensors that are not floats and whose bytes are not the same in all models. */
export async function unequalIntegers(models: readonly ModelFiles[], signal?: AbortSignal): Promise<string[]> {
  const [first, ...others] = models
  const unequal: string[] = []
  for (const tensor of first?.tensors.values() ?? []) {
    if (isFloatDType(tensor.dtype)) continue
    for (const other of others) {
      const found = other.tensors.get(tensor.name)
      if (!first || !found || (await sameBytes(first, tensor, other, found, signal))) continue
      unequal.push(tensor.name)
      break
    }
  }
  return unequal
}

async function sameBytes(
  first: ModelFiles,
  tensor: FileTensor,
  other: ModelFiles,
  found: FileTensor,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const [a, b] = [Buffer.alloc(Math.min(chunk, tensor.byteLength)), Buffer.alloc(Math.min(chunk, tensor.byteLength))]
  for (let from = 0; from < tensor.byteLength; from += chunk) {
    signal?.throwIfAborted()
    const length = Math.min(chunk, tensor.byteLength - from)
    await first.read(tensor.file, a.subarray(0, length), tensor.offset + from)
    await other.read(found.file, b.subarray(0, length), found.offset + from)
    if (Buffer.compare(a.subarray(0, length), b.subarray(0, length)) !== 0) return false
  }
  return true
}
