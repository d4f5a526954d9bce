import { type Host, isTerminal, type Output } from './host.js'

/** Emphasis for text that goes to one output; plain where colours are not welcome. */
export interface Style {
  readonly bold: (text: string) => string
  readonly dim: (text: string) => string
}

/** Colours only on a terminal, and not when the person set NO_COLOR (to anything but nothing). */
export function styleFor(output: Output, env: Host['env']): Style {
  const coloured = isTerminal(output, env) && !env.NO_COLOR
  const wrap = (on: number, off: number) => (text: string) => (coloured ? `\x1b[${on}m${text}\x1b[${off}m` : text)
  return { bold: wrap(1, 22), dim: wrap(2, 22) }
}
