import {
  prepareTensors,
  readTensors,
  requireKind,
  requireSameWords,
  type SavedState,
  type SavedTensor,
} from '../model/saved.js'
import {
  countField,
  fieldsOf,
  hasFields,
  isCount,
  requireSound,
  type StateField,
  textsField,
} from '../model/state-fields.js'
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

/** Everything that a shadow needs to go on bit for bit. */
export interface ShadowState extends SavedState {
  readonly kind: 'shadow'
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
  return { kind: 'shadow', version: 1, ...rest, tensors: await readTensors(tensors) }
}

/**
 * What writes the tensors of a state.
 *
 * Throws: `FormatError` listing what no shadow has; `OptionError` listing settings that differ, `ShapeError` listing
 * tensors that do.
 */
export function prepareState(holding: Holding, state: ShadowState): () => void {
  requireKind(state, 'shadow')
  requireSound('shadow', [...fieldsOfState(state), ...pendingFields(state.pending)])
  const what = 'the state is of a shadow that follows otherwise'
  requireSameWords(what, holding.settings, state.settings)
  requireSameWords(what, holding.treatments, state.treatments)
  const expected = `${holding.pending.length}, one for each tensor that a lazy shadow blends`
  const { length } = state.pending
  requireSound('shadow', [['the length of pending', length, length === holding.pending.length, expected]])
  return prepareTensors(holding.tensors, state.tensors)
}

/** What files, and callers without types, may get wrong. */
function fieldsOfState(state: ShadowState): StateField[] {
  const { steps, updates, units, unitsBefore } = fieldsOf(state.progress)
  const { seed, draws } = fieldsOf(state.random)
  const amount = (name: string, value: unknown, most = Number.MAX_VALUE): StateField => {
    const sound = typeof value === 'number' && value >= 0 && value <= most
    return [name, value, sound, most < Number.MAX_VALUE ? `a number from 0 to ${most}` : 'a finite number from 0']
  }
  const observed = Object.entries(fieldsOf(state.observed)).map(([name, value]): StateField => {
    return [`observed.${name}`, value, value === undefined || typeof value === 'number', 'a number']
  })
  return [
    textsField('settings', state.settings),
    textsField('treatments', state.treatments),
    countField('progress.steps', steps),
    countField('progress.updates', updates),
    ...(isCount(steps) && isCount(updates) ? [amount('progress.updates', updates, steps)] : []),
    amount('progress.units', units),
    amount('progress.unitsBefore', unitsBefore, typeof units === 'number' ? units : undefined),
    ['observed', state.observed, hasFields(state.observed), 'numbers by name'],
    ...observed,
    amount('seconds', state.seconds),
    countField('random.seed', seed),
    countField('random.draws', draws),
  ]
}

/** A blend keeps at most all of the target: logarithms are not above 0, and −∞ is that of a copy. */
function pendingFields(pending: unknown): StateField[] {
  if (!Array.isArray(pending)) return [['pending', pending, false, 'a list']]
  return pending.flatMap((each: unknown, i): StateField[] => {
    const { count, log, rows } = fieldsOf(each)
    const none = count === 0
    const sound = typeof log === 'number' && log <= 0 && (!none || log === 0)
    return [
      countField(`pending[${i}].count`, count),
      [`pending[${i}].rows`, rows, rows === undefined || isLog(rows), 'a finite number not above 0'],
      [`pending[${i}].log`, log, sound, none ? '0, as nothing is put off' : 'a number not above 0'],
    ]
  })
}

const isLog = (value: unknown): boolean => Number.isFinite(value) && Number(value) <= 0
