import { basename } from 'node:path'
import { type AveragedFiles, averageFiles, type AverageFilesOptions } from '../io/streaming/node-average-files.js'
import { sigmaRelOf } from '../update/post-hoc.js'
import type { AverageFlags } from './file-options.js'
import type { Host } from './host.js'
import { tableLines } from './table.js'
import { writeFiles } from './write-files.js'

/** `dfdt average`: one model from several of its structure, file by file. Returns the exit code. */
export async function average(paths: readonly string[], flags: AverageFlags, host: Host): Promise<number> {
  const { output, threads: _, json: __, ...given } = flags
  return writeFiles(
    {
      ...{ op: 'averageFiles', flags },
      // Which of them go together is looked at there. People see the fit error, and decide.
      run: (options) => {
        const far = given.sigmaRel === undefined ? {} : { mostFitError: Number.POSITIVE_INFINITY }
        return averageFiles({ sources: paths, output }, { ...given, ...far, ...options } as AverageFilesOptions)
      },
      details: (written) => detailsOf(paths, written),
      facts: ({ weights, postHoc, spherical }) => {
        const { snapshots: ___, ...fit } = postHoc ?? {}
        return { ...(weights && { weights }), ...fit, ...spherical }
      },
    },
    host,
  )
}

function detailsOf(paths: readonly string[], { weights, postHoc, spherical }: AveragedFiles): readonly string[] {
  if (spherical) {
    const { arcs, lines } = spherical
    const tensors = `${arcs} tensor${arcs === 1 ? '' : 's'}`
    return [`${tensors} along the arc, ${lines} along the line (nearly parallel, zero or empty)`]
  }
  if (!weights) return []
  const snapshots = postHoc && [
    { head: 'sigma_rel', align: 'right' } as const,
    { head: 'step', align: 'right' } as const,
  ]
  const columns = [
    { head: 'model', align: 'left' } as const,
    ...(snapshots ?? []),
    { head: 'weight', align: 'right' } as const,
  ]
  const rows = paths.map((path, i) => {
    const { gamma = 0, sigmaRel = sigmaRelOf(gamma), step = 0 } = postHoc?.snapshots[i] ?? {}
    const of = postHoc ? [sigmaRel.toFixed(4), String(step)] : []
    return [basename(path), ...of, (weights[i] ?? 0).toFixed(6)]
  })
  const table = tableLines(columns, rows).map((text) => `  ${text}`)
  if (!postHoc) return table
  const { fitError, conditionNumber } = postHoc
  const poor = fitError > 0.1 ? ['the snapshots cannot give this average: keep some nearer to its width and step'] : []
  const fit = `fit error ${(100 * fitError).toFixed(2)} %, condition number ${conditionNumber.toPrecision(3)}`
  return [...table, fit, ...poor]
}
