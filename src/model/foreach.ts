import type { DType } from '../shapes/dtype.js'
import { type Expr, input } from '../kernels/expr.js'
import type { ForeachKernel, Part, Place, Reduction } from '../kernels/kernel.js'
import type { Device } from '../tensor/device.js'
import type { Scalars } from '../tensor/recorder.js'
import { emptyTensor, type TensorRecord } from '../tensor/record.js'
import type { Storage } from '../tensor/storage.js'

/** One element of a tensor. */
export interface Element {
  readonly tensor: TensorRecord
  /** Row-major; the first if not given. */
  readonly at?: number
}

/** What one stretch of a whole-model pass reads and writes: contiguous tensors of one size. */
export interface Stretch {
  readonly reads: readonly TensorRecord[]
  readonly writes: readonly TensorRecord[]
  /** One number each for the whole stretch: slot i of `uniform` is `uniforms[i]`. The pass must not write them. */
  readonly uniforms?: readonly Element[]
  /** A bool (or u32): where it is 0 the stretch is neither read nor written. The pass must not write it. */
  readonly guard?: Element
}

/** A number that a pass makes of each stretch, or of all of them, from the values before it writes. */
export interface PassReduction extends Pick<Reduction, 'combine' | 'expr' | 'over'> {
  /**
   * Contiguous, of the expression's dtype: one element, or one a stretch. If not given the pass makes one, which in a
   * captured function lives no longer than the program.
   */
  readonly result?: TensorRecord
}

/** A whole-model pass that can run again as long as its tensors live. */
export interface Pass {
  readonly device: Device
  readonly storages: readonly Storage[]
  readonly written: readonly Storage[]
  /** Where each reduction goes: `[]`, or `[stretches]` over parts. */
  readonly results: readonly TensorRecord[]
  /** The same one until storages have changed places. */
  kernel(): ForeachKernel
}

/**
 * `exprs` over many tensors in one pass: slot i of an expression is `reads[i]`, expression j goes to `writes[j]`,
 * which may be one of the reads. All stretches have the same dtypes.
 */
export function prepareForeach(
  exprs: readonly Expr[],
  stretches: readonly Stretch[],
  reductions: readonly PassReduction[] = [],
): Pass | undefined {
  const first = stretches[0]
  const device = (first?.reads[0] ?? first?.writes[0])?.device
  if (!first || !device) return undefined
  const results = reductions.map(
    ({ expr, over, result }) => result ?? emptyTensor(device, expr.dtype, over === 'all' ? [] : [stretches.length]),
  )
  const slots = new Map<Storage, number>()
  const place = (tensor: TensorRecord, at = 0): Place => {
    const buffer = slots.get(tensor.storage) ?? slots.size
    slots.set(tensor.storage, buffer)
    return { buffer, offset: tensor.operand().offset + at }
  }
  const dtypes = (tensors: readonly TensorRecord[]): DType[] => tensors.map((tensor) => tensor.dtype)
  const placed = (): ForeachKernel => {
    const parts = stretches.map(({ reads, writes, uniforms, guard }): Part => {
      const operands = [...reads, ...writes]
      return {
        length: operands[0]?.size ?? 0,
        operands: operands.map((tensor) => place(tensor)),
        ...(uniforms && { uniforms: uniforms.map(({ tensor, at }) => place(tensor, at)) }),
        ...(guard && { guard: place(guard.tensor, guard.at) }),
      }
    })
    const reduced = reductions.flatMap(({ combine, expr, over }, i): Reduction[] => {
      const result = results[i]
      return result ? [{ combine, expr, over, result: place(result) }] : []
    })
    return {
      kind: 'foreach',
      inputs: dtypes(first.reads),
      outputs: dtypes(first.writes),
      exprs,
      parts,
      ...(first.uniforms && { uniforms: dtypes(first.uniforms.map(({ tensor }) => tensor)) }),
      ...(reductions.length > 0 && { reductions: reduced }),
    }
  }
  let kernel = placed()
  let { exchanges } = device
  return {
    device,
    storages: [...slots.keys()],
    written: [...stretches.flatMap(({ writes }) => writes), ...results].map((tensor) => tensor.storage),
    results,
    kernel() {
      if (exchanges !== device.exchanges) {
        exchanges = device.exchanges
        kernel = placed()
      }
      return kernel
    },
  }
}

/** Runs a pass. Counts as a write in place. */
export function runPass(pass: Pass, scalars: Scalars): void {
  const { device, storages, written } = pass
  for (const storage of written) {
    storage.requireOwn()
    // While a function is captured nothing is written; its program settles them before each run.
    if (!device.recorder) storage.settleReaders()
  }
  device.run(pass.kernel(), storages, scalars)
  for (const storage of written) storage.changed()
}

/** A pass that runs once; where its reductions have gone. */
export function foreachTensors(
  exprs: readonly Expr[],
  stretches: readonly Stretch[],
  scalars: Scalars,
  reductions?: readonly PassReduction[],
): readonly TensorRecord[] {
  const pass = prepareForeach(exprs, stretches, reductions)
  if (pass) runPass(pass, scalars)
  return pass?.results ?? []
}

/** One tensor's values in another of the same shape, converted; both contiguous. */
export function copyInto(target: TensorRecord, source: TensorRecord): void {
  copyAllInto([[target, source]])
}

/** The values of many tensors in others of the same shapes, converted; all contiguous. One pass for each pair of dtypes. */
export function copyAllInto(copies: readonly (readonly [target: TensorRecord, source: TensorRecord])[]): void {
  const groups: Stretch[][] = []
  for (const [target, source] of copies) {
    const alike = groups.find(([first]) => {
      const [to, from] = [first?.writes[0], first?.reads[0]]
      return to?.device === target.device && to.dtype === target.dtype && from?.dtype === source.dtype
    })
    const stretch = { reads: [source], writes: [target] }
    if (alike) alike.push(stretch)
    else groups.push([stretch])
  }
  for (const group of groups) {
    const [to, from] = [group[0]?.writes[0], group[0]?.reads[0]]
    if (to && from) foreachTensors([input(0, from.dtype).cast(to.dtype)], group, [])
  }
}
