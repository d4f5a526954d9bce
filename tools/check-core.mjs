/**
 * The core entry points import no package and run in a browser: each is bundled from dist as a browser would get it, and
 * anything left to import is an error. Prints sizes, minified and gzipped. A program that trains a compiled network while a
 * teacher follows, each entry point, and everything there is stay under ceilings, raised only with a reason.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { rolldown } from 'rolldown'

/**
 * What an application ships. The aim is 60, and it is missed: convolutions and poolings come with their ops (src/native),
 * 10 kB that other programs leave out, but f16 and bf16, guards and reductions of passes and runs that survive lost threads
 * have added 5, epilogues of products and kernels that go row by row 6, the queue and the workers of isolated pages 4,
 * policies, selections and checkpoints of model updates 4, nested signatures, indices checked ahead of every write and saved
 * states checked field by field 4. All of it is in every program, because a device is made for whatever comes.
 */
const TRAINING_KB = 86
/** An entry point with all it exports. */
const ENTRY_KB = 92
/** All core entry points with all they export, as no application ships them. */
const EVERYTHING_KB = 130
/** What a program that trains imports. */
const TRAINING = [
  ['index', ['compile', 'crossEntropy', 'manualSeed', 'normal', 'tensor']],
  ['nn', ['clone', 'linear', 'relu', 'sequential']],
  ['optim', ['adam']],
  ['update', ['ema', 'update']],
]
/** Entry points for programs, which may use packages and Node; every other one is core. */
const PROGRAMS = new Set(['./train', './data', './files', './package.json'])
/** Core, but not part of what an application ships. */
const DEVELOPMENT = new Set(['./testing'])

const root = fileURLToPath(new URL('..', import.meta.url))
const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const core = Object.keys(exports).filter((name) => !PROGRAMS.has(name))
const problems = []

const shipped = []
for (const name of core) {
  const file = join(root, browserFile(exports[name]))
  if (!existsSync(file)) {
    problems.push(`${name}: ${file} does not exist; build first, or remove the row from package.json`)
    continue
  }
  if (!DEVELOPMENT.has(name)) shipped.push(file)
  await measure(name, `export * from ${JSON.stringify(file)}`, DEVELOPMENT.has(name) ? EVERYTHING_KB : ENTRY_KB)
}
const imports = TRAINING.map(
  ([entry, names]) =>
    `export { ${names.join(', ')} } from ${JSON.stringify(join(root, 'dist', 'entry', `${entry}.js`))}`,
)
await measure('a training program', imports.join('\n'), TRAINING_KB)
await measure(
  'everything',
  shipped.map((file, i) => `export * as e${i} from ${JSON.stringify(file)}`).join('\n'),
  EVERYTHING_KB,
)

if (problems.length > 0) {
  console.error(`\n${[...new Set(problems)].join('\n')}`)
  process.exit(1)
}

async function measure(name, source, ceiling) {
  const kb = await bundledKb(name, source)
  console.log(`${name.padEnd(20)} ${kb.toFixed(1).padStart(6)} kB of ${ceiling} kB`)
  if (kb > ceiling) problems.push(`${name} is ${kb.toFixed(1)} kB gzipped; the ceiling is ${ceiling} kB`)
}

function browserFile(entry) {
  return typeof entry === 'string' ? entry : browserFile(entry.browser ?? entry.import ?? entry.default)
}

/** Bundles `source` for a browser, records every import that stays outside, and returns the gzipped size. */
async function bundledKb(name, source) {
  const bundle = await rolldown({
    input: 'entry',
    cwd: root,
    platform: 'browser',
    resolve: { conditionNames: ['browser', 'import', 'default'] },
    logLevel: 'silent',
    plugins: [
      {
        name: 'core-imports-nothing',
        resolveId(id, importer) {
          if (importer === undefined) return '\0entry'
          if (id.startsWith('.') || id.startsWith('/') || id.startsWith('#')) return null
          problems.push(`${name}: ${importer} imports ${id}; core entry points import nothing from outside`)
          return { id, external: true }
        },
        load: (id) => (id === '\0entry' ? source : null),
      },
    ],
  })
  const { output } = await bundle.generate({ format: 'esm', minify: true })
  await bundle.close()
  const chunks = output.filter((chunk) => chunk.type === 'chunk')
  const own = new Set(chunks.map((chunk) => chunk.fileName))
  for (const chunk of chunks) {
    for (const id of [...chunk.imports, ...chunk.dynamicImports]) {
      if (!own.has(id)) problems.push(`${name}: the bundle still imports ${id}`)
    }
  }
  return chunks.reduce((sum, chunk) => sum + gzipSync(chunk.code, { level: 9 }).length, 0) / 1000
}
