import { readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { beforeAll, describe, expect, test } from 'vitest'
import {
  buildDeclarations,
  compilers,
  type Diagnostic,
  diagnose,
  instantiations,
  type Place,
  places,
  sentences,
} from './compiler.js'

const snapshot = new URL('./messages.snap.json', import.meta.url)
const cases = readdirSync(new URL('./cases', import.meta.url))
const timeout = 120_000

beforeAll(buildDeclarations, timeout)

/** Case -> position and our sentences; a case whose error is the compiler's own has a position only. */
function summary(diagnostics: readonly Diagnostic[]): Record<string, string[]> {
  const found: Record<string, string[]> = {}
  for (const diagnostic of diagnostics) {
    const name = diagnostic.file.replace(/^cases\/|\.ts$/g, '')
    found[name] = [...(found[name] ?? []), diagnostic.at, ...sentences(diagnostic)]
  }
  return Object.fromEntries(Object.entries(found).sort(([a], [b]) => (a < b ? -1 : 1)))
}

describe.each(Object.entries(compilers))('%s', (_, compiler) => {
  describe.each(Object.keys(places) as Place[])('%s', (place) => {
    const found: Diagnostic[] = []
    const from = (folder: string) => found.filter(({ file }) => file.startsWith(`${folder}/`))
    beforeAll(async () => {
      found.push(...(await diagnose(compiler, place)))
    }, timeout)

    test('accepts what is right', () => {
      expect(found.filter((diagnostic) => !['refused', 'cases'].some((f) => from(f).includes(diagnostic)))).toEqual([])
    })

    test('refuses what is wrong', () => {
      expect(from('refused')).toEqual([])
    })

    test('says why, at the offending argument', () => {
      const messages = summary(from('cases'))
      // UPDATE_TYPE_MESSAGES=1 writes the messages of the first compiler; all others must then agree.
      if (process.env.UPDATE_TYPE_MESSAGES && compiler === 'typescript' && place === 'sources') {
        writeFileSync(snapshot, `${JSON.stringify(messages, null, 2)}\n`)
      }
      expect(Object.keys(messages).sort()).toEqual(cases.map((file) => file.replace('.ts', '')).sort())
      expect(messages).toEqual(JSON.parse(readFileSync(snapshot, 'utf8')))
    })
  })
})

describe('cost to the compiler, in instantiations on TypeScript 7', () => {
  // Measured 4 420 when these types were written, and a tenth on top; the prototype's was 9 405.
  const importsCeiling = 4_860
  // The prototype's own op file without conv2d, maxPool2d and the NumPy-style badd, TypeScript 7.0.2: 163 161 - 9 405.
  const prototypeOps = 153_756

  test(
    'imports only',
    async () => {
      expect(await instantiations('imports')).toBeLessThanOrEqual(importsCeiling)
    },
    timeout,
  )

  test(
    'a model of 50 layers',
    async () => {
      expect((await instantiations('fiftyLayers')) - (await instantiations('imports'))).toBeLessThanOrEqual(7_300)
    },
    timeout,
  )

  test(
    'op calls, every shape distinct',
    async () => {
      const own = (await instantiations('ops')) - (await instantiations('imports'))
      expect(own).toBeLessThanOrEqual(prototypeOps * 1.1)
    },
    timeout,
  )

  test(
    'a model of 25 convolutions, every size computed',
    async () => {
      // Measured 31 059 when these types were written, and a tenth on top. With its imports the file takes 33 805, the
      // prototype's took 30 990: it knew no dtypes, and took windows of unknown size for fitting ones.
      expect((await instantiations('fiftyConvolutions')) - (await instantiations('images'))).toBeLessThanOrEqual(34_100)
    },
    timeout,
  )

  test(
    'ResNet-18',
    async () => {
      expect((await instantiations('resnet18')) - (await instantiations('images'))).toBeLessThanOrEqual(73_000)
    },
    timeout,
  )
})
