import { FormatError } from '../../tensor/errors.js'
import { quoted } from '../malformed.js'

/** Ends the name of the JSON file that says in which file each tensor of a sharded model is. */
export const indexSuffix = '.safetensors.index.json'

/**
 * Reads `{"metadata": {…}, "weight_map": {"name": "model-00001-of-00002.safetensors", …}}`: the file of each tensor.
 *
 * Throws: `FormatError` when it is not that, or names a file outside its directory.
 */
export function parseShardIndex(text: string, path: string): ReadonlyMap<string, string> {
  const fail = (problem: string, cause?: unknown) =>
    new FormatError(`${path}: ${problem}`, { op: 'parseShardIndex', path, ...(cause === undefined ? {} : { cause }) })
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw fail(`the index of a sharded model must be JSON (${reason}); the file is damaged, copy it again`, cause)
  }
  const map = isObject(json) ? json.weight_map : undefined
  if (!isObject(map)) throw fail('the index of a sharded model needs a "weight_map" object; it is another JSON file')
  const files = new Map<string, string>()
  for (const [name, file] of Object.entries(map)) {
    if (typeof file !== 'string' || !staysInside(file)) {
      const found = quoted(typeof file === 'string' ? file : String(JSON.stringify(file)))
      throw fail(`${quoted(name)} should be in a file beside the index, got ${found}; the index is damaged`)
    }
    files.set(name, file)
  }
  return files
}

/** The text of an index, as Hugging Face libraries write it. */
export function shardIndexText(files: ReadonlyMap<string, string>, tensorBytes: number): string {
  const weightMap = Object.fromEntries([...files].sort(([a], [b]) => (a < b ? -1 : 1)))
  return `${JSON.stringify({ metadata: { total_size: tensorBytes }, weight_map: weightMap }, undefined, 2)}\n`
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** A file from elsewhere must not read, or overwrite, what lies above its directory. */
const staysInside = (file: string): boolean =>
  file !== '' && !file.includes('\0') && !/^([a-z]:|[\\/])/i.test(file) && !file.split(/[\\/]/).includes('..')
