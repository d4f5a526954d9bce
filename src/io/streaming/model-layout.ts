import type { TensorHead } from '../safetensors-layout.js'

/** A tensor of a model that lies in one file or several. */
export interface FileTensor extends TensorHead {
  /** Which of the model's files. */
  readonly file: number
  /** Offset of its first byte in that file. */
  readonly offset: number
  readonly byteLength: number
}

/** A model that lies in files, as their headers describe it. */
export interface ModelLayout {
  /** The path that was given, for messages. */
  readonly path: string
  readonly metadata: Readonly<Record<string, string>>
  /** By name, in the order of the files. */
  readonly tensors: ReadonlyMap<string, FileTensor>
  /** Names of the files; of a sharded model relative to its index. */
  readonly files: readonly string[]
  /** The name of the index of a sharded model. */
  readonly index?: string
}
