import { f32, type FunctionRef, i32, type ModuleBuilder, v128 } from '../assembler.js'
import { copyWords, words } from './words.js'

const stretchSignature = ['i32', 'i32', 'i32', 'i32', 'i32', 'i32', 'i32'] as const
/** Parameters: destination, its row step, source, its row and column step, rows, columns; steps in bytes. */
export type CopyStretch = FunctionRef<typeof stretchSignature>

/** Copies rows into planes, gathering columns that are apart. Touches nothing but its elements. */
export function addCopyStretch(module: ModuleBuilder): CopyStretch {
  const f = module.function('convCopyStretch', stretchSignature)
  const [d, dRow, s, sRow, sColumn, rows, columns] = f.params
  const [to, from, left] = [f.local('i32'), f.local('i32'), f.local('i32')]
  const elements = (): void => {
    f.while(left.gt(0), () => {
      f.store(to, f32.load(from))
      f.inc(to, 4)
      f.inc(from, sColumn)
      f.inc(left, -1)
    })
  }
  const eachRow = (row: () => void): void => {
    f.while(rows.gt(0), () => {
      f.set(to, d)
      f.set(from, s)
      f.set(left, columns)
      row()
      f.inc(d, dRow)
      f.inc(s, sRow)
      f.inc(rows, -1)
    })
  }
  f.if(
    sColumn.eq(4).and(columns.ge(4)),
    () =>
      eachRow(() => {
        f.doWhile(() => {
          f.store(to, v128.load(from))
          f.inc(to, 16)
          f.inc(from, 16)
          f.inc(left, -4)
        }, left.ge(4))
        // The last vector overlaps the one before it.
        f.if(left, () => {
          f.set(left, left.sub(4).shl(2))
          f.store(to.add(left), v128.load(from.add(left)))
        })
      }),
    () => eachRow(elements),
  )
  return f
}

const planesSignature = ['i32', 'i32', 'i32', 'i32'] as const
/** Parameters: argument block, destination, source, channels. */
export type CopyPlanes = FunctionRef<typeof planesSignature>

/** Puts channels of an image into their planes; the zeros around them are there already. */
export function addCopyPlanes(module: ModuleBuilder, copyStretch: CopyStretch): CopyPlanes {
  const f = module.function('convCopyPlanes', planesSignature)
  const [params, to, from, channels] = f.params
  const word = (name: keyof typeof words) => f.let(i32.load(params, words[name] * 4))
  const [channelStep, sourcePlane, pitch] = [word('channelStep'), word('sourcePlane'), word('pitch')]
  const [sourceRow, sourceColumn, copies] = [word('sourceRow'), word('sourceColumn'), word('copies')]
  const table = f.let(params.add(i32.load(params, words.copiesAt * 4).shl(2)))
  const [stretch, left] = [f.local('i32'), f.local('i32')]
  f.while(channels.gt(0), () => {
    f.set(stretch, table)
    f.set(left, copies)
    f.while(left.gt(0), () => {
      const at = (name: 'to' | 'from' | 'rows' | 'columns') => i32.load(stretch, copyWords[name] * 4)
      f.call(copyStretch, [
        to.add(at('to')),
        pitch,
        from.add(at('from')),
        sourceRow,
        sourceColumn,
        at('rows'),
        at('columns'),
      ])
      f.inc(stretch, copyWords.count * 4)
      f.inc(left, -1)
    })
    f.inc(to, channelStep)
    f.inc(from, sourcePlane)
    f.inc(channels, -1)
  })
  return f
}
