import type { DType } from '../shapes/dtype.js'
import { OptionError, ShapeError } from '../shapes/errors.js'
import { type TypedArray, toBytes } from '../tensor/elements.js'
import type { TensorRecord } from '../tensor/record.js'
import type { Progress } from './clock.js'
import type { Treatment } from './define.js'
import type { Pending } from './lazy.js'

/** What `observe` may be told of the last finished step. */
export interface Observed {
  readonly epoch?: number
  readonly loss?: number
  readonly gradNorm?: number
  readonly metric?: number
}

/** One tensor of a state. */
export interface SavedTensor {
  readonly dtype: DType
  readonly shape: readonly number[]
  readonly data: TypedArray
}

/** Everything that a shadow needs to go on bit for bit: plain data, which can be cloned, posted and written to a file. */
export interface ShadowState {
  readonly kind: 'dfdt shadow'
  readonly version: 1
  /** How it follows; a shadow that follows otherwise does not load it. */
  readonly settings: Readonly<Record<string, string>>
  /** What happens to each tensor. */
  readonly treatments: Readonly<Record<string, Treatment>>
  readonly progress: Progress
  readonly observed: Observed
  readonly seconds: number
  readonly random: { readonly seed: number; readonly draws: number }
  /** What a lazy shadow has put off. */
  readonly pending: readonly Pending[]
  /** The average by path; `path#name` is what is kept beside it. */
  readonly tensors: Readonly<Record<string, SavedTensor>>
}

/** What a shadow holds. */
export interface Holding extends Omit<ShadowState, 'kind' | 'version' | 'tensors'> {
  readonly tensors: ReadonlyMap<string, TensorRecord>
}

export async function readState({ tensors, ...rest }: Holding): Promise<ShadowState> {
  const saved = [...tensors].map(async ([name, tensor]): Promise<[string, SavedTensor]> => {
    tensor.storage.requireOwn()
    const { dtype, shape } = tensor
    return [name, { dtype, shape, data: await tensor.data() }]
  })
  return { kind: 'dfdt shadow', version: 1, ...rest, tensors: Object.fromEntries(await Promise.all(saved)) }
}

/**
 * Writes the tensors of a state.
 *
 * Throws: `OptionError` listing settings that differ, `ShapeError` listing tensors that do; nothing is written then.
 */
export function writeState(holding: Holding, state: ShadowState): ShadowState {
  const unknown: unknown = state
  const kind = typeof unknown === 'object' && unknown !== null && 'kind' in unknown ? unknown.kind : unknown
  if (kind !== 'dfdt shadow')
    throw new OptionError(`load: this is no state of a shadow: ${String(kind)}.`, { op: 'load' })
  const version: number = state.version
  if (version !== 1) throw new OptionError(`load: version ${version} of shadow states is not known here; update dfdt.`)
  requireSame(holding, state)
  for (const [name, tensor] of holding.tensors) {
    const saved = state.tensors[name]
    if (saved) tensor.storage.write(0, toBytes(saved.data, tensor.dtype))
  }
  return state
}

function requireSame(holding: Holding, state: ShadowState): void {
  const settings = differing(holding.settings, state.settings).map(
    ([name, here, saved]) => `${name} is ${here} here but ${saved} in the state`,
  )
  const treatments = differing(holding.treatments, state.treatments).map(
    ([path, here, saved]) => `"${path}" is ${here} here but ${saved} in the state`,
  )
  const different = [...settings, ...treatments]
  if (different.length > 0)
    throw new OptionError(
      `load: the state is of a shadow that follows otherwise; nothing was written:\n  ${different.join('\n  ')}`,
      { op: 'load' },
    )
  const show = (tensor: { shape: readonly number[]; dtype: DType }) => `[${tensor.shape.join(', ')}] ${tensor.dtype}`
  const here = Object.fromEntries([...holding.tensors].map(([name, tensor]) => [name, show(tensor)]))
  const saved = Object.fromEntries(Object.entries(state.tensors).map(([name, tensor]) => [name, show(tensor)]))
  const problems = differing(here, saved).map(([name, a, b]) => `"${name}" is ${a} here but ${b} in the state`)
  if (problems.length > 0)
    throw new ShapeError(`load: the state does not fit; nothing was written:\n  ${problems.join('\n  ')}`, {
      op: 'load',
    })
}

/** Where two records differ, with `missing` for what is not there. */
function differing(
  a: Readonly<Record<string, string>>,
  b: Readonly<Record<string, string>>,
): (readonly [name: string, a: string, b: string])[] {
  const names = new Set([...Object.keys(a), ...Object.keys(b)])
  return [...names].flatMap((name) => {
    const [x, y] = [a[name] ?? 'missing', b[name] ?? 'missing']
    return x === y ? [] : [[name, x, y] as const]
  })
}
