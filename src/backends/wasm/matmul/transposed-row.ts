import { f32x4, type FunctionRef, i32x4, type Local, type ModuleBuilder, type V128, v128 } from '../assembler.js'

const signature = ['i32', 'i32', 'i32', 'i32', 'i32', 'i32', 'i32'] as const
/** Parameters: `k ≥ 1` steps, A and its step along k, B and its step from one column to the next, the output, `n` columns. */
export type TransposedRow = FunctionRef<typeof signature>

const widest = 4

/**
 * One row of A times a B whose columns are contiguous: a layer applied to a single example, with its weights stored
 * by output. Packing would cost more than the product, so blocks of four columns by four k are transposed in
 * registers on the way. The output is contiguous.
 */
export function addTransposedRow(module: ModuleBuilder, fma: boolean): TransposedRow {
  const wide = addColumns(module, 'matmulRowOf16', widest, fma)
  const narrow = addColumns(module, 'matmulRowOf4', 1, fma)
  const f = module.function('matmulTransposedRow', signature)
  const [k, a, aStep, b, bColumn, c, n] = f.params
  const steps = (kernel: FunctionRef<typeof columnsSignature>, width: number) => {
    f.while(n.ge(width), () => {
      f.call(kernel, [k, a, aStep, b, bColumn, c])
      f.inc(b, bColumn.mul(width))
      f.inc(c, width * 4)
      f.inc(n, -width)
    })
    // What is left is computed together with columns that are done already: the same numbers are stored again.
    f.if(n, () => {
      const back = f.let(n.sub(width))
      f.call(kernel, [k, a, aStep, b.add(back.mul(bColumn)), bColumn, c.add(back.shl(2))])
    })
    f.return()
  }
  f.if(n.ge(widest * 4), () => steps(wide, widest * 4))
  f.if(n.ge(4), () => steps(narrow, 4))
  const [p, q, left, sum] = [f.local('i32'), f.local('i32'), f.local('i32'), f.local('v128')]
  const multiplyAdd = multiplyAdder(fma)
  f.while(n, () => {
    f.set(p, a)
    f.set(q, b)
    f.set(left, k)
    f.set(sum, f32x4.const(0))
    f.doWhile(() => {
      f.set(sum, multiplyAdd(v128.load32_zero(p), v128.load32_zero(q), sum))
      f.inc(p, aStep)
      f.inc(q, 4)
      f.inc(left, -1)
    }, left)
    f.store(c, f32x4.extract_lane(sum, 0))
    f.inc(b, bColumn)
    f.inc(c, 4)
    f.inc(n, -1)
  })
  return f
}

const multiplyAdder = (fma: boolean) => (x: V128, y: V128, sum: V128) =>
  fma ? f32x4.relaxed_madd(x, y, sum) : f32x4.add(sum, f32x4.mul(x, y))

const columnsSignature = ['i32', 'i32', 'i32', 'i32', 'i32', 'i32'] as const

/** `groups` times four columns, all k. Several groups, because each has one sum in flight. */
function addColumns(
  module: ModuleBuilder,
  name: string,
  groups: number,
  fma: boolean,
): FunctionRef<typeof columnsSignature> {
  const f = module.function(name, columnsSignature)
  const [k, a, aStep, b, bColumn, c] = f.params
  const multiplyAdd = multiplyAdder(fma)
  const columns2 = f.let(bColumn.shl(1))
  const columns3 = f.let(columns2.add(bColumn))
  const columns4 = f.let(bColumn.shl(2))
  const pointers: Local<'i32'>[] = [b]
  for (let g = 1; g < groups; g++) pointers.push(f.let((pointers[g - 1] ?? b).add(columns4)))
  const sums = pointers.map(() => f.local('v128'))
  const factors = [f.local('v128'), f.local('v128'), f.local('v128'), f.local('v128')]
  const rows = [f.local('v128'), f.local('v128'), f.local('v128'), f.local('v128')] as const
  const pairs = [f.local('v128'), f.local('v128'), f.local('v128'), f.local('v128')] as const
  const at = (p: Local<'i32'>) => [p, p.add(bColumn), p.add(columns2), p.add(columns3)]

  const left = f.let(k.shrU(2))
  f.while(left, () => {
    for (const factor of factors) {
      f.set(factor, v128.load32_splat(a))
      f.inc(a, aStep)
    }
    pointers.forEach((p, g) => {
      const sum = sums[g]
      for (const [i, address] of at(p).entries()) f.set(rows[i] ?? rows[0], v128.load(address))
      f.inc(p, 16)
      const [r0, r1, r2, r3] = rows
      const [p0, p1, p2, p3] = pairs
      f.set(p0, i32x4.shuffle(r0, r1, [0, 4, 1, 5]))
      f.set(p1, i32x4.shuffle(r2, r3, [0, 4, 1, 5]))
      f.set(p2, i32x4.shuffle(r0, r1, [2, 6, 3, 7]))
      f.set(p3, i32x4.shuffle(r2, r3, [2, 6, 3, 7]))
      const transposed = [
        i32x4.shuffle(p0, p1, [0, 1, 4, 5]),
        i32x4.shuffle(p0, p1, [2, 3, 6, 7]),
        i32x4.shuffle(p2, p3, [0, 1, 4, 5]),
        i32x4.shuffle(p2, p3, [2, 3, 6, 7]),
      ]
      if (!sum) return
      for (const [i, column] of transposed.entries()) f.set(sum, multiplyAdd(factors[i] ?? sum, column, sum))
    })
    f.inc(left, -1)
  })
  f.set(left, k.and(3))
  f.while(left, () => {
    pointers.forEach((p, g) => {
      const sum = sums[g]
      const gathered = at(p).reduce<V128>(
        (v, address, i) => (i === 0 ? v : v128.load32_lane(address, v, i)),
        v128.load32_zero(p),
      )
      if (sum) f.set(sum, multiplyAdd(v128.load32_splat(a), gathered, sum))
      f.inc(p, 4)
    })
    f.inc(a, aStep)
    f.inc(left, -1)
  })
  for (const [g, sum] of sums.entries()) f.store(c, sum, g * 16)
  return f
}
