import { constant, type Expr, input, scalar, uniform } from '../kernels/expr.js'
import { type Element, type Pass, type PassReduction, prepareForeach, runPass, type Stretch } from '../model/foreach.js'
import { isFloat } from '../shapes/dtype.js'
import type { Device } from '../tensor/device.js'
import { fillTensor } from '../tensor/fill.js'
import type { Scalars } from '../tensor/recorder.js'
import { emptyTensor, type TensorRecord } from '../tensor/record.js'
import { blendDType, blended, compensation, type GroupTypes, type NonFinitePolicy, type Precision } from './blend.js'
import type { Measure, UpdateRule } from './define.js'
import { driftReductions } from './drift.js'
import type { Treated } from './treatment.js'

/** The tensors that an update keeps beside one of the target's, by name: states of the rule, what rounding has lost. */
export type Kept = Readonly<Record<string, TensorRecord>>

/** Numbers of each tensor's own, and whether it takes part, in memory that the host writes before each run. */
export interface Own {
  readonly numbers: readonly Element[]
  readonly guard: Element
}

/** What an update is prepared from. */
export interface Preparation {
  readonly treated: readonly Treated[]
  readonly rule: Pick<UpdateRule, 'state' | 'measures' | 'scalarCount' | 'next'>
  readonly precision: Precision
  readonly nonFinite: NonFinitePolicy
  /** Whether blends measure how far target and source are apart. */
  readonly metrics: boolean
  /** What is kept for a tensor of the target. */
  readonly kept: (target: TensorRecord) => Kept
  /** Where tensors have numbers of their own instead of the rule's scalars. */
  readonly own?: (target: TensorRecord) => Own
}

/** An update with its kernels, which can run as long as the tensors live. */
export interface Prepared {
  readonly device: Device | undefined
  /** `numbers` are the scalars of the rule at this update, then the key of random numbers. */
  run(numbers: Scalars): void
  /** For policies that look before they write: 1 where all was finite, one a scan, in the order of `scanned`. */
  readonly finite: readonly TensorRecord[]
  readonly scanned: readonly (readonly string[])[]
  /** For these, and with metrics: how many elements of the source are not finite, by dtypes. What is skipped is not measured. */
  readonly wrong: readonly TensorRecord[]
  /** The results of `driftReductions`, for each blend. */
  readonly drift: readonly (readonly TensorRecord[])[]
  readonly blendedSize: number
}

/** Tensors that one kernel can treat: those of one treatment and the same dtypes. */
interface Group {
  readonly types: GroupTypes
  readonly copies: boolean
  readonly pairs: { readonly path: string; readonly target: TensorRecord; readonly source: TensorRecord }[]
}

/** The kernels of an update: one for each group; all parameters are usually in one. Keeps memory of its own. */
export function prepare(preparation: Preparation): Prepared {
  const device = preparation.treated[0]?.pair.target.tensor.device
  return device ? device.aside(() => prepareNow(preparation)) : prepareNow(preparation)
}

function prepareNow(preparation: Preparation): Prepared {
  const groups = groupsOf(preparation.treated)
  const scans = looksFirst(preparation.nonFinite) ? groups.flatMap((group) => scanOf(group, preparation) ?? []) : []
  const verdict = scans.length > 1 && preparation.nonFinite !== 'skipTensor' ? verdictOf(scans) : undefined
  const guardOf = (group: Group, i: number): Element | undefined => {
    const scan = scans.find((one) => one.group === group)
    if (preparation.nonFinite === 'skipTensor') return scan && { tensor: scan.each, at: i }
    const all = verdict?.results[0] ?? scans[0]?.all
    return all && { tensor: all }
  }
  const measures = measuresOf(groups, preparation, guardOf)
  const passes = groups.map((group) => ({
    group,
    pass: group.copies
      ? copyPass(group, preparation, guardOf)
      : blendPass(group, preparation, { guardOf, measured: measures.results.get(group) ?? [] }),
  }))
  return {
    device: passes.find(({ pass }) => pass)?.pass?.device,
    run(numbers) {
      for (const { pass } of scans) runPass(pass, [])
      if (verdict) runPass(verdict, [])
      for (const pass of measures.passes) runPass(pass, [])
      for (const { group, pass } of passes) if (pass) runPass(pass, group.copies ? [] : numbers)
    },
    finite: scans.map(({ each }) => each),
    scanned: scans.map(({ group }) => group.pairs.map(({ path }) => path)),
    wrong: scans.flatMap(({ wrong }) => wrong ?? []),
    drift: passes.flatMap(({ group, pass }) => (pass && !group.copies && preparation.metrics ? [pass.results] : [])),
    blendedSize: groups.reduce(
      (sum, { copies, pairs }) => sum + (copies ? 0 : pairs.reduce((n, { target }) => n + target.size, 0)),
      0,
    ),
  }
}

