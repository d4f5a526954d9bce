import { f32, type FunctionRef, type ModuleBuilder, v128 } from '../assembler.js'

const copySignature = ['i32', 'i32', 'i32', 'i32', 'i32', 'i32', 'i32', 'i32'] as const
/** Parameters: destination, its row and column step, source, its row and column step, rows, columns; steps in bytes. */
export type CopyTile = FunctionRef<typeof copySignature>

/** Copies a small block with any strides. Touches nothing but its elements. */
export function addCopyTile(module: ModuleBuilder): CopyTile {
  const f = module.function('matmulCopyTile', copySignature)
  const [d, dRow, dColumn, s, sRow, sColumn, m, n] = f.params
  const [to, from, left] = [f.local('i32'), f.local('i32'), f.local('i32')]
  f.while(m.gt(0), () => {
    f.set(to, d)
    f.set(from, s)
    f.set(left, n)
    f.if(dColumn.eq(4).and(sColumn.eq(4)), () => {
      f.while(left.ge(4), () => {
        f.store(to, v128.load(from))
        f.inc(to, 16)
        f.inc(from, 16)
        f.inc(left, -4)
      })
    })
    f.while(left.gt(0), () => {
      f.store(to, f32.load(from))
      f.inc(to, dColumn)
      f.inc(from, sColumn)
      f.inc(left, -1)
    })
    f.inc(d, dRow)
    f.inc(s, sRow)
    f.inc(m, -1)
  })
  return f
}

const clearSignature = ['i32', 'i32', 'i32', 'i32', 'i32'] as const

/** Sets a block to 0: what a product over no k is. Parameters: address, row and column step, rows, columns. */
export function addClear(module: ModuleBuilder): FunctionRef<typeof clearSignature> {
  const f = module.function('matmulClear', clearSignature)
  const [d, dRow, dColumn, m, n] = f.params
  const [to, left] = [f.local('i32'), f.local('i32')]
  f.while(m.gt(0), () => {
    f.set(to, d)
    f.set(left, n)
    f.while(left.gt(0), () => {
      f.store(to, f32.const(0))
      f.inc(to, dColumn)
      f.inc(left, -1)
    })
    f.inc(d, dRow)
    f.inc(m, -1)
  })
  return f
}
