import { partsOf, tensorsOf, untied } from '../model/walk.js'
import { countParameters } from '../model/count.js'
import { TensorRecord } from '../tensor/record.js'

/** What a layer says about itself in the table: `linear(784 -> 512)`. */
export interface Described {
  describe(): string
}

const isDescribed = (value: object): value is Described => 'describe' in value && typeof value.describe === 'function'

/**
 * A model as a table: one line a layer, with its path, tensors and parameter count.
 * Torch: `print(model)`, with counts.
 * @example console.log(summary(model))
 */
export function summary(model: object): string {
  const rows: string[][] = []
  const visit = (node: object, path: string): void => {
    const parts = [...partsOf(node)]
    const inner = parts.filter(([, part]) => !(part instanceof TensorRecord))
    const own = parts.flatMap(([name, part]) =>
      part instanceof TensorRecord && part.role ? [[name, part] as const] : [],
    )
    if (path === '' ? own.length > 0 : own.length > 0 || inner.length === 0) {
      const shapes = own.map(([name, t]) => `${name} [${t.shape.join(', ')}]`).join('  ')
      const count = own.reduce((sum, [, t]) => sum + (t.role === 'parameter' ? t.size : 0), 0)
      rows.push([
        path,
        isDescribed(node) ? node.describe() : node.constructor.name,
        shapes,
        count.toLocaleString('en-US'),
      ])
    }
    for (const [name, part] of inner) visit(part, path === '' ? name : `${path}.${name}`)
  }
  visit(model, '')
  const header = ['path', 'layer', 'tensors', 'parameters']
  const widths = header.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]?.length ?? 0)))
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, i) => (i === 3 ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0)))
      .join('  ')
      .trimEnd()
  const rule = '-'.repeat(widths.reduce((sum, width) => sum + width + 2, -2))
  const ties = tensorsOf(model).length - untied(tensorsOf(model)).length
  const note = ties > 0 ? ` (${ties} tied, counted once)` : ''
  const total = `${countParameters(model).toLocaleString('en-US')} parameters${note}`
  return [line(header), rule, ...rows.map(line), rule, total].join('\n')
}

/** What the built-in layers share: `String(layer)` and `console.log(layer)` print the table. */
export abstract class Printed implements Described {
  abstract describe(): string
  toString(): string {
    return summary(this)
  }
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return summary(this)
  }
}
