import { execFile } from 'node:child_process'
import { access, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { chromium } from 'playwright-core'
import { build, preview } from 'vite'
import { packLibrary } from '../meta/built-library.js'

const run = promisify(execFile)

/** `--disable-*`: a test browser asks nothing of the network. */
const FLAGS = [
  '--no-sandbox',
  '--no-first-run',
  '--disable-quic',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]
const TIMEOUT = 60_000

const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']

/** The browser's executable: `CHROMIUM` in the environment, or where Linux distributions put it. */
export async function findBrowser(): Promise<string | undefined> {
  const { CHROMIUM } = process.env
  for (const place of CHROMIUM === undefined ? PLACES : [CHROMIUM]) {
    const found = await access(place).then(
      () => true,
      () => false,
    )
    if (found) return place
  }
  return undefined
}

export interface PageOptions {
  /** Whether the page is served cross-origin isolated, which lets it share memory with workers. Default: false. */
  readonly isolated?: boolean
  /** More headers of the server. */
  readonly headers?: Readonly<Record<string, string>>
  /** Further modules beside the program, by file name. */
  readonly files?: Readonly<Record<string, string>>
}

/**
 * Runs a TypeScript module in headless Chromium, as a user's page would: bundled by vite with its default settings,
 * `dfdt` being the packed library. Its default export, a function, is called, and what it returns (or resolves to)
 * comes back as JSON. An error in the page rejects, with the console's lines.
 */
export async function runInPage(source: string, options: PageOptions = {}): Promise<unknown> {
  const executablePath = await findBrowser()
  if (executablePath === undefined) {
    throw new Error('no Chromium found; install it (apt-get install chromium) or set CHROMIUM to its path')
  }
  const folder = await mkdtemp(join(tmpdir(), 'dfdt-page-'))
  try {
    const { files = {} } = options
    if (/['"]dfdt(\/[a-z-]+)?['"]/.test([source, ...Object.values(files)].join('\n'))) await unpackLibrary(folder)
    for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
    await writePage(folder, source)
    return await open(folder, executablePath, options)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Puts the packed library where an installed one would be. The core has no dependencies to install beside it. */
async function unpackLibrary(folder: string): Promise<void> {
  const { tarball, dispose } = await packLibrary()
  const library = join(folder, 'node_modules/dfdt')
  await mkdir(library, { recursive: true })
  await run('tar', ['-xzf', tarball, '-C', library, '--strip-components=1'])
  await dispose()
}

async function writePage(folder: string, source: string): Promise<void> {
  await writeFile(join(folder, 'program.ts'), source)
  await writeFile(
    join(folder, 'main.ts'),
    `import program from './program.ts'
globalThis.finished = (async () => JSON.stringify(await program()) ?? 'null')()
globalThis.finished.catch(() => {})`,
  )
  await writeFile(
    join(folder, 'index.html'),
    '<!doctype html><title>dfdt</title><script type="module" src="./main.ts"></script>',
  )
  await build({ root: folder, configFile: false, logLevel: 'error', build: { outDir: 'site', target: 'es2022' } })
}

const isolation = { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' }

async function open(folder: string, executablePath: string, options: PageOptions): Promise<unknown> {
  const { isolated = false, headers = {} } = options
  const server = await preview({
    root: folder,
    configFile: false,
    logLevel: 'error',
    build: { outDir: 'site' },
    preview: { host: '127.0.0.1', port: 0, headers: { ...(isolated ? isolation : {}), ...headers } },
  })
  const browser = await chromium.launch({ executablePath, headless: true, args: FLAGS, timeout: TIMEOUT })
  const said: string[] = []
  try {
    const page = await browser.newPage()
    page.setDefaultTimeout(TIMEOUT)
    page.on('console', (message) => said.push(`${message.type()}: ${message.text()}`))
    page.on('pageerror', (error) => said.push(`page error: ${error.message}`))
    const url = server.resolvedUrls?.local[0]
    if (url === undefined) throw new Error('the page has no address')
    await page.goto(url)
    await page.waitForFunction(() => 'finished' in globalThis)
    const found = await page.evaluate(() => globalThis.crossOriginIsolated)
    if (found !== isolated) throw new Error(`cross-origin isolated is ${found}, expected ${isolated}`)
    const result = await page.evaluate(() => (globalThis as unknown as { finished: Promise<string> }).finished)
    return JSON.parse(result)
  } catch (error) {
    throw new Error([String(error), ...said].join('\n'))
  } finally {
    await browser.close()
    await server.close()
  }
}
