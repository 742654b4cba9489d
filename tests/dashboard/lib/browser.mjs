// Chromium with a profile of its own, and pages that note whatever goes wrong in them.

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { chromium } from 'playwright-core';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const flags = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];

export class Browser {
  /** @param options of Playwright's persistent context, such as `javaScriptEnabled`; `args` are added to ours */
  static async open({ args = [], ...options } = {}) {
    const browser = new Browser();
    browser.profile = mkdtempSync(join(tmpdir(), 'tollgate-chromium-'));
    browser.context = await chromium.launchPersistentContext(browser.profile, {
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      headless: true,
      args: [...flags, ...args],
      viewport: { width: 1280, height: 900 },
      ...options,
    });
    browser.context.setDefaultTimeout(20_000);
    // A report of the content security policy is an error like any other.
    await browser.context.addInitScript(() => {
      document.addEventListener('securitypolicyviolation', (event) => console.error(`CSP: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
    });
    return browser;
  }

  /** A new tab; `page.faults` collects errors, dialogs, and requests to anywhere but `home`. */
  async page(home) {
    const page = await this.context.newPage();
    page.faults = [];
    page.on('console', (message) => {
      // A page that is an error, such as "no such page", says so in its status, and Chromium notes that; an asset has to be there.
      const isStatus = /the server responded with a status of 4\d\d/.test(message.text()) && !message.location().url.includes('/assets/');
      if (['error', 'warning'].includes(message.type()) && !isStatus) page.faults.push(`console: ${message.text()}`);
    });
    page.on('pageerror', (error) => page.faults.push(`script: ${error}`));
    page.on('dialog', (dialog) => {
      page.faults.push(`dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
    page.on('request', (request) => {
      if (!request.url().startsWith(home) && !request.url().startsWith('data:')) page.faults.push(`request: ${request.url()}`);
    });
    return page;
  }

  async close() {
    await this.context.close();
    rmSync(this.profile, { recursive: true, force: true });
  }
}

/** What axe finds on the page, a line for each. */
export async function violations(page) {
  await page.evaluate(axe);
  const { violations: found } = await page.evaluate(() =>
    globalThis.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'], resultTypes: ['violations'] }),
  );
  return found.flatMap(({ id, nodes }) => nodes.map(({ target, failureSummary }) => `${id} at ${target.join(' ')}: ${failureSummary.replaceAll(/\s+/g, ' ')}`));
}

/** The pixels that the page is wider than the window. */
export const overhang = (page) => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);

/** Presses Tab until something that fits has the focus; whatever has it in between must show that. */
export async function tabTo(page, selector, limit = 80) {
  for (let presses = 0; presses < limit; presses += 1) {
    await page.keyboard.press('Tab');
    const { fits, visible, what } = await page.evaluate((wanted) => {
      const element = document.activeElement;
      const frame = element.closest('.editor') ?? element;
      const { outlineStyle, outlineWidth } = getComputedStyle(frame);
      const { width, height } = frame.getBoundingClientRect();
      return { fits: element.matches(wanted), visible: outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2 && width > 1 && height > 1, what: element.outerHTML.slice(0, 160) };
    }, selector);
    assert.ok(visible || what.startsWith('<body'), `the focus cannot be seen at ${what}`);
    if (fits) return;
  }
  assert.fail(`${selector} cannot be reached by Tab`);
}