const looksFirst = (policy: NonFinitePolicy): boolean =>
  policy === 'skipTensor' || policy === 'skipAll' || policy === 'error'

function groupsOf(treated: readonly Treated[]): Group[] {
  const groups = new Map<string, Group>()
  for (const { pair, treatment } of treated) {
    if (treatment === 'skip') continue
    const [target, source] = [pair.target.tensor, pair.source.tensor]
    const key = `${treatment} ${target.dtype} ${source.dtype}`
    const types = { target: target.dtype, source: source.dtype }
    const group = groups.get(key) ?? { types, copies: treatment === 'copy', pairs: [] }
    groups.set(key, group)
    group.pairs.push({ path: pair.path, target, source })
  }
  return [...groups.values()]
}

interface Scan {
  readonly group: Group
  readonly pass: Pass
  /** 1 for each tensor that is finite, else 0. */
  readonly each: TensorRecord
  /** 1 when all are. */
  readonly all: TensorRecord
  /** How many elements are not, where blends are measured. */
  readonly wrong: TensorRecord | undefined
}

/** Results that outlive any step, so that programs can be told their place. */
const lasting = (device: Device, dtype: 'f32' | 'u32', shape: readonly number[]): TensorRecord =>
  emptyTensor(device, dtype, shape, 'buffer')

function scanOf(group: Group, { nonFinite, metrics }: Preparation): Scan | undefined {
  const { types, pairs } = group
  const device = pairs[0]?.target.device
  if (!isFloat(types.source) || !device) return undefined
  const each = lasting(device, 'u32', [pairs.length])
  const all = lasting(device, 'u32', [])
  fillTensor(each, 1)
  const finite = input(0, types.source).cast(blendDType(types.source)).isFinite()
  const expr = finite.cast('u32')
  const reductions: PassReduction[] = [{ combine: 'min', expr, over: 'part', result: each }]
  if (nonFinite !== 'skipTensor') reductions.push({ combine: 'min', expr, over: 'all', result: all })
  const wrong = metrics && !group.copies ? lasting(device, 'u32', []) : undefined
  if (wrong) {
    fillTensor(wrong, 0)
    reductions.push({ combine: 'sum', expr: finite.not().cast('u32'), over: 'all', result: wrong })
  }
  const stretches = pairs.map(({ source }): Stretch => ({ reads: [source], writes: [] }))
  const pass = prepareForeach([], stretches, reductions)
  return pass && { group, pass, each, all, wrong }
}

/** Whether all scans found all finite. */
function verdictOf(scans: readonly Scan[]): Pass | undefined {
  const device = scans[0]?.all.device
  if (!device) return undefined
  const result = lasting(device, 'u32', [])
  const stretches = scans.map(({ all }): Stretch => ({ reads: [all], writes: [] }))
  return prepareForeach([], stretches, [{ combine: 'min', expr: input(0, 'u32'), over: 'all', result }])
}

type GuardOf = (group: Group, i: number) => Element | undefined

function copyPass(group: Group, { nonFinite }: Preparation, guardOf: GuardOf): Pass | undefined {
  const { types, pairs } = group
  const choosy = nonFinite === 'skipElement' && isFloat(types.source)
  const stretches = pairs.map(({ target, source }, i): Stretch => {
    const guard = guardOf(group, i)
    return { reads: choosy ? [source, target] : [source], writes: [target], ...(guard && { guard }) }
  })
  const source = input(0, types.source)
  const copied = source.cast(types.target)
  const finite = () => source.cast(blendDType(types.source)).isFinite()
  return prepareForeach([choosy ? finite().select(copied, input(1, types.target)) : copied], stretches)
}

/** What a blend is told besides its preparation. */
interface Told {
  readonly guardOf: GuardOf
  readonly measured: readonly Measured[]
}

