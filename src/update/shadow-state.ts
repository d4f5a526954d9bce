import {
  prepareTensors,
  readTensors,
  requireKind,
  requireSameWords,
  type SavedState,
  type SavedTensor,
} from '../model/saved.js'
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
 * Throws: `OptionError` listing settings that differ, `ShapeError` listing tensors that do.
 */
export function prepareState(holding: Holding, state: ShadowState): () => void {
  requireKind(state, 'shadow')
  const what = 'the state is of a shadow that follows otherwise'
  requireSameWords(what, holding.settings, state.settings)
  requireSameWords(what, holding.treatments, state.treatments)
  return prepareTensors(holding.tensors, state.tensors)
}
