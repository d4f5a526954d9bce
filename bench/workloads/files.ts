/**
 * Models of half a gigabyte averaged from file to file, and beside it the least that writing such a file takes: a copy
 * flushed to the disk, as `cp a out && sync` does. Both in GB/s of what is written.
 */
import { closeSync, copyFileSync, fsyncSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Device, wasmDevice } from 'dfdt'
import type { Workload } from './workload.js'

const elements = 1 << 27
const byteLength = 4 * elements

/** What the command line needs of its surroundings: src/cli/host.ts. */
interface CommandLine {
  readonly runProgram: (argv: readonly string[], host: object) => Promise<number>
}

/** Two models as PyTorch would write them, in a directory that goes with the process. */
function makeFiles(): { readonly a: string; readonly b: string; readonly out: string } {
  const directory = mkdtempSync(join(tmpdir(), 'dfdt-bench-'))
  process.once('exit', () => rmSync(directory, { recursive: true, force: true }))
  const entry = { dtype: 'F32', shape: [elements], data_offsets: [0, byteLength] }
  const header = new TextEncoder().encode(JSON.stringify({ weight: entry }).padEnd(88))
  const piece = new Float32Array(1 << 22)
  const write = (name: string, seed: number) => {
    const path = join(directory, name)
    const file = openSync(path, 'w')
    writeSync(file, new Uint8Array(BigUint64Array.of(BigInt(header.length)).buffer))
    writeSync(file, header)
    for (let done = 0; done < elements; done += piece.length) {
      for (let i = 0; i < piece.length; i++) piece[i] = Math.sin(done + seed * i)
      writeSync(file, piece)
    }
    fsyncSync(file)
    closeSync(file)
    return path
  }
  const out = join(directory, 'out.safetensors')
  writeFileSync(out, '')
  return { a: write('a.safetensors', 1), b: write('b.safetensors', 2), out }
}

/** `dfdt average a b -o out --force`, but for the start of its process. */
function average(): () => Promise<void> {
  const { a, b, out } = makeFiles()
  // Built beside the bundle that this becomes a part of; not among the package's entry points.
  const program = import(new URL('../../dist/cli/program.js', import.meta.url).href) as Promise<CommandLine>
  const silent = { write: () => true }
  const host = {
    ...{ stdout: silent, stderr: silent, env: {} },
    openDevice: async (): Promise<Device> => wasmDevice(),
    onInterrupt: () => () => undefined,
  }
  return async () => {
    const { runProgram } = await program
    const exitCode = await runProgram(['average', a, b, '-o', out, '--force'], host)
    if (exitCode !== 0) throw new Error(`dfdt average ended with ${exitCode}`)
  }
}

function copy(): () => void {
  const { a, out } = makeFiles()
  return () => {
    copyFileSync(a, out)
    const file = openSync(out, 'r+')
    fsyncSync(file)
    closeSync(file)
  }
}

const row = (name: string, prepare: Workload['prepare']): Workload => ({
  name,
  unit: 'GB/s',
  work: byteLength / 1e9,
  prepare,
})

export const fileWorkloads: readonly Workload[] = [row('stream-avg', average), row('stream-cp', copy)]