function blendPass(group: Group, preparation: Preparation, { guardOf, measured: results }: Told): Pass | undefined {
  const { types, pairs } = group
  const { rule, precision, nonFinite, kept, own, metrics } = preparation
  const dtype = blendDType(types.target)
  const ownCount = own && pairs[0] ? own(pairs[0].target).numbers.length : 0
  const numbers = Array.from({ length: rule.scalarCount }, (_, slot) =>
    own && pairs[0]
      ? uniform(slot, own(pairs[0].target).numbers[slot]?.tensor.dtype ?? 'f32').cast(dtype)
      : scalar(slot, dtype),
  )
  const names = Object.keys(rule.measures)
  const measured = Object.fromEntries(
    names.map((name, i) => [name, uniform(ownCount + i, results[i]?.result.dtype ?? dtype).cast(dtype)]),
  )
  const { states, writes, exprs } = blended({
    rule,
    types,
    precision,
    skipNonFinite: nonFinite === 'skipElement',
    numbers,
    measured,
    randomSlot: own ? 0 : rule.scalarCount,
  })
  const stretches = pairs.map(({ target, source }, i): Stretch => {
    const tensors: Kept = { ...kept(target), target, source }
    const named = (name: string): TensorRecord => tensors[name] ?? target
    const mine = own?.(target)
    const uniforms = [
      ...(mine?.numbers ?? []),
      ...results.map(({ result, over }) => ({ tensor: result, at: over === 'part' ? i : 0 })),
    ]
    const guard = mine?.guard ?? guardOf(group, i)
    return {
      reads: [target, source, ...states.map(named)],
      writes: writes.map(named),
      ...(uniforms.length > 0 && { uniforms }),
      ...(guard && { guard }),
    }
  })
  const unchanged = (name: string): Expr => {
    const before = input(name === 'target' ? 0 : 2 + states.indexOf(name), types.target).cast(dtype)
    return (exprs[writes.indexOf(name)]?.cast(dtype) ?? before).eq(before)
  }
  // Rounded at random, no step is lost for good.
  const stays = {
    plain: () => unchanged('target'),
    kahan: () => unchanged('target').and(unchanged(compensation)),
    stochastic: () => constant(0, 'u32').ne(constant(0, 'u32')),
  }
  return prepareForeach(exprs, stretches, metrics ? driftReductions(types, stays[precision]()) : [])
}

/** A number of each tensor of a group, or one of all tensors that the rule blends. */
interface Measured {
  readonly result: TensorRecord
  readonly over: 'part' | 'all'
}

/** What a rule measures: where that is for each group, and the passes that work it out before anything is written. */
interface Measures {
  readonly results: ReadonlyMap<Group, readonly Measured[]>
  readonly passes: readonly Pass[]
}

function measuresOf(groups: readonly Group[], { rule, nonFinite }: Preparation, guardOf: GuardOf): Measures {
  const measures = Object.values(rule.measures)
  const blends = groups.filter(({ copies }) => !copies)
  const device = blends[0]?.pairs[0]?.target.device
  if (measures.length === 0 || !device) return { results: new Map(), passes: [] }
  // A number of all tensors is in one dtype.
  const common = blends.some(({ types }) => blendDType(types.target) === 'f64') ? 'f64' : 'f32'
  const one = (): Measured => ({ over: 'all', result: emptyTensor(device, common, [], 'buffer') })
  const own = blends.map((group) => {
    const each = (): Measured => ({
      over: 'part',
      result: emptyTensor(device, blendDType(group.types.target), [group.pairs.length], 'buffer'),
    })
    return measures.map(({ over }) => (over === 'model' ? one() : each()))
  })
  const passes = blends.flatMap(
    (group, g) => measurePass(group, measures, { places: own[g] ?? [], nonFinite, guardOf }) ?? [],
  )
  if (blends.length === 1) return { results: new Map(blends.map((group, g) => [group, own[g] ?? []])), passes }
  const totals = measures.map(({ combine, over }, i) => {
    if (over !== 'model') return undefined
    const total = one()
    const stretches = own.flatMap((places): Stretch[] => {
      const place = places[i]
      return place ? [{ reads: [place.result], writes: [] }] : []
    })
    const expr = input(0, common)
    const pass = prepareForeach([], stretches, [{ combine, expr, over: 'all', result: total.result }])
    return pass && { total, pass }
  })
  return {
    results: new Map(blends.map((group, g) => [group, (own[g] ?? []).map((place, i) => totals[i]?.total ?? place)])),
    passes: [...passes, ...totals.flatMap((each) => (each ? [each.pass] : []))],
  }
}

/** What changes no sum, maximum or minimum. */
const neutral = { sum: 0, max: Number.NEGATIVE_INFINITY, min: Number.POSITIVE_INFINITY } as const

/** What a measuring pass is told besides its measures. */
interface Measuring {
  readonly places: readonly Measured[]
  readonly nonFinite: NonFinitePolicy
  readonly guardOf: GuardOf
}

/** The pass that works out what a rule measures of one group. Elements, and tensors, that are skipped are not measured. */
function measurePass(
  group: Group,
  measures: readonly Measure[],
  { places, nonFinite, guardOf }: Measuring,
): Pass | undefined {
  const dtype = blendDType(group.types.target)
  const values: { readonly target: Expr; readonly source: Expr } = {
    target: input(0, group.types.target).cast(dtype),
    source: input(1, group.types.source).cast(dtype),
  }
  const reductions = measures.flatMap(({ combine, of }, i): PassReduction[] => {
    const place = places[i]
    if (!place) return []
    const value = of(values).cast(place.result.dtype)
    const taken = values.source.isFinite().select(value, constant(neutral[combine], value.dtype))
    return [{ combine, expr: nonFinite === 'skipElement' ? taken : value, ...place }]
  })
  const stretches = group.pairs.map(({ target, source }, i): Stretch => {
    const guard = guardOf(group, i)
    return { reads: [target, source], writes: [], ...(guard && { guard }) }
  })
  return prepareForeach([], stretches, reductions)
}
