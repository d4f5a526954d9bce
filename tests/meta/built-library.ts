import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)

export const root = fileURLToPath(new URL('../..', import.meta.url))

/** Builds dist if the sources have changed, and throws with the compiler's words if they do not compile. */
export async function buildLibrary(): Promise<void> {
  await run(process.execPath, [join(root, 'tools/build.mjs'), '--if-stale'], { cwd: root }).catch(
    (failure: { stderr?: string }) => {
      throw new Error(`the library does not build:\n${failure.stderr ?? String(failure)}`)
    },
  )
}

/** The tarball that `npm publish` would send, in a folder of its own. */
export async function packLibrary(): Promise<{ tarball: string; dispose: () => Promise<void> }> {
  await buildLibrary()
  const folder = await mkdtemp(join(tmpdir(), 'dfdt-pack-'))
  const args = ['pack', '--ignore-scripts', '--json', '--pack-destination', folder]
  const { stdout } = await run('npm', args, { cwd: root })
  const [packed] = JSON.parse(stdout) as { filename: string }[]
  if (packed === undefined) throw new Error(`npm pack names no file: ${stdout}`)
  return { tarball: join(folder, packed.filename), dispose: () => rm(folder, { recursive: true, force: true }) }
}
