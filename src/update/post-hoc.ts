import { OptionError } from '../shapes/errors.js'

/** The profile of a power-function average: its width relative to the length of the training, or its exponent. */
export type PowerProfile =
  | { readonly sigmaRel: number; readonly gamma?: never }
  | { readonly gamma: number; readonly sigmaRel?: never }

/** A power-function average as it was after `step` updates; any unit does that is the same for all. */
export type PowerSnapshot = PowerProfile & { readonly step: number }

/** How an average that was never kept is put together from those that were. */
export interface PostHoc {
  /** One for each snapshot; they add up to 1 and may be negative. */
  readonly weights: readonly number[]
  /** Distance of the profile that the snapshots give from the one asked for, relative to that one's size; 0 is exact. */
  readonly fitError: number
  /** How much the solution magnifies rounding errors, in the 1-norm, the snapshots' profiles scaled to one size. */
  readonly conditionNumber: number
}

/** The widest profile: the exponents below that of the maximum, 0.3002, weigh the beginning most, and none is wider. */
const widest = 0.3
/** Two profiles closer than this cannot be told apart in f64. */
const singular = 1e15

/**
 * The exponent `γ` of the power-function average of relative width `sigmaRel`: the largest real root of
 * `γ³ + 7γ² + (16 − σ⁻²)γ + (12 − σ⁻²)`. 0.05 gives 16.97, 0.1 gives 6.94, 0.28 gives 0.169.
 *
 * Throws: `OptionError` unless `0 < sigmaRel ≤ 0.3`; the uniform average has 0.2887.
 * Torch: none; EDM2 computes it with `numpy.roots`. Karras et al., Analyzing and Improving the Training Dynamics of
 * Diffusion Models (2024), appendix C.
 * @example gammaOf(0.1) // 6.937
 */
export function gammaOf(sigmaRel: number): number {
  if (!(sigmaRel > 0 && sigmaRel <= widest)) {
    const remedy = 'it is the width of the average relative to the training, such as 0.05'
    throw new OptionError(`gammaOf: sigmaRel must be above 0 and at most ${widest}, got ${sigmaRel}; ${remedy}.`, {
      op: 'gammaOf',
    })
  }
  const t = sigmaRel ** -2
  // From the right of the largest root, where the cubic is convex, Newton's steps only go left and never past it.
  let gamma = 1 / sigmaRel
  for (let next = gamma; ; gamma = next) {
    const value = ((gamma + 7) * gamma + (16 - t)) * gamma + (12 - t)
    next = gamma - value / ((3 * gamma + 14) * gamma + (16 - t))
    if (!(next < gamma)) return gamma
  }
}

/**
 * The relative width of the average with weights `∝ t^γ`: `√((γ + 1) / ((γ + 2)² (γ + 3)))`, the standard deviation of
 * that profile over a training of length 1. The inverse of `gammaOf` from γ = −0.39 on.
 *
 * Throws: `OptionError` unless `gamma > −1`.
 * Torch: none. Karras et al. (2024), appendix C.
 * @example sigmaRelOf(0) // 0.2887, the uniform average
 */
export function sigmaRelOf(gamma: number): number {
  if (!(gamma > -1 && gamma < Number.POSITIVE_INFINITY))
    throw new OptionError(`sigmaRelOf: gamma must be a number above -1, got ${gamma}; such as 6.94.`, {
      op: 'sigmaRelOf',
    })
  return Math.sqrt((gamma + 1) / (gamma + 3)) / (gamma + 2)
}

/**
 * Weights that put an average of any width together from snapshots of others: the least-squares fit of the profile
 * `(γ + 1) t^γ / T^(γ+1)` of the target by those of the snapshots, solved in f64 and divided by the sum of the weights,
 * as EDM2 does.
 *
 * Throws: `OptionError` when a snapshot's step or profile is out of range, or two snapshots cannot be told apart.
 * Torch: none; EDM2's `solve_posthoc_coefficients`. Karras et al. (2024), algorithm 3.
 * @example postHocWeights([{ sigmaRel: 0.05, step: 1e4 }, { sigmaRel: 0.1, step: 1e4 }], { sigmaRel: 0.07, step: 1e4 })
 */
export function postHocWeights(snapshots: readonly PowerSnapshot[], target: PowerSnapshot): PostHoc {
  const profiles = snapshots.map(profileOf)
  const wanted = profileOf(target, -1)
  if (profiles.length === 0) throw refused('give at least one snapshot')
  // Profiles scaled to size 1: what is left of the condition number is how alike they are.
  const sizes = profiles.map((profile) => Math.sqrt(product(profile, profile)))
  const gram = profiles.map((a, i) => profiles.map((b, j) => product(a, b) / ((sizes[i] ?? 1) * (sizes[j] ?? 1))))
  const right = profiles.map((profile, i) => product(profile, wanted) / (sizes[i] ?? 1))
  const { solution, inverseNorm } = solve(gram, right)
  const conditionNumber = norm(gram) * inverseNorm
  if (!(conditionNumber < singular)) throw refused(alike(snapshots, gram))
  const raw = solution.map((x, i) => x / (sizes[i] ?? 1))
  const sum = raw.reduce((a, b) => a + b, 0)
  if (!(sum > 0)) throw refused('the snapshots do not reach the profile asked for; keep some that are nearer to it')
  const weights = raw.map((x) => x / sum)
  return { weights, fitError: misfit(profiles, weights, wanted), conditionNumber }
}

