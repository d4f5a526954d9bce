/** Rows of text in columns; the first column to the left, numbers to the right. */
export function columns(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)))
  const line = (row: readonly string[]) =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join('  ')
  return rows.map((row) => line(row).trimEnd()).join('\n')
}

/** The same as a table in Markdown. */
export function markdown([head = [], ...rows]: readonly (readonly string[])[]): string {
  const rule = head.map((_, i) => (i === 0 ? '---' : '---:'))
  return [head, rule, ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n')
}

/** Three digits that count, as many as a time on a shared machine deserves. */
export function brief(value: number): string {
  if (!Number.isFinite(value)) return '–'
  const size = Math.max(0, Math.floor(Math.log10(Math.abs(value) || 1)))
  return value.toFixed(Math.max(0, value < 1 ? 3 : 2 - size))
}
