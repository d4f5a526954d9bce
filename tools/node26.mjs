/**
 * Node 26 beside the Node that runs npm: `node tools/node26.mjs` fetches it into .cache/node26 and prints its path.
 * It is no dependency, because the package would put its node before the user's in every npm script.
 */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const folder = join('.cache', 'node26')
const name = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`

/** Where the binary is once it has been fetched. */
export const node26 = join(
  root,
  folder,
  'node_modules',
  name,
  'bin',
  process.platform === 'win32' ? 'node.exe' : 'node',
)

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  if (!existsSync(node26)) {
    const options = ['--prefix', folder, '--no-save', '--no-audit', '--no-fund']
    const { status } = spawnSync('npm', ['install', ...options, `${name}@26`], {
      cwd: root,
      stdio: ['ignore', 'ignore', 'inherit'],
      shell: process.platform === 'win32',
    })
    if (status !== 0 || !existsSync(node26)) {
      console.error(`node26: npm could not install ${name}@26; is there a build for this platform?`)
      process.exit(1)
    }
  }
  console.log(node26)
}
