/** What a shadow costs beyond a plain average: rows beside `ema-25m`, whose milliseconds they are compared with. */
import { compile } from 'dfdt'
import { ema, follow, type ShadowOptions } from 'dfdt/update'
import { Weights } from './ema.js'
import type { Storage } from '../../src/tensor/storage.js'
import { elements, resnet50 } from './resnet50.js'
import type { Workload } from './workload.js'

const rule = ema({ decay: 0.995 })
const size = resnet50.reduce((sum, shape) => sum + elements(shape), 0)

/** `bytes` moved for each parameter; `count` shadows of one source in one pass. */
const row = (name: string, bytes: number, options: ShadowOptions<never> = {}, count = 1): Workload => ({
  name,
  unit: 'GB/s',
  work: (bytes * size) / 1e9,
  prepare: ({ eager }) => {
    const source = new Weights(resnet50)
    const shadows = Array.from({ length: count }, () => follow(source, rule, options))
    const update = () => {
      for (const shadow of shadows) shadow.update()
    }
    return eager ? update : compile(update)
  },
})

/** The first tensors of the model that have a tenth of its parameters. */
function tenth(): number {
  let [sum, count] = [0, 0]
  for (const shape of resnet50) {
    if (sum >= size / 10) break
    sum += elements(shape)
    count++
  }
  return count
}

/** A lazy shadow of a model of which a tenth trains. */
const lazy: Workload = {
  name: 'lazy-25m-90',
  unit: 'GB/s',
  work: (12 * size) / 10 / 1e9,
  prepare: () => {
    const source = new Weights(resnet50)
    const shadow = follow(source, rule, { lazy: true })
    const trained = source.tensors.slice(0, tenth()) as unknown as readonly { storage: Storage }[]
    return () => {
      // What an optimizer does when it has written a tensor, without its work.
      for (const { storage } of trained) {
        storage.settleReaders()
        storage.changed()
      }
      shadow.update()
    }
  },
}

export const shadowWorkloads: readonly Workload[] = [
  lazy,
  row('ema-nan-25m', 12, { nonFinite: 'skipElement' }),
  row('ema-nan-scan-25m', 16, { nonFinite: 'skipAll' }),
  row('ema-kahan-25m', 20, { precision: 'kahan' }),
  row('ema-4shadows-25m', 36, {}, 4),
]
