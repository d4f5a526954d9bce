/** One column of a table: its heading, and whether its texts are numbers, which end at the same place. */
export interface Column {
  readonly head: string
  readonly align: 'left' | 'right'
}

const gap = '  '
const leastFirst = 12

/**
 * Lines of a table, aligned, two spaces between columns. Where `width` is given and too small, the first column gives
 * way: long texts in it lose their middle.
 */
export function tableLines(columns: readonly Column[], rows: readonly (readonly string[])[], width?: number): string[] {
  const all = [columns.map(({ head }) => head), ...rows]
  const widths = columns.map((_, i) => all.reduce((most, row) => Math.max(most, (row[i] ?? '').length), 0))
  const [first = 0, ...others] = widths
  const rest = others.reduce((sum, one) => sum + one + gap.length, 0)
  const room = width === undefined ? first : Math.min(first, Math.max(leastFirst, width - rest))
  return all.map((row) => {
    const cells = row.map((text, i) => {
      const fitting = i === 0 ? withoutMiddle(text, room) : text
      const size = i === 0 ? room : (widths[i] ?? 0)
      return columns[i]?.align === 'right' ? fitting.padStart(size) : fitting.padEnd(size)
    })
    return cells.join(gap).trimEnd()
  })
}

/** Names of tensors differ at their ends as at their beginnings. */
function withoutMiddle(text: string, most: number): string {
  if (text.length <= most) return text
  const kept = Math.max(1, most - 1)
  const begin = Math.floor(kept / 2)
  return `${text.slice(0, begin)}…${text.slice(text.length - (kept - begin))}`
}
