import { Script } from 'node:vm'
import { inflateSync } from 'node:zlib'
import { beforeAll, describe, expect, it } from 'vitest'
import { readReportAssets } from '../../src/train/node-report.js'
import { greyPng } from '../../src/train/png.js'
import { type ReportAssets, type ReportData, renderReport } from '../../src/train/report.js'
import { reportFixture } from './report-fixture.js'

let assets: ReportAssets
let page: string

beforeAll(async () => {
  assets = await readReportAssets()
  page = renderReport(reportFixture(), assets)
})

/** The page without the chart library, whose licence line holds an address. */
const own = () => page.replace(assets.chartScript, '')

describe('report', () => {
  it('says how the run ended', () => {
    expect(page).toContain(
      'After 3 epochs the teacher reads 98.20 % of 10,000 test digits right, 59 more than its student (97.61 %).',
    )
    for (const fact of ['>mnist<', '>0.999<', '>5,625<', '>472,042<', '>1 min 11 s<', '>153<'])
      expect(page).toContain(fact)
  })

  it('loads nothing: no address in it, and a policy that forbids loading', () => {
    expect(own()).not.toMatch(/https?:|\/\/[a-z]|@import|\bsrc="(?!data:)|\bhref="(?!data:)|url\(/i)
    expect(page).toContain(
      `content="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:"`,
    )
    expect(assets.chartScript.match(/https?:[^ ]*/g)).toHaveLength(1)
    expect(assets.chartScript).not.toContain('</script')
  })

  it('is well-formed: every element closed in order, ids unique, labels resolved', () => {
    const { unclosed, ids, labels } = readHtml(page)
    expect(unclosed).toEqual([])
    expect(ids).toEqual([...new Set(ids)])
    expect(labels.length).toBeGreaterThan(5)
    for (const label of labels) expect(ids).toContain(label)
  })

  it('holds one row a digit in the confusion matrix, with the counts and the recall', () => {
    const rows = page.slice(page.indexOf('class="confusion"')).match(/<tr><th scope="row">\d.*<\/tr>/g) ?? []
    expect(rows).toHaveLength(10)
    reportFixture().confusion.forEach((counts, label) => {
      const cells = [...(rows[label] ?? '').matchAll(/<td[^>]*>([^<]*)<\/td>/g)].map(([, text]) => text)
      const total = counts.reduce((sum, value) => sum + value, 0)
      expect(cells).toEqual([...counts.map(String), `${((100 * (counts[label] ?? 0)) / total).toFixed(1)} %`])
    })
    expect(page).toContain('title="4 read as 9: 14 of 982"')
  })

  it('shows each hard digit with a picture, what was read and what is true', () => {
    const alts = [...page.matchAll(/<img src="data:image\/png;base64,[^"]+" width="28" height="28" alt="([^"]*)"/g)]
    expect(alts).toHaveLength(24)
    expect(alts[0]?.[1]).toBe('Test image 8: a handwritten 0, read as 5')
    expect(page).toContain('<span class="chosen">read <b>5</b> <small>99.9 %</small></span>')
  })

  it('embeds the curves as JSON that the page can read back', () => {
    const data = JSON.parse(/id="chart-data">(.*?)<\/script>/s.exec(page)?.[1] ?? '')
    expect(data.epochs.teacherAccuracy).toEqual([0.9634, 0.9768, 0.982])
    expect(data.epochs.step).toEqual([1875, 3750, 5625])
    expect(data.train.step).toHaveLength(data.train.loss.length)
    expect(data.train.step.at(-1)).toBe(5625)
  })

  it('embeds a script that needs nothing but the chart library and the browser', () => {
    const script = /;\((function drawCharts[\s\S]*)\)\(uPlot, JSON/.exec(page)?.[1] ?? ''
    expect(() => new Script(`(${script})`)).not.toThrow()
    expect(script).not.toMatch(/__vi|import|require/)
  })

  it('escapes whatever the data say', () => {
    const nasty = '</script><script>alert(1)</script><img src=x onerror=alert(1)>"&'
    const data = { ...reportFixture(), job: nasty }
    const html = renderReport(data, assets)
    expect(html).not.toContain('<script>alert')
    expect(html).not.toContain('<img src=x')
    expect(html).toContain('&lt;/script&gt;')
    expect(readHtml(html).unclosed).toEqual([])
  })

  it('says so when the teacher lags', () => {
    const base = reportFixture()
    const short: ReportData = { ...base, steps: 625 }
    expect(renderReport(short, assets)).toContain('after 625 steps it still carries 54 % of its random start')
    expect(page).not.toContain('The teacher lags')
  })

  it('survives a run that diverged', () => {
    const base = reportFixture()
    const broken = { loss: Number.NaN, accuracy: 0.098 }
    const data = { ...base, epochs: base.epochs.map((epoch) => ({ ...epoch, student: broken, teacher: broken })) }
    const html = renderReport(data, assets)
    expect(html).toContain('test loss NaN')
    expect(html).toContain('as many as its student')
    expect(readHtml(html).unclosed).toEqual([])
  })
})

describe('greyPng', () => {
  it('stores the pixels row by row in a PNG that an inflater accepts', () => {
    for (const [height, width] of [
      [28, 28],
      [3, 5],
      [300, 400],
    ] as const) {
      const pixels = Uint8Array.from({ length: height * width }, (_, i) => (i * 37) % 256)
      const uri = greyPng(pixels, height, width)
      const bytes = Buffer.from(uri.slice('data:image/png;base64,'.length), 'base64')
      expect(bytes.subarray(0, 8).toString('latin1')).toBe('\x89PNG\r\n\x1a\n')
      expect([bytes.readUInt32BE(16), bytes.readUInt32BE(20)]).toEqual([width, height])
      // inflate checks the Adler-32 sum.
      const rows = inflateSync(bytes.subarray(41, 41 + bytes.readUInt32BE(33)))
      expect(rows).toHaveLength(height * (width + 1))
      for (let row = 0; row < height; row++) {
        expect(rows[row * (width + 1)]).toBe(0)
        const line = rows.subarray(row * (width + 1) + 1, (row + 1) * (width + 1))
        expect(new Uint8Array(line)).toEqual(pixels.subarray(row * width, (row + 1) * width))
      }
    }
  })

  it('ends with the chunk every PNG ends with, its CRC included', () => {
    const uri = greyPng(new Uint8Array(784), 28, 28)
    const bytes = Buffer.from(uri.slice('data:image/png;base64,'.length), 'base64')
    expect(bytes.subarray(-12).toString('hex')).toBe('0000000049454e44ae426082')
  })
})

/** Walks a page's tags: what is left open or closed out of order, the ids, and the ids that labels refer to. */
function readHtml(html: string): { unclosed: string[]; ids: string[]; labels: string[] } {
  const empty = new Set(['meta', 'link', 'img', 'br', 'hr', 'input'])
  const open: string[] = []
  const unclosed: string[] = []
  const text = html.replace(/<(script|style)([^>]*)>[\s\S]*?<\/\1>/g, '<$1$2></$1>')
  for (const [, close, name = ''] of text.matchAll(/<(\/?)([a-z][a-z0-9]*)((?:\s+[a-z-]+(?:="[^"<]*")?)*)\s*>/g)) {
    if (!close && !empty.has(name)) open.push(name)
    if (close && open.pop() !== name) unclosed.push(name)
  }
  // Whatever is not a tag by the pattern above must not look like one.
  const rest = text
    .replace(/<(\/?)([a-z][a-z0-9]*)((?:\s+[a-z-]+(?:="[^"<]*")?)*)\s*>/g, '')
    .replace('<!doctype html>', '')
  if (rest.includes('<')) unclosed.push(rest.slice(rest.indexOf('<'), rest.indexOf('<') + 40))
  const values = (name: string) =>
    [...text.matchAll(new RegExp(` ${name}="([^"]*)"`, 'g'))].map(([, value]) => value ?? '')
  return { unclosed: [...unclosed, ...open], ids: values('id'), labels: values('aria-labelledby') }
}
