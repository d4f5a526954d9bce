import { elementCount, type FileDType } from '../raw-tensor.js'
import { requirePaths } from './node-combine-files.js'
import { ModelFiles } from './node-model-files.js'

/** One tensor of a saved model. */
export interface InspectedTensor {
  readonly name: string
  readonly dtype: FileDType
  readonly shape: readonly number[]
  readonly elements: number
  readonly bytes: number
  /** Of its first byte in its file. */
  readonly offset: number
  /** Of a sharded model: the name of its file. */
  readonly file?: string
}

/** What is in a saved model. */
export interface InspectedFile {
  readonly path: string
  /** Of all files. */
  readonly bytes: number
  /** Of a sharded model: the path of its index, and the names of its files. */
  readonly index?: string
  readonly files?: readonly string[]
  readonly metadata: Readonly<Record<string, string>>
  /** In the order of the files. */
  readonly tensors: readonly InspectedTensor[]
}

/**
 * Tensors and metadata of a saved model, from the headers of its files alone: a `.safetensors` file, the index of a sharded
 * model, or a directory that holds one of these.
 *
 * Throws: `FormatError` for a file that is missing or damaged, `ShapeError` when an index and its files disagree.
 * Torch: `safetensors.safe_open(path, 'pt')`, its `keys()`, `metadata()` and slices, file by file.
 * @example for (const { name, dtype, shape } of inspectFile('model.safetensors').tensors) console.log(name, dtype, shape)
 */
export function inspectFile(path: string): InspectedFile {
  requirePaths('inspectFile', { 'the model': path })
  const model = ModelFiles.open(path)
  try {
    const { metadata, byteLength, files, index } = model
    const tensors = [...model.tensors.values()].map((tensor): InspectedTensor => {
      const { name, dtype, shape, file, offset, byteLength: bytes } = tensor
      const head = { name, dtype, shape, elements: elementCount(shape) ?? 0, bytes, offset }
      const fileName = index === undefined ? undefined : files[file]
      return fileName === undefined ? head : { ...head, file: fileName }
    })
    return { path, bytes: byteLength, ...(index === undefined ? {} : { index, files }), metadata, tensors }
  } finally {
    model.close()
  }
}
