import { described } from '../io/streaming/compare-structures.js'
import { cosineOf, type Distance, joinDistance, noDistance, relativeDistance } from '../io/streaming/distance.js'
import { isFloatDType } from '../io/streaming/float-bytes.js'
import { type ComparedTensor, measureDistances } from '../io/streaming/node-measure.js'
import { ModelFiles } from '../io/streaming/node-model-files.js'
import { count, plural } from '../train/wording.js'
import { bytesProgress } from './bytes-progress.js'
import { type Host, isTerminal } from './host.js'
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
  const models: ModelFiles[] = []
  try {
    const [first, second] = paths.map((path) => {
      const model = ModelFiles.open(path)
      models.push(model)
      return model
    })
    if (first && second) await compare(first, second, { json: flags.json === true, host, signal: abort.signal })
    return 0
  } catch (error) {
    if (!abort.signal.aborted || error !== abort.signal.reason) throw error
    return exitCode
  } finally {
    for (const model of models) model.close()
    stopListening()
  }
}

interface How {
  readonly json: boolean
  readonly host: Host
  readonly signal: AbortSignal
}

async function compare(first: ModelFiles, second: ModelFiles, { json, host, signal }: How): Promise<void> {
  const pairs: ComparedTensor[] = []
  const unmatched: string[] = []
  for (const tensor of first.tensors.values()) {
    const other = second.tensors.get(tensor.name)
    if (!other) unmatched.push(`only in ${first.path}: "${tensor.name}" (${described(tensor)})`)
    else if (other.shape.join() === tensor.shape.join()) pairs.push({ name: tensor.name, first: tensor, second: other })
    else unmatched.push(`shapes differ: "${tensor.name}" is ${described(tensor)} and ${described(other)}`)
  }
  for (const tensor of second.tensors.values())
    if (!first.tensors.has(tensor.name))
      unmatched.push(`only in ${second.path}: "${tensor.name}" (${described(tensor)})`)
  const bytes = pairs.reduce((sum, pair) => sum + pair.first.byteLength + pair.second.byteLength, 0)
  const progress = bytesProgress(host, bytes)
  const distances = await measureDistances(first, second, pairs, { onRead: progress.add, signal }).finally(
    progress.clear,
  )
  const measured = pairs.flatMap((pair) => {
    const distance = distances.get(pair.name)
    return distance ? [{ ...pair, distance }] : []
  })
  const { stdout, env } = host
  const width = isTerminal(stdout, env) ? stdout.columns : undefined
  const text = json
    ? JSON.stringify({ first: first.path, second: second.path, tensors: measured.map(factsOf), unmatched })
    : linesOf(measured, unmatched, width).join('\n')
  stdout.write(`${text}\n`)
}

interface Measured extends ComparedTensor {
  readonly distance: Distance
}

const isNumber = ({ first, second }: ComparedTensor): boolean => !/^(F8|C)/.test(first.dtype + second.dtype)

function linesOf(measured: readonly Measured[], unmatched: readonly string[], width: number | undefined): string[] {
  const poisoned = measured.some(({ distance: { nonFinite } }) => nonFinite[0] + nonFinite[1] > 0)
  const columns = [
    { head: 'tensor', align: 'left' },
    { head: 'dtype', align: 'left' },
    { head: 'shape', align: 'left' },
    { head: '|a-b|/|a|', align: 'right' },
    { head: 'max |a-b|', align: 'right' },
    { head: 'cosine', align: 'right' },
    ...(poisoned ? [{ head: 'NaN, inf', align: 'right' } as const] : []),
  ] as const
  const rows = measured.map((one) => {
    const { name, first, second, distance } = one
    const dtype = first.dtype === second.dtype ? first.dtype : `${first.dtype}/${second.dtype}`
    const [a, b] = distance.nonFinite
    return [
      name,
      dtype,
      `[${first.shape.join(', ')}]`,
      ...figures(one),
      ...(poisoned ? [a + b > 0 ? `${a}, ${b}` : ''] : []),
    ]
  })
  return [
    ...(rows.length > 0 ? [...tableLines(columns, rows, width), ''] : []),
    ...(unmatched.length > 0 ? [...unmatched, ''] : []),
    summary(measured, unmatched.length),
  ]
}

/** Relative and largest distance, and cosine; one word where there is no distance to tell. */
function figures(one: Measured): string[] {
  const { distance } = one
  if (distance.differing === 0) return ['equal', '', '']
  if (!isNumber(one)) return ['differs', '', '']
  const cosine = cosineOf(distance)
  return [short(relativeDistance(distance)), short(distance.largest), Number.isNaN(cosine) ? '' : cosine.toFixed(6)]
}

/** Three digits that count: 1.50, 0.0123, 1.23e-5. */
function short(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? 'NaN' : 'inf'
  return value === 0 || (value >= 1e-3 && value < 1000) ? value.toPrecision(3) : value.toExponential(2)
}

function summary(measured: readonly Measured[], unmatched: number): string {
  const differing = measured.filter(({ distance }) => distance.differing > 0)
  const floats = noDistance()
  for (const { first, second, distance } of measured)
    if (isFloatDType(first.dtype) && isFloatDType(second.dtype)) joinDistance(floats, distance)
  const counts = `${count(differing.length)} of ${plural(measured.length, 'tensor')} ${differing.length === 1 ? 'differs' : 'differ'}`
  const others = unmatched > 0 ? [`${count(unmatched)} cannot be compared`] : []
  const far =
    floats.differing > 0
      ? [`all floats: |a-b|/|a| ${short(relativeDistance(floats))}, cosine ${cosineOf(floats).toFixed(6)}`]
      : []
  return [counts, ...others, ...far].join('; ')
}

function factsOf({ name, first, second, distance }: Measured) {
  const { elements, differing, largest, nonFinite, squares } = distance
  return {
    name,
    dtypes: [first.dtype, second.dtype],
    shape: first.shape,
    elements,
    differing,
    nonFinite,
    distance: Math.sqrt(squares.difference),
    relative: relativeDistance(distance),
    largest,
    cosine: cosineOf(distance),
    norms: [Math.sqrt(squares.first), Math.sqrt(squares.second)],
  }
}
