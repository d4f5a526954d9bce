import { OptionError } from '../shapes/errors.js'
import type { UpdateTime } from './define.js'
import { requireFunction, requireOneOf } from './options.js'

/** What the rates of a shadow count: calls of `update()`, updates made, or samples, which `update({ samples })` tells. */
export type Unit = 'step' | 'update' | 'sample'

/** How far following has come: what a checkpoint keeps. */
export interface Progress {
  /** Calls of `update()`. */
  readonly steps: number
  /** Updates made. */
  readonly updates: number
  /** Units so far, and at the last update. */
  readonly units: number
  readonly unitsBefore: number
}

/** What training has told of itself; `last` is of the last finished step. */
export interface TrainingState {
  readonly step: number
  readonly updates: number
  /** Set by `observe({ epoch })`. */
  readonly epoch: number
  /** Seconds since following began. */
  readonly seconds: number
  readonly last: { readonly loss?: number; readonly gradNorm?: number; readonly metric?: number }
}

/** When a shadow updates. */
export interface Timing {
  /** Only at each k-th step. Rates are compensated, so that half-lives stay what they are. Default 1. */
  readonly every?: number
  /** Not in the first so many steps. Default 0. */
  readonly after?: number
  /**
   * With `after`, what happens before the first update. `copy`: each call copies the source, and so does the first update
   * itself, so that the average is never one of weights from before the start. `keep`: the average stays the source as it
   * was when following began, and the first update blends into that. Default `copy`.
   */
  readonly before?: 'copy' | 'keep'
  /** Asked by the host before each update that is due. */
  readonly when?: (state: TrainingState) => boolean
  /** Default `step`. */
  readonly unit?: Unit
}

export const beginning: Progress = { steps: 0, updates: 0, units: 0, unitsBefore: 0 }

/** Throws: `OptionError` for counts that are none, and other values that are not known. */
export function requireTiming(op: string, { every, after, unit, before, when }: Timing): void {
  const whole = (name: string, value: number | undefined, least: number): void => {
    if (value === undefined || (Number.isSafeInteger(value) && value >= least)) return
    throw new OptionError(`${op}: ${name} is a whole number from ${least}, got ${String(value)}.`, { op })
  }
  whole('every', every, 1)
  whole('after', after, 0)
  requireOneOf(op, 'unit', unit, ['step', 'update', 'sample'])
  requireOneOf(op, 'before', before, ['copy', 'keep'])
  if (before !== undefined && after === undefined)
    throw new OptionError(`${op}: before is about the steps before the start; say how many, as in { after: 100 }.`, {
      op,
    })
  requireFunction(op, 'when', when)
}

/** One call of `update()`: how far it gets, whether it is due, and where the rule stands if so. */
export interface Tick {
  readonly progress: Progress
  readonly due: boolean
  readonly at: UpdateTime
}

/** Where a call of `update()` with so many samples leads, as a pure function of where following was. */
export function tick(
  { steps, updates, units, unitsBefore }: Progress,
  { every = 1, after = 0, unit = 'step' }: Timing,
  samples: number,
  agrees: (step: number) => boolean,
): Tick {
  const step = steps + 1
  // What comes before the start is no part of any interval.
  const counted = step > after
  const now = !counted ? 0 : unit === 'sample' ? units + samples : unit === 'step' ? units + 1 : units
  const onTime = counted && (step - after) % every === 0
  const due = onTime && agrees(step)
  const passed = due && unit === 'update' ? now + 1 : now
  return {
    progress: {
      steps: step,
      updates: updates + (due ? 1 : 0),
      units: passed,
      unitsBefore: due ? passed : unitsBefore,
    },
    due,
    at: { updates, now: passed, interval: passed - unitsBefore },
  }
}
