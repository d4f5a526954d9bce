import { statSync } from 'node:fs'
import { basename, join } from 'node:path'
import { OptionError } from '../../shapes/errors.js'
import type { ModelLayout } from './model-layout.js'

/** Where a result goes. */
export interface OutputPaths {
  /** One file, or the shards in order. */
  readonly files: readonly string[]
  /** Names of the tensors in each. */
  readonly tensors: readonly (readonly string[])[]
  /** The index over the shards. */
  readonly index?: string
  /** Names of the shards, as the index spells them. */
  readonly names: readonly string[]
}

/**
 * One file called `path`; or, in the directory `path`, files as the first model has them, by the same names.
 *
 * Throws: `OptionError` for other names.
 */
export function outputPaths(op: string, path: string, like: ModelLayout): OutputPaths {
  if (isDirectory(path)) {
    const names = like.index === undefined ? like.files.map((file) => basename(file)) : like.files
    return {
      files: names.map((name) => join(path, name)),
      tensors: names.map((_, file) =>
        [...like.tensors.values()].filter((tensor) => tensor.file === file).map(({ name }) => name),
      ),
      ...(like.index === undefined ? {} : { index: join(path, basename(like.index)) }),
      names,
    }
  }
  if (path.endsWith('.index.json'))
    throw new OptionError(`${op}: { output } ${path}: name the directory that the shards and their index go to.`, {
      op,
    })
  if (!path.endsWith('.safetensors'))
    throw new OptionError(`${op}: { output } ${path}: it must end in .safetensors, or be a directory that exists.`, {
      op,
    })
  return { files: [path], tensors: [[...like.tensors.keys()]], names: [basename(path)] }
}

/**
 * Refuses to replace files that nobody said should be replaced: all of `paths` without `force`, but for the files of
 * `replaceable`, which is what an update of a model in its place replaces.
 *
 * Throws: `OptionError` naming the first such file.
 */
export function requireFree(
  op: string,
  paths: readonly string[],
  force: boolean,
  replaceable: readonly string[],
): void {
  if (force) return
  const known = new Set(replaceable.map(identity))
  for (const path of paths) {
    const there = identity(path)
    if (there !== undefined && !known.has(there))
      throw new OptionError(`${op}: ${path} exists; { force: true } replaces it.`, { op })
  }
}

const isDirectory = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true

/** The same for all paths of one file; undefined where there is none. */
function identity(path: string): string | undefined {
  const stat = statSync(path, { throwIfNoEntry: false, bigint: true })
  return stat && `${stat.dev} ${stat.ino}`
}
