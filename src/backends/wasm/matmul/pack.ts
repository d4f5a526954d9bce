import {
  f32,
  type FunctionBuilder,
  type FunctionRef,
  type I32,
  i32,
  i32x4,
  type Local,
  type ModuleBuilder,
  select,
  v128,
} from '../assembler.js'

const signature = ['i32', 'i32', 'i32', 'i32', 'i32', 'i32'] as const
/**
 * Parameters: `d` destination, `s` source, `ks` step along k, `ws` step along the width, `k` steps, `w` valid
 * columns, at least 1; steps in bytes. Writes `[k][width]`; columns from `w` on get numbers nothing depends on.
 */
export type Packer = FunctionRef<typeof signature>

const range = (n: number) => Array.from({ length: n }, (_, i) => i)

/** Copies a panel of `width` columns so that a micro-kernel reads it from end to end. */
export function addPacker(module: ModuleBuilder, name: string, width: number): Packer {
  const f = module.function(name, signature)
  const [d, s, ks, ws, k, w] = f.params
  const whole = width & ~3

  // Columns are neighbours: rows are copied as they are. Reads up to width · 4 − 4 bytes past the last column.
  f.if(ws.eq(4), () => {
    f.while(k.gt(0), () => {
      for (const j of range(whole >> 2)) f.store(d, v128.load(s, j * 16), j * 16)
      for (let j = whole; j < width; j++) f.store(d, f32.load(s, j * 4), j * 4)
      f.inc(d, width * 4)
      f.inc(s, ks)
      f.inc(k, -1)
    })
    f.return()
  })

  // k is contiguous: four columns by four k are transposed in registers, four streams at a time.
  const pointers = range(4).map(() => f.local('i32'))
  const target = f.local('i32')
  const left = f.local('i32')
  const first = f.local('i32')
  /** Columns that are not there repeat the last one, so that nothing beyond the operand is read. */
  const column = (j: I32): I32 => s.add(select(w.gt(j), j, w.sub(1)).mul(ws))
  f.if(ks.eq(4).and(k.ge(4)), () => {
    f.for(first, 0, whole, 4, () => {
      for (const [i, p] of pointers.entries()) f.set(p, column(first.add(i)))
      f.set(target, d.add(first.shl(2)))
      f.set(left, k.shrU(2))
      f.doWhile(() => {
        storeTransposed(f, pointers, target, width * 4)
        for (const p of pointers) f.inc(p, 16)
        f.inc(target, width * 16)
        f.inc(left, -1)
      }, left)
    })
    const p = pointers[0] ?? s
    for (let j = whole; j < width; j++) {
      f.set(p, column(i32.const(j)))
      f.set(target, d.add(j * 4))
      f.set(left, k.shrU(2))
      f.doWhile(() => {
        for (const u of range(4)) f.store(target, f32.load(p, u * 4), u * width * 4)
        f.inc(p, 16)
        f.inc(target, width * 16)
        f.inc(left, -1)
      }, left)
    }
    f.set(left, k.and(-4))
    f.inc(s, left.shl(2))
    f.inc(d, left.mul(width * 4))
    f.set(k, k.and(3))
  })

  // Any strides, and what is left of the transposition.
  const source = f.local('i32')
  const i = f.local('i32')
  f.while(k.gt(0), () => {
    f.set(source, s)
    f.set(target, d)
    f.for(i, 0, w, 1, () => {
      f.store(target, f32.load(source))
      f.inc(target, 4)
      f.inc(source, ws)
    })
    f.inc(d, width * 4)
    f.inc(s, ks)
    f.inc(k, -1)
  })
  return f
}

/** Four vectors at the pointers, transposed, to `target` and the three places `step` bytes apart after it. */
function storeTransposed(
  f: FunctionBuilder<typeof signature>,
  pointers: readonly Local<'i32'>[],
  target: Local<'i32'>,
  step: number,
): void {
  const [a, b, c, d] = pointers.map((p) => f.let(v128.load(p)))
  if (!a || !b || !c || !d) return
  const lowAB = f.let(i32x4.shuffle(a, b, [0, 4, 1, 5]))
  const lowCD = f.let(i32x4.shuffle(c, d, [0, 4, 1, 5]))
  const highAB = f.let(i32x4.shuffle(a, b, [2, 6, 3, 7]))
  const highCD = f.let(i32x4.shuffle(c, d, [2, 6, 3, 7]))
  f.store(target, i32x4.shuffle(lowAB, lowCD, [0, 1, 4, 5]))
  f.store(target, i32x4.shuffle(lowAB, lowCD, [2, 3, 6, 7]), step)
  f.store(target, i32x4.shuffle(highAB, highCD, [0, 1, 4, 5]), 2 * step)
  f.store(target, i32x4.shuffle(highAB, highCD, [2, 3, 6, 7]), 3 * step)
}
