// Takes the pictures of docs/screenshots/: the pages that matter, at two widths, in both themes.

import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { Browser } from './lib/browser.mjs';
import { pages } from './lib/pages.mjs';
import { World } from './lib/world.mjs';

const shown = ['overview', 'interceptors', 'interceptor-configuration', 'interceptor-test', 'log', 'record-allowed', 'routes-explained', 'keys'];
const folder = process.env.SCREENSHOTS ?? fileURLToPath(new URL('../../docs/screenshots/', import.meta.url));
mkdirSync(folder, { recursive: true });

const world = await World.open();
const closed = await World.open({ admin: 'token = { file = "admin.token" }\nlogin = { client_id = "tollgate", operators = ["ops"] }' });
const browser = await Browser.open();
try {
  await world.populate();
  const all = [...(await pages(world)).filter(([name]) => shown.includes(name)).map(([name, address, act]) => [name, world.dashboard + address, act]), ['login', `${closed.dashboard}/`]];
  const page = await browser.page('http://127.0.0.1');
  for (const [name, address, act] of all) {
    for (const [size, width, height] of [['wide', 1280, 900], ['narrow', 390, 844]]) {
      await page.setViewportSize({ width, height });
      for (const colorScheme of ['light', 'dark']) {
        await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
        await page.goto(address);
        await act?.(page);
        await page.evaluate(() => window.scrollTo(0, 0));
        await page.screenshot({ path: `${folder}/${name}-${size}-${colorScheme}.png` });
      }
    }
  }
} finally {
  await browser.close();
  await world.close();
  await closed.close();
}
