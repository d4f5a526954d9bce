import { type Browser, chromium } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readReportAssets } from '../../src/train/node-report.js'
import { renderReport } from '../../src/train/report.js'
import { findBrowser } from '../browser/page.js'
import { reportFixture } from './report-fixture.js'

const executablePath = await findBrowser()

// CI installs a browser, so a missing one fails there; elsewhere the skipped tests show in the last line.
describe.skipIf(process.env.CI === undefined && executablePath === undefined)('the report in a browser', () => {
  let browser: Browser
  let html: string

  beforeAll(async () => {
    html = renderReport(reportFixture(), await readReportAssets())
    browser = await chromium.launch({ ...(executablePath ? { executablePath } : {}), args: ['--no-sandbox'] })
  })
  afterAll(() => browser.close())

  /** Opens the report as from a file, and notes whatever goes wrong or leaves the page. */
  async function open(width: number, colorScheme: 'light' | 'dark') {
    const page = await browser.newPage({ viewport: { width, height: 800 }, colorScheme })
    const complaints: string[] = []
    page.on('pageerror', (error) => complaints.push(error.message))
    page.on('console', (message) => complaints.push(message.text()))
    page.on('request', (request) => {
      if (!request.url().startsWith('data:')) complaints.push(request.url())
    })
    await page.setContent(html)
    await page.waitForSelector('#accuracy canvas')
    return { page, complaints }
  }

  it.each([
    [1100, 'light'],
    [1100, 'dark'],
    [400, 'light'],
    [320, 'dark'],
  ] as const)('%i pixels wide, %s: draws both charts, loads nothing, scrolls only downwards', async (width, scheme) => {
    const { page, complaints } = await open(width, scheme)
    const seen = await page.evaluate(() => ({
      overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
      // A canvas that was drawn on has pixels that are not transparent.
      drawn: Array.from(document.querySelectorAll('canvas')).map((canvas) => {
        const pixels = canvas.getContext('2d')?.getImageData(0, 0, canvas.width, canvas.height).data ?? []
        return Array.from(pixels).filter((value, i) => i % 4 === 3 && value > 0).length
      }),
      legends: Array.from(document.querySelectorAll('.u-legend')).map((legend) => legend.textContent),
      broken: Array.from(document.images).filter((image) => image.naturalWidth !== 28).length,
      pictures: document.images.length,
      // The place that was kept for a chart is the place that it takes.
      grown: Array.from(document.querySelectorAll('.chart')).map((chart) => chart.scrollHeight - chart.clientHeight),
      background: getComputedStyle(document.body).backgroundColor,
    }))
    expect(complaints).toEqual([])
    expect(seen.overflow).toBe(0)
    expect(seen.drawn).toHaveLength(2)
    for (const pixels of seen.drawn) expect(pixels).toBeGreaterThan(1000)
    expect(seen.legends[0]).toMatch(/^step5,625training0\.0\d+student0\.0812teacher0\.0594$/)
    expect(seen.legends[1]).toBe('step5,625student97.61 %teacher98.20 %')
    expect({ pictures: seen.pictures, broken: seen.broken }).toEqual({ pictures: 24, broken: 0 })
    expect(seen.grown).toEqual([0, 0])
    expect(seen.background).toBe(scheme === 'dark' ? 'rgb(16, 18, 22)' : 'rgb(246, 247, 249)')
    await page.close()
  })

  it('shows the values under the cursor, each model at its nearest epoch', async () => {
    const { page } = await open(1100, 'light')
    const box = await page.locator('#loss .u-over').boundingBox()
    if (!box) throw new Error('the loss chart has no plotting area')
    await page.mouse.move(box.x + box.width * 0.3, box.y + 50)
    await page.mouse.move(box.x + box.width * 0.33, box.y + 50)
    await expect.poll(() => page.locator('#loss .u-legend').textContent()).toContain('student0.127teacher0.119')
    await page.close()
  })

  it('follows the reader from light to dark', async () => {
    const { page, complaints } = await open(1100, 'light')
    const line = () =>
      page
        .locator('#accuracy .u-marker')
        .nth(1)
        .evaluate((marker) => getComputedStyle(marker).background)
    expect(await line()).toContain('rgb(37, 99, 235)')
    await page.emulateMedia({ colorScheme: 'dark' })
    await expect.poll(line).toContain('rgb(110, 168, 254)')
    expect(await page.locator('canvas').count()).toBe(2)
    expect(complaints).toEqual([])
    await page.close()
  })
})
