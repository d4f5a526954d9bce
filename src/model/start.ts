import type { TensorRecord } from '../tensor/record.js'

/** How a tensor of a model gets its first values: writes them into any tensor of its shape and dtype. */
export type Start = (target: TensorRecord) => void

/** Copies of a tensor start as it does. */
const starts = new WeakMap<object, Start>()

/** Remembers how a tensor started, for it and for its copies. */
export function rememberStart(tensor: TensorRecord, start: Start): TensorRecord {
  starts.set(tensor, start)
  return tensor
}

export const startOf = (tensor: object): Start | undefined => starts.get(tensor)

/** `copy` starts as `original` does, if that is known. */
export function inheritStart(copy: TensorRecord, original: object): void {
  const start = starts.get(original)
  if (start) starts.set(copy, start)
}
