/**
 * Matrix products: `out[…, m, n] = Σ_k a[…, m, k] · b[…, k, n]` for any strides and batch axes.
 *
 * How the backend uses it:
 * 1. Once per mode, `addMatmulKernels(module, mode)` adds the kernel exported as `matmul` (ABI of `launch.ts`) to a
 *    module of its own. In mode '256' the engine's switch must be on before that module is compiled.
 * 2. Once per descriptor, `planMatmul(kernel, mode)` gives the argument block, its pointer words (operands 0, 1, 2
 *    are a, b and the output; `scratch` is the workspace), a time estimate and `workBytes`.
 * 3. A run with T threads needs `T · workBytes` of scratch memory, aligned to 16 (64 is better), contents unspecified:
 *    thread t uses the t-th stretch. Every thread calls `matmul(params, t, T)`; there is no barrier inside, none is
 *    needed between the threads of one product, and a thread without a share returns at once.
 *
 * What may be relied on:
 * - One arithmetic: every output element is one sum, started from 0 and added to in ascending k (fused in modes
 *   'fma' and '256', which give the same bits), whatever is packed, however k is cut, however many threads run.
 * - Only the output's elements and the workspace are written. Up to 64 bytes past the last element of b's row
 *   (or a's, when the product is computed transposed) are read, and nothing depends on them: keep as much slack at the
 *   end of memory.
 * - The output must not overlap a or b.
 * - With an epilogue (`epilogue.ts`) it is called on every element of the output once, after its sum is complete.
 */
import { type FunctionRef, i32, type I32, type ModuleBuilder, select } from '../assembler.js'
import type { KernelFamily } from '../kernel-module.js'
import { type CallWords, kernelParameters } from '../launch.js'
import type { Mode } from '../modes.js'
import { addProduct } from './product.js'
import { columnsOf, type Tile, tiles } from './tile.js'
import { axisWords, words } from './words.js'

export { type MatmulChoices, type MatmulPlan, planMatmul } from './plan.js'

/** Words of the kernel's block for an epilogue. */
export const matmulCalls: CallWords = words

/** Name of the kernel's export. */
export const matmulEntry = 'matmul'

const families = new Map<Tile, KernelFamily>()

/** The kernels with this tile. */
export function matmulFamily(tile: Tile): KernelFamily {
  const known = families.get(tile)
  if (known) return known
  const family: KernelFamily = (module, mode) => addMatmulKernels(module, mode, tile)
  families.set(tile, family)
  return family
}

/** Adds the kernel `matmul` and what it calls to the module; its argument block is `planMatmul`'s. */
export function addMatmulKernels(
  module: ModuleBuilder,
  mode: Mode,
  tile: Tile = tiles[mode.name],
): FunctionRef<typeof kernelParameters> {
  const product = addProduct(module, tile)
  const f = module.function(matmulEntry, kernelParameters, { export: true })
  const [params, thread, threads] = f.params
  const word = (name: keyof typeof words) => f.let(i32.load(params, words[name] * 4))
  const work = f.let(word('work').add(thread.mul(word('workBytes'))))
  const [units, allUnits, byRows] = [word('units'), word('allUnits'), word('splitRows')]
  const unit = f.let(select(byRows, i32.const(tile.rows), i32.const(columnsOf(tile))))
  const share = (t: I32) => allUnits.mul(t).divU(threads)
  const next = f.let(share(thread))
  const end = f.let(share(thread.add(1)))
  const [batch, first, count, a, b, output, axis, index] = [
    f.local('i32'),
    f.local('i32'),
    f.local('i32'),
    f.local('i32'),
    f.local('i32'),
    f.local('i32'),
    f.local('i32'),
    f.local('i32'),
  ]
  const [m, n, start] = [f.local('i32'), f.local('i32'), f.local('i32')]
  const least = (x: I32, y: I32) => select(x.lt(y), x, y)
  // A share is a stretch of tiles along the longer side, and may begin and end inside products of the batch.
  f.while(next.lt(end), () => {
    f.set(batch, next.divU(units))
    f.set(first, next.remU(units))
    f.set(count, least(end.sub(next), units.sub(first)))
    f.inc(next, count)
    for (const [address, name] of [
      [a, 'a'],
      [b, 'b'],
      [output, 'output'],
    ] as const)
      f.set(address, i32.load(params, words[name] * 4))
    f.set(axis, params.add(i32.load(params, words.axes * 4).mul(axisWords.count * 4)))
    f.while(axis.ne(params), () => {
      f.inc(axis, -axisWords.count * 4)
      const at = (name: 'size' | 'a' | 'b' | 'output') => i32.load(axis, (words.firstAxis + axisWords[name]) * 4)
      f.set(index, batch.remU(at('size')))
      f.set(batch, batch.divU(at('size')))
      f.inc(a, index.mul(at('a')))
      f.inc(b, index.mul(at('b')))
      f.inc(output, index.mul(at('output')))
    })
    f.set(m, i32.load(params, words.m * 4))
    f.set(n, i32.load(params, words.n * 4))
    f.set(start, first.mul(unit))
    f.set(count, count.mul(unit))
    f.if(
      byRows,
      () => {
        f.set(m, least(m.sub(start), count))
        f.inc(a, start.mul(i32.load(params, words.aRow * 4)))
        f.inc(output, start.mul(i32.load(params, words.outputRow * 4)))
      },
      () => {
        f.set(n, least(n.sub(start), count))
        f.inc(b, start.mul(i32.load(params, words.bColumn * 4)))
        f.inc(output, start.mul(i32.load(params, words.outputColumn * 4)))
      },
    )
    f.call(product, [params, work, a, b, output, m, n])
  })
  return f
}
