import { described } from '../io/streaming/compare-structures.js'
import {
  diffFiles,
  type FilesDifference,
  type TensorDifference,
  type UnmatchedTensor,
} from '../io/streaming/node-diff-files.js'
import { count, plural } from '../io/wording.js'
import { filesProgress } from './bytes-progress.js'
import { type Host, isTerminal } from './host.js'
import { runInFlags } from './in-flags.js'
import { tableLines } from './table.js'

/** `dfdt diff`: how far two models are apart, tensor by tensor. Returns the exit code. */
export async function diff(
  paths: readonly [string, string],
  flags: { readonly json?: true },
  host: Host,
): Promise<number> {
  const abort = new AbortController()
  let exitCode = 0
  const stopListening = host.onInterrupt((code) => {
    exitCode = code
    abort.abort()
  })
  const progress = filesProgress(host)
  try {
    const [first, second] = paths
    const options = { onProgress: progress.show, signal: abort.signal }
    const found = await runInFlags('diffFiles', () => diffFiles(first, second, options)).finally(progress.clear)
    const unmatched = found.unmatched.map((tensor) => unmatchedLine(tensor, paths))
    const width = isTerminal(host.stdout, host.env) ? host.stdout.columns : undefined
    const text = flags.json
      ? JSON.stringify({ first, second, tensors: found.tensors, unmatched })
      : linesOf(found, unmatched, width).join('\n')
    host.stdout.write(`${text}\n`)
    return 0
  } catch (error) {
    if (!abort.signal.aborted || error !== abort.signal.reason) throw error
    return exitCode
  } finally {
    stopListening()
  }
}

function unmatchedLine({ name, first, second }: UnmatchedTensor, paths: readonly [string, string]): string {
  if (first && second) return `shapes differ: "${name}" is ${described(first)} and ${described(second)}`
  const only = first ?? second
  return `only in ${first ? paths[0] : paths[1]}: "${name}" (${only && described(only)})`
}

const isNumber = ({ dtypes }: TensorDifference): boolean => !/^(F8|C)/.test(dtypes.join(''))

function linesOf(found: FilesDifference, unmatched: readonly string[], width: number | undefined): string[] {
  const { tensors } = found
  const poisoned = tensors.some(({ nonFinite }) => nonFinite[0] + nonFinite[1] > 0)
  const columns = [
    { head: 'tensor', align: 'left' },
    { head: 'dtype', align: 'left' },
    { head: 'shape', align: 'left' },
    { head: '|a-b|/|a|', align: 'right' },
    { head: 'max |a-b|', align: 'right' },
    { head: 'cosine', align: 'right' },
    ...(poisoned ? [{ head: 'NaN, inf', align: 'right' } as const] : []),
  ] as const
  const rows = tensors.map((one) => {
    const { name, dtypes, shape, nonFinite } = one
    const dtype = [...new Set(dtypes)].join('/')
    const [a, b] = nonFinite
    return [name, dtype, `[${shape.join(', ')}]`, ...figures(one), ...(poisoned ? [a + b > 0 ? `${a}, ${b}` : ''] : [])]
  })
  return [
    ...(rows.length > 0 ? [...tableLines(columns, rows, width), ''] : []),
    ...(unmatched.length > 0 ? [...unmatched, ''] : []),
    summary(found),
  ]
}

/** Relative and largest distance, and cosine; one word where there is no distance to tell. */
function figures(one: TensorDifference): string[] {
  const { differing, relative, largest, cosine } = one
  if (differing === 0) return ['equal', '', '']
  if (!isNumber(one)) return ['differs', '', '']
  return [short(relative), short(largest), Number.isNaN(cosine) ? '' : cosine.toFixed(6)]
}

/** Three digits that count: 1.50, 0.0123, 1.23e-5. */
function short(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? 'NaN' : 'inf'
  return value === 0 || (value >= 1e-3 && value < 1000) ? value.toPrecision(3) : value.toExponential(2)
}

function summary({ tensors, unmatched, floats }: FilesDifference): string {
  const differing = tensors.filter((one) => one.differing > 0).length
  const counts = `${count(differing)} of ${plural(tensors.length, 'tensor')} ${differing === 1 ? 'differs' : 'differ'}`
  const others = unmatched.length > 0 ? [`${count(unmatched.length)} cannot be compared`] : []
  const { relative, cosine } = floats
  const far = floats.differing > 0 ? [`all floats: |a-b|/|a| ${short(relative)}, cosine ${cosine.toFixed(6)}`] : []
  return [counts, ...others, ...far].join('; ')
}
