/** placeholder doc */
import type { FunctionRef, ModuleBuilder } from '../assembler.js'
import { i32, type I32, select } from '../assembler.js'
import { kernelParameters } from '../launch.js'
import type { Mode } from '../modes.js'
import { addProduct } from './product.js'
import { columnsOf, tiles } from './tile.js'
import { axisWords, words } from './words.js'

export { type MatmulPlan, planMatmul } from './plan.js'

export const matmulEntry = 'matmul'

/** Adds the kernel `matmul` and what it calls to the module; its argument block is `planMatmul`'s. */
export function addMatmulKernels(module: ModuleBuilder, mode: Mode): FunctionRef<typeof kernelParameters> {
  const tile = tiles[mode.name]
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
    f.local('i32'), f.local('i32'), f.local('i32'), f.local('i32'), f.local('i32'), f.local('i32'), f.local('i32'), f.local('i32'),
  ]
  const [m, n, start] = [f.local('i32'), f.local('i32'), f.local('i32')]
  const least = (x: I32, y: I32) => select(x.lt(y), x, y)
  f.while(next.lt(end), () => {
    f.set(batch, next.divU(units))
    f.set(first, next.remU(units))
    f.set(count, least(end.sub(next), units.sub(first)))
    f.inc(next, count)
    for (const [address, name] of [[a, 'a'], [b, 'b'], [output, 'output']] as const) f.set(address, i32.load(params, words[name] * 4))
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
    f.if(byRows, () => {
      f.set(m, least(m.sub(start), count))
      f.inc(a, start.mul(i32.load(params, words.aRow * 4)))
      f.inc(output, start.mul(i32.load(params, words.outputRow * 4)))
    }, () => {
      f.set(n, least(n.sub(start), count))
      f.inc(b, start.mul(i32.load(params, words.bColumn * 4)))
      f.inc(output, start.mul(i32.load(params, words.outputColumn * 4)))
    })
    f.call(product, [params, work, a, b, output, m, n])
  })
  return f
}
