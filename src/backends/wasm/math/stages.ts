import { DeviceError } from '../../../tensor/errors.js'
import type { V128 } from '../assembler.js'
import type { MathContext, Vector } from './interface.js'

/** Several vectors going through the same steps side by side: every step is written for all of them before the next. */
export class Stages {
  constructor(
    readonly context: MathContext,
    readonly count: number,
  ) {}

  /** New temporaries holding the value for each vector. */
  let(value: (i: number) => V128): Vector[] {
    return Array.from({ length: this.count }, (_, i) => {
      const x = this.context.temp()
      this.context.fn.set(x, value(i))
      return x
    })
  }
  set(x: readonly Vector[], value: (i: number, x: Vector) => V128): void {
    for (const [i, local] of x.entries()) this.context.fn.set(local, value(i, local))
  }
  release(...dead: readonly (readonly Vector[])[]): void {
    for (const x of dead.flat()) this.context.release(x)
  }
  /** New temporaries holding `c[0] + x c[1] + x² c[2] + …`, by Horner's rule. */
  polynomial(coefficients: readonly number[], x: readonly Vector[]): Vector[] {
    const { f32, mad } = this.context
    const falling = coefficients.map((_, i) => coefficients[coefficients.length - 1 - i] ?? 0)
    const [highest = 0, next = 0, ...rest] = falling
    const y = this.let((i) => mad(f32(highest), at(x, i), f32(next)))
    for (const c of rest) this.set(y, (i, y) => mad(y, at(x, i), f32(c)))
    return y
  }
}

/** The vector of a list that is known to be long enough. */
export function at(x: readonly Vector[], i: number): Vector {
  const vector = x[i]
  if (!vector)
    throw new DeviceError(`vector ${i} of a list of ${x.length} was asked for. Pass pow as many exponents as bases.`)
  return vector
}
