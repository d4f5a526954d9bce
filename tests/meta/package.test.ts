import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { packLibrary, root } from './built-library.js'

const run = promisify(execFile)
const manifest = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { exports: Record<string, unknown> }
const entries = Object.keys(manifest.exports).filter((name) => name !== './package.json')

interface Outcome {
  status: number
  stdout: string
  stderr: string
}

describe('the packed library in an empty project', () => {
  let project = ''

  /** Runs a program in the empty project, without this run's environment for npm. */
  async function inProject(file: string, args: string[]): Promise<Outcome> {
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('npm_')))
    return run(file, args, { cwd: project, env }).then(
      ({ stdout, stderr }) => ({ status: 0, stdout, stderr }),
      (failure: { code: number; stdout: string; stderr: string }) => ({ ...failure, status: failure.code }),
    )
  }

  beforeAll(async () => {
    project = await mkdtemp(join(tmpdir(), 'dfdt-project-'))
    const { tarball, dispose } = await packLibrary()
    await writeFile(join(project, 'package.json'), '{ "name": "empty", "private": true, "type": "module" }')
    await inProject('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', tarball]).then(
      ({ status, stderr }) => {
        if (status !== 0) throw new Error(`npm install of the tarball failed:\n${stderr}`)
      },
    )
    await dispose()
  }, 120_000)

  afterAll(() => rm(project, { recursive: true, force: true }))

  it.each(entries)('import %s', async (entry) => {
    const specifier = entry.replace(/^\./, 'dfdt')
    const program = `const names = Object.keys(await import(${JSON.stringify(specifier)})); console.log(names.length)`
    const { status, stdout, stderr } = await inProject(process.execPath, ['--input-type=module', '-e', program])
    expect(stderr).toBe('')
    expect(status).toBe(0)
    expect(Number(stdout)).toBeGreaterThan(0)
  })

  // Declarations are checked too, as for users who have not set skipLibCheck.
  it.each(['typescript', 'ts6', 'ts59'])(
    'types of every entry point, with %s',
    async (compiler) => {
      const lines = entries.map((entry, i) => `import * as e${i} from '${entry.replace(/^\./, 'dfdt')}'`)
      const used = `export const all = [${entries.map((_, i) => `e${i}`).join(', ')}]`
      await writeFile(join(project, 'all.mts'), `${lines.join('\n')}\n${used}\n`)
      const tsc = join(root, 'node_modules', compiler, 'bin/tsc')
      const languages = { target: 'es2022', lib: ['es2022', 'dom'], module: 'nodenext' }
      const compilerOptions = { noEmit: true, strict: true, types: [], ...languages }
      await writeFile(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['all.mts'] }))
      const { status, stdout } = await inProject(process.execPath, [tsc, '-p', project])
      expect(stdout).toBe('')
      expect(status).toBe(0)
    },
    120_000,
  )

  it('npx dfdt --help', async () => {
    const { status, stdout, stderr } = await inProject('npx', ['--no-install', '--loglevel=error', 'dfdt', '--help'])
    expect(stderr).toBe('')
    expect(status).toBe(0)
    expect(stdout).toMatch(/^Usage: dfdt/)
  })

  it('dfdt train without data says in one line where to get it', async () => {
    const { status, stdout, stderr } = await inProject('npx', ['--no-install', '--loglevel=error', 'dfdt', 'train'])
    expect(stdout).toBe('')
    expect(stderr.trimEnd().split('\n')).toHaveLength(1)
    expect(stderr).toContain('--data')
    expect(status).toBe(2)
  })
})
