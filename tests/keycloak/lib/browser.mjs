// Chromium as people use it, headless, with a profile of its own that is thrown away.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { chromium } from 'playwright-core';

const flags = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];

export class Browser {
  static async open() {
    const browser = new Browser();
    browser.profile = mkdtempSync(join(tmpdir(), 'tollgate-chromium-'));
    browser.context = await chromium.launchPersistentContext(browser.profile, {
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      headless: true,
      args: flags,
      viewport: { width: 1280, height: 900 },
    });
    browser.context.setDefaultTimeout(30_000);
    return browser;
  }

  /** A new tab without cookies of earlier ones. */
  async page() {
    await this.context.clearCookies();
    return this.context.newPage();
  }

  /** The values of all cookies it holds. */
  async cookies() {
    return (await this.context.cookies()).map(({ value }) => value);
  }

  async close() {
    await this.context.close();
    rmSync(this.profile, { recursive: true, force: true });
  }
}
