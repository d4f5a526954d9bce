/** An iteration space and the strides of each operand over its axes. */
export interface Space {
  readonly shape: readonly number[]
  readonly strides: readonly (readonly number[])[]
}

/**
 * The same positions in the same row-major order with fewer axes: size 1 dropped, neighbours merged where every
 * operand walks through both as one.
 */
export function collapse(space: Space): Space {
  const shape: number[] = []
  const strides: number[][] = space.strides.map(() => [])
  space.shape.forEach((size, axis) => {
    if (size === 1) return
    const last = shape.length - 1
    const steps = space.strides.map((s) => s[axis] ?? 0)
    if (last >= 0 && steps.every((step, i) => strides[i]?.[last] === step * size)) {
      shape[last] = (shape[last] ?? 1) * size
      strides.forEach((s, i) => {
        s.splice(last, 1, steps[i] ?? 0)
      })
    } else {
      shape.push(size)
      strides.forEach((s, i) => {
        s.push(steps[i] ?? 0)
      })
    }
  })
  return { shape, strides }
}
