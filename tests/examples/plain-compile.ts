/**
 * `compile` without compiling, for programs that are to run eagerly as they are: it gives the function itself, with what
 * else a compiled function has. Like a program, a call keeps nothing of what it computes but its results.
 */
import type * as dfdt from 'dfdt'
import type { Compiled } from '../../src/program/compile.js'
import type { admittedAll, SpecTree } from '../../src/program/specs.js'
import type { TensorRecord } from '../../src/tensor/record.js'

type Fn = (...args: readonly unknown[]) => unknown
export type Compile = (first: Fn | readonly SpecTree[], second?: Fn) => Compiled<readonly unknown[], unknown>

interface Parts extends Pick<typeof dfdt, 'scope' | 'defaultDevice'> {
  /** Stated arguments as tensors: they may be typed arrays and numbers. */
  readonly admittedAll: typeof admittedAll
}

export function plainCompile({ scope, defaultDevice, admittedAll }: Parts): Compile {
  return (first, second) => {
    const [specs, fn] = typeof first === 'function' ? [undefined, first] : [first, second]
    if (!fn) throw new TypeError('compile without a function')
    const call: Fn = (...args) => {
      const own: TensorRecord[] = []
      const result = scope(() => fn(...(specs ? admittedAll(defaultDevice(), specs, args, own) : args)))
      for (const record of own) record.dispose()
      return result
    }
    return Object.assign(call, {
      explain: () => 'not compiled',
      profile: (...args: readonly unknown[]) => {
        call(...args)
        return Promise.resolve('not compiled')
      },
      programs: 0,
      captures: 0,
      dispose: () => undefined,
    })
  }
}
