/**
 * `compile` without compiling, for programs that are to run eagerly as they are: it gives the function itself, with what
 * else a compiled function has. Like a program, a call keeps nothing of what it computes but its results.
 */
import type * as Dfdt from 'dfdt'
import type { Compiled, Spec } from '../../src/program/compile.js'
import type { AnyX } from '../ops/cases.js'

type Anything = Compiled<readonly unknown[], unknown>
type Fn = (...args: readonly unknown[]) => unknown

export function plainCompile({ scope, tensor }: typeof Dfdt): (first: Fn | readonly Spec[], second?: Fn) => Anything {
  /** Stated arguments may be typed arrays and numbers. */
  const admitted = ({ shape, dtype }: Spec, value: unknown): unknown => {
    if (typeof value === 'number') return tensor(value, { dtype } as never)
    return ArrayBuffer.isView(value) ? (tensor as AnyX)(value, shape, { dtype }) : value
  }
  return (first, second) => {
    const [specs, fn] = typeof first === 'function' ? [undefined, first] : [first, second]
    if (!fn) throw new TypeError('compile without a function')
    const call: Fn = (...args) =>
      scope(() => fn(...(specs?.map((spec, i) => admitted(spec, args[i])) ?? args))) as unknown
    return Object.assign(call, {
      explain: () => 'not compiled',
      profile: (...args: readonly unknown[]) => {
        call(...args)
        return 'not compiled'
      },
      programs: 0,
      dispose: () => undefined,
    })
  }
}
