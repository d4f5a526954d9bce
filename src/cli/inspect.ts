import { type InspectedFile, type InspectedTensor, inspectFile } from '../io/streaming/node-inspect-file.js'
import { count, plural } from '../io/wording.js'
import { bytesText } from './bytes.js'
import { type Host, isTerminal } from './host.js'
import { tableLines } from './table.js'

/** `dfdt inspect`: what is in a file, from its header alone. Returns the exit code. */
export function inspect(path: string, flags: { readonly json?: true }, { stdout, env }: Host): number {
  const model = inspectFile(path)
  const width = isTerminal(stdout, env) ? stdout.columns : undefined
  const text = flags.json ? JSON.stringify(model) : lines(model, width).join('\n')
  stdout.write(`${text}\n`)
  return 0
}

function lines(model: InspectedFile, width: number | undefined): string[] {
  const { tensors, files = [], index } = model
  const sharded = index !== undefined
  const head = [
    { head: 'tensor', align: 'left' },
    { head: 'dtype', align: 'left' },
    { head: 'shape', align: 'left' },
    { head: 'elements', align: 'right' },
    { head: 'bytes', align: 'right' },
    ...(sharded ? [{ head: 'file', align: 'right' } as const] : []),
  ] as const
  const rows = tensors.map((tensor) => {
    const { name, dtype, shape, elements, bytes, file } = tensor
    const cells = [name, dtype, `[${shape.join(', ')}]`, count(elements), count(bytes)]
    return file === undefined ? cells : [...cells, String(files.indexOf(file) + 1)]
  })
  const metadata = Object.entries(model.metadata)
  const keyWidth = metadata.reduce((most, [key]) => Math.max(most, key.length), 0)
  return [
    `${model.path}: ${plural(tensors.length, 'tensor')}, ${totals(tensors)}, ${bytesText(model.bytes)}`,
    ...(sharded ? ['', 'files', ...files.map((name, i) => `  ${i + 1}  ${name}`)] : []),
    ...(metadata.length > 0 ? ['', 'metadata'] : []),
    ...metadata.map(
      ([key, value]) => `  ${oneLine(key).padEnd(keyWidth)}  ${shortened(oneLine(value), width, keyWidth)}`,
    ),
    ...(tensors.length > 0 ? ['', ...tableLines(head, rows, width)] : []),
  ]
}

/** `25,557,032 F32, 53 I64` */
function totals(tensors: readonly InspectedTensor[]): string {
  const byType = new Map<string, number>()
  for (const { dtype, elements } of tensors) byType.set(dtype, (byType.get(dtype) ?? 0) + elements)
  return [...byType].map(([dtype, total]) => `${count(total)} ${dtype}`).join(', ') || 'nothing in them'
}

/** Text from a file must not move the cursor. */
const oneLine = (text: string): string => (/\p{Cc}/u.test(text) ? JSON.stringify(text) : text)

function shortened(text: string, width: number | undefined, keyWidth: number): string {
  const room = width === undefined ? Number.POSITIVE_INFINITY : Math.max(20, width - keyWidth - 4)
  return text.length > room ? `${text.slice(0, room - 1)}…` : text
}
