/** Where the elements of an operand lie. */
export interface Placement {
  readonly strides: readonly number[]
  readonly offset: number
}

/** Fills `into` with the positions of the next `count` elements. */
export type Walk = (count: number, into: Int32Array) => void

/** Walks an operand in row-major order of `shape`: rows of the last axis, the others counting up like an odometer. */
export function walk(shape: readonly number[], { strides, offset }: Placement): Walk {
  const outer = Math.max(0, shape.length - 1)
  const digits = new Int32Array(outer)
  const rowLength = shape[outer] ?? 1
  const step = strides[outer] ?? 0
  let row = offset
  let column = 0

  const nextRow = () => {
    column = 0
    for (let axis = outer - 1; axis >= 0; axis--) {
      const stride = strides[axis] ?? 0
      const digit = (digits[axis] ?? 0) + 1
      row += stride
      digits[axis] = digit
      if (digit < (shape[axis] ?? 0)) return
      row -= stride * digit
      digits[axis] = 0
    }
  }
  return (count, into) => {
    for (let i = 0; i < count; ) {
      const run = Math.min(count - i, rowLength - column)
      for (let j = 0; j < run; j++) into[i + j] = row + (column + j) * step
      i += run
      column += run
      if (column === rowLength) nextRow()
    }
  }
}
