import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import * as nn from 'dfdt/nn'
import * as optim from 'dfdt/optim'
import ts from 'ts6'
import { describe, expect, test } from 'vitest'
import { optimizers, rows } from '../optim/table.js'
import { rules } from '../update/table.js'
import { layers } from './table.js'

/** What an entry point exports besides layers, optimizers and rules. */
const others = {
  nn: [
    'ACCEPTS',
    'CHILDREN',
    'IN',
    'OUT',
    'assign',
    'buffer',
    'clone',
    'convert',
    'countParameters',
    'freeze',
    'inference',
    'mapTensors',
    'namedParameters',
    'namedTensors',
    'parameter',
    'recomputeStatistics',
    'resetParameters',
    'stateOf',
    'summary',
    'unfreeze',
    'zipParameters',
    'zipTensors',
  ],
  optim: ['defineOptimizer'],
}

test.each([
  ['layer of dfdt/nn', nn, Object.keys(layers), others.nn],
  ['optimizer of dfdt/optim', optim, Object.keys(optimizers), others.optim],
  ['optimizer (wrong options)', optim, Object.keys(rows), others.optim],
] as const)('every %s has a row in the tests', (_, module, tested, besides) => {
  expect(Object.keys(module).sort()).toEqual([...tested, ...besides].sort())
})

const root = fileURLToPath(new URL('../../', import.meta.url))
const files = ['nn', 'optim', 'update'].map((name) => `${root}src/${name}/index.ts`)
const program = ts.createProgram(files, {
  module: ts.ModuleKind.NodeNext,
  target: ts.ScriptTarget.ES2022,
  strict: true,
})
const checker = program.getTypeChecker()

describe.each(files)('%s', (file) => {
  const source = program.getSourceFile(file)
  const module = source && checker.getSymbolAtLocation(source)
  const symbols = (module ? checker.getExportsOfModule(module) : []).map((exported) =>
    exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported,
  )
  const values = symbols.filter((symbol) => symbol.flags & ts.SymbolFlags.Value)
  const tagsOf = (symbol: ts.Symbol) => symbol.getJsDocTags(checker).map((tag) => tag.name)

  test('documents what it exports', () => {
    expect(values.length).toBeGreaterThan(2)
    expect(
      values.filter((symbol) => symbol.getDocumentationComment(checker).length === 0).map(({ name }) => name),
    ).toEqual([])
  })

  test('gives an example and the PyTorch equivalent of every layer, optimizer and rule', () => {
    const listed = [...Object.keys(layers), ...Object.keys(optimizers), ...Object.keys(rules)]
    const bare = values.filter((symbol) => {
      const text = ts.displayPartsToString(symbol.getDocumentationComment(checker))
      return listed.includes(symbol.name) && !(text.includes('Torch: ') && tagsOf(symbol).includes('example'))
    })
    expect(bare.map(({ name }) => name)).toEqual([])
  })
})

test('every rule of dfdt/update has a file and a row in the tests', () => {
  const named = readdirSync(`${root}src/update/rules`).map((file) =>
    file.replace('.ts', '').replaceAll(/-(.)/g, (_, letter: string) => letter.toUpperCase()),
  )
  expect(named.sort()).toEqual(Object.keys(rules).sort())
})

test('every file of layers, optimizers and rules is exported from its index', () => {
  for (const file of files) {
    // The other files of update are what rules are made with.
    const part = file.includes('/update/') ? 'rules/' : ''
    const folder = file.replace('index.ts', part)
    const exported = program.getSourceFile(file)?.text ?? ''
    const hidden = readdirSync(folder).filter(
      (name) =>
        name.endsWith('.ts') && name !== 'index.ts' && !exported.includes(`./${part}${name.replace('.ts', '.js')}`),
    )
    expect(hidden, folder).toEqual([])
  }
})