const keys = { sigmaRel: 'power_ema_sigma_rel', gamma: 'power_ema_gamma', step: 'power_ema_step' } as const

/** Metadata without what it says of a file as a snapshot: for what is made from snapshots and is none. */
export function withoutSnapshot(metadata: Readonly<Record<string, string>>): Record<string, string> {
  const names: readonly string[] = Object.values(keys)
  return Object.fromEntries(Object.entries(metadata).filter(([name]) => !names.includes(name)))
}

/** The metadata under which a snapshot is found again: `saveModel(average, snapshotMetadata({ sigmaRel: 0.05, step }))`. */
export function snapshotMetadata(snapshot: PowerSnapshot): Record<string, string> {
  const { gamma, step } = profileOf(snapshot)
  const { sigmaRel } = snapshot
  const width = sigmaRel === undefined ? { [keys.gamma]: String(gamma) } : { [keys.sigmaRel]: String(sigmaRel) }
  return { ...width, [keys.step]: String(step) }
}

/** What the metadata of a file says of it as a snapshot; fields that are not there, or are no numbers, are left out. */
export function snapshotOf(
  metadata: Readonly<Record<string, string>>,
): Partial<Record<'sigmaRel' | 'gamma' | 'step', number>> {
  return Object.fromEntries(
    Object.entries(keys).flatMap(([field, key]) => {
      const text = metadata[key]?.trim() ?? ''
      return text === '' || !Number.isFinite(Number(text)) ? [] : [[field, Number(text)]]
    }),
  )
}

interface Profile {
  readonly gamma: number
  readonly step: number
}

function profileOf(snapshot: PowerSnapshot, at = 0): Profile {
  const { step } = snapshot
  if (!(step > 0 && step < Number.POSITIVE_INFINITY)) {
    const which = at < 0 ? "the target's step" : `the step of snapshot ${at + 1}`
    throw refused(`${which} must be a positive number, got ${step}`)
  }
  const gamma = snapshot.sigmaRel === undefined ? snapshot.gamma : gammaOf(snapshot.sigmaRel)
  // From -½ on, a profile has no finite size.
  if (!(gamma > -0.5 && gamma < Number.POSITIVE_INFINITY))
    throw refused(`gamma must be a number above -0.5, got ${gamma}`)
  return { gamma, step }
}

/** `∫ p_a p_b dt` of two profiles, each of which integrates to 1 and ends at its step. */
function product(a: Profile, b: Profile): number {
  const [early, late] = a.step < b.step ? [a, b] : [b, a]
  const shrunk = (early.step / late.step) ** late.gamma
  return ((a.gamma + 1) * (b.gamma + 1) * shrunk) / ((a.gamma + b.gamma + 1) * late.step)
}

function misfit(profiles: readonly Profile[], weights: readonly number[], wanted: Profile): number {
  const size = product(wanted, wanted)
  let square = size
  profiles.forEach((a, i) => {
    const weight = weights[i] ?? 0
    square -= 2 * weight * product(a, wanted)
    profiles.forEach((b, j) => {
      square += weight * (weights[j] ?? 0) * product(a, b)
    })
  })
  return Math.sqrt(Math.max(0, square) / size)
}

/** Largest sum of a column's absolute values. */
const norm = (matrix: readonly (readonly number[])[]): number =>
  Math.max(...matrix.map((_, column) => matrix.reduce((sum, row) => sum + Math.abs(row[column] ?? 0), 0)))

/** Solves `matrix · x = right` by elimination with row exchanges, with the inverse beside it for the condition number. */
function solve(matrix: readonly (readonly number[])[], right: readonly number[]) {
  const size = right.length
  const rows = matrix.map((row, i) => [...row, right[i] ?? 0, ...right.map((_, j) => (i === j ? 1 : 0))])
  for (let column = 0; column < size; column++) {
    const at = (row: number) => rows[row]?.[column] ?? 0
    let pivot = column
    for (let row = column + 1; row < size; row++) if (Math.abs(at(row)) > Math.abs(at(pivot))) pivot = row
    const [top, found] = [rows[column] ?? [], rows[pivot] ?? []]
    rows[column] = found
    rows[pivot] = top
    const divisor = at(column)
    if (divisor === 0) return { solution: right, inverseNorm: Number.POSITIVE_INFINITY }
    for (let row = 0; row < size; row++) {
      const target = rows[row]
      if (row === column || !target) continue
      const factor = at(row) / divisor
      for (let j = column; j < target.length; j++) target[j] = (target[j] ?? 0) - factor * (found[j] ?? 0)
    }
  }
  const scaled = rows.map((row, i) => row.slice(size).map((x) => x / (row[i] ?? 1)))
  return { solution: scaled.map(([x]) => x ?? 0), inverseNorm: norm(scaled.map(([, ...inverse]) => inverse)) }
}

function alike(snapshots: readonly PowerSnapshot[], gram: readonly (readonly number[])[]): string {
  let best: readonly [number, number] = [0, 0]
  let cosine = 0
  gram.forEach((row, i) => {
    row.forEach((value, j) => {
      if (j <= i || value <= cosine) return
      best = [i, j]
      cosine = value
    })
  })
  const told = best.map((i) => JSON.stringify(snapshots[i])).join(' and ')
  return `snapshots ${best[0] + 1} and ${best[1] + 1} (${told}) cannot be told apart; leave one of them out`
}

const refused = (problem: string): OptionError =>
  new OptionError(`postHocWeights: ${problem}.`, { op: 'postHocWeights' })
