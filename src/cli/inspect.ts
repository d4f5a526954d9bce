import { elementCount } from '../io/raw-tensor.js'
import type { FileTensor } from '../io/streaming/model-layout.js'
import { ModelFiles } from '../io/streaming/node-model-files.js'
import { count, plural } from '../train/wording.js'
import { bytesText } from './bytes.js'
import { type Host, isTerminal } from './host.js'
import { tableLines } from './table.js'

/** `dfdt inspect`: what is in a file, from its header alone. Returns the exit code. */
export function inspect(path: string, flags: { readonly json?: true }, { stdout, env }: Host): number {
  const model = ModelFiles.open(path)
  try {
    const width = isTerminal(stdout, env) ? stdout.columns : undefined
    const text = flags.json ? JSON.stringify(facts(model)) : lines(model, width).join('\n')
    stdout.write(`${text}\n`)
    return 0
  } finally {
    model.close()
  }
}

const elements = ({ shape }: FileTensor): number => elementCount(shape) ?? 0

function lines(model: ModelFiles, width: number | undefined): string[] {
  const tensors = [...model.tensors.values()]
  const sharded = model.index !== undefined
  const head = [
    { head: 'tensor', align: 'left' },
    { head: 'dtype', align: 'left' },
    { head: 'shape', align: 'left' },
    { head: 'elements', align: 'right' },
    { head: 'bytes', align: 'right' },
    ...(sharded ? [{ head: 'file', align: 'right' } as const] : []),
  ] as const
  const rows = tensors.map((tensor) => {
    const { name, dtype, shape, byteLength, file } = tensor
    const cells = [name, dtype, `[${shape.join(', ')}]`, count(elements(tensor)), count(byteLength)]
    return sharded ? [...cells, String(file + 1)] : cells
  })
  const metadata = Object.entries(model.metadata)
  const keyWidth = metadata.reduce((most, [key]) => Math.max(most, key.length), 0)
  return [
    `${model.path}: ${plural(tensors.length, 'tensor')}, ${totals(tensors)}, ${bytesText(model.byteLength)}`,
    ...(sharded ? ['', 'files', ...model.files.map((name, i) => `  ${i + 1}  ${name}`)] : []),
    ...(metadata.length > 0 ? ['', 'metadata'] : []),
    ...metadata.map(
      ([key, value]) => `  ${oneLine(key).padEnd(keyWidth)}  ${shortened(oneLine(value), width, keyWidth)}`,
    ),
    ...(tensors.length > 0 ? ['', ...tableLines(head, rows, width)] : []),
  ]
}

/** `25,557,032 F32, 53 I64` */
function totals(tensors: readonly FileTensor[]): string {
  const byType = new Map<string, number>()
  for (const tensor of tensors) byType.set(tensor.dtype, (byType.get(tensor.dtype) ?? 0) + elements(tensor))
  return [...byType].map(([dtype, total]) => `${count(total)} ${dtype}`).join(', ') || 'nothing in them'
}

/** Text from a file must not move the cursor. */
const oneLine = (text: string): string => (/\p{Cc}/u.test(text) ? JSON.stringify(text) : text)

function shortened(text: string, width: number | undefined, keyWidth: number): string {
  const room = width === undefined ? Number.POSITIVE_INFINITY : Math.max(20, width - keyWidth - 4)
  return text.length > room ? `${text.slice(0, room - 1)}…` : text
}

function facts(model: ModelFiles) {
  const { path, metadata, byteLength, files, index } = model
  const tensors = [...model.tensors.values()].map((tensor) => {
    const { name, dtype, shape, file, offset, byteLength: bytes } = tensor
    return {
      name,
      dtype,
      shape,
      elements: elements(tensor),
      bytes,
      offset,
      ...(index === undefined ? {} : { file: files[file] }),
    }
  })
  return { path, bytes: byteLength, ...(index === undefined ? {} : { index, files }), metadata, tensors }
}
