import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'ts6'
import { describe, expect, it } from 'vitest'
import { root } from './built-library.js'

/** What each entry point exports, read by the compiler: names with their kind, so that types are seen as well. */
const folder = join(root, 'src/entry')
/** Shared by entry points, and none themselves. */
const shared = ['default-device.ts', 'devices.ts', 'reference-device.ts']
const entries = readdirSync(folder).filter((file) => file.endsWith('.ts') && !shared.includes(file))
const config = ts.readConfigFile(join(root, 'tsconfig.json'), (file) => ts.sys.readFile(file))
const { options } = ts.parseJsonConfigFileContent(config.config, ts.sys, root)
const files = entries.map((file) => join(folder, file))
const program = ts.createProgram(files, options)
const checker = program.getTypeChecker()

function exportsOf(file: string): { name: string; kind: string; documented: boolean }[] {
  const source = program.getSourceFile(join(folder, file))
  const module = source && checker.getSymbolAtLocation(source)
  if (module === undefined) return []
  return checker.getExportsOfModule(module).map((exported) => {
    const symbol = exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported
    return { name: exported.name, kind: kindOf(symbol), documented: isDocumented(symbol) }
  })
}

function kindOf(symbol: ts.Symbol): string {
  if (symbol.flags & ts.SymbolFlags.Class) return 'class'
  if (symbol.flags & ts.SymbolFlags.Function) return 'function'
  if (symbol.flags & ts.SymbolFlags.Value) return 'const'
  return symbol.flags & ts.SymbolFlags.Type ? 'type' : 'unresolved'
}

function isDocumented(symbol: ts.Symbol): boolean {
  return symbol.getDocumentationComment(checker).length > 0
}

describe.each(entries)('src/entry/%s', (file) => {
  it('exports exactly the names on record', async () => {
    const lines = exportsOf(file).map(({ name, kind }) => `${name} ${kind}`)
    await expect(`${lines.sort().join('\n')}\n`).toMatchFileSnapshot(`public-surface/${file.replace(/\.ts$/, '.txt')}`)
  })

  it('documents everything it exports', () => {
    const bare = exportsOf(file).filter(({ documented }) => !documented)
    expect(bare.map(({ name, kind }) => `${kind} ${name}`)).toEqual([])
  })
})

it('every entry point has its row in package.json, and every row its file', async () => {
  const { exports } = (await import('../../package.json', { with: { type: 'json' } })).default
  const rows = Object.keys(exports).filter((name) => name !== './package.json')
  expect(rows.sort()).toEqual(
    entries.map((file) => (file === 'index.ts' ? '.' : `./${file.replace(/\.ts$/, '')}`)).sort(),
  )
})
