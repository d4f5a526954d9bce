/** Where the elements of an operand lie. */
export interface Placement {
  readonly strides: readonly number[]
  readonly offset: number
}

/** Fills `into` with the positions of the next `count` elements. */
export type Walk = (count: number, into: Float64Array) => void

/** Walks an operand in row-major order of `shape`: axes count up like the digits of an odometer. */
export function walk(shape: readonly number[], { strides, offset }: Placement): Walk {
  const digits = shape.map(() => 0)
  let position = offset
  const advance = () => {
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const size = shape[axis] ?? 0
      const stride = strides[axis] ?? 0
      const digit = (digits[axis] ?? 0) + 1
      position += stride
      if (digit < size) {
        digits[axis] = digit
        return
      }
      digits[axis] = 0
      position -= stride * size
    }
  }
  return (count, into) => {
    for (let i = 0; i < count; i++) {
      into[i] = position
      advance()
    }
  }
}
