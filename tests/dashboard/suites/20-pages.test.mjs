// Every page, wide and narrow, light and dark: nothing in the console, nothing wider than the window, nothing that axe finds.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { Browser, overhang, violations } from '../lib/browser.mjs';
import { pages } from '../lib/pages.mjs';
import { World } from '../lib/world.mjs';

let world;
let closed;
let browser;
let plain;
let all;

before(async () => {
  world = await World.open();
  await world.populate();
  closed = await World.open({ admin: 'token = { file = "admin.token" }\nlogin = { client_id = "tollgate", operators = ["ops"] }' });
  browser = await Browser.open();
  plain = await Browser.open({ javaScriptEnabled: false });
  all = (await pages(world)).map(([name, address, act]) => [name, world.dashboard + address, act]);
  all.push(['login', `${closed.dashboard}/`], ['login-wrong', `${closed.dashboard}/`, attempt]);
});
after(async () => {
  await browser?.close();
  await plain?.close();
  await world?.close();
  await closed?.close();
});

async function attempt(page) {
  await page.fill('#token', 'not-the-token-of-this-dashboard');
  await page.getByRole('button', { name: 'Log in with the token' }).click();
  await page.getByRole('alert').waitFor();
}

for (const [size, width, height] of [['1280', 1280, 900], ['390', 390, 844]]) {
  for (const colorScheme of ['light', 'dark']) {
    test(`${size} px, ${colorScheme}`, async () => {
      const page = await browser.page('http://127.0.0.1');
      await page.setViewportSize({ width, height });
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      const found = [];
      for (const [name, address, act] of all) {
        page.faults.length = 0;
        await page.goto(address);
        await act?.(page);
        const wide = await overhang(page);
        if (wide > 0) found.push(`${name}: ${wide} px wider than the window`);
        found.push(...(await violations(page)).map((line) => `${name}: ${line}`));
        found.push(...page.faults.map((fault) => `${name}: ${fault}`));
      }
      await page.close();
      assert.deepEqual(found, []);
    });
  }
}

test('without scripts every page is the same text', async () => {
  const [scripted, bare] = [await browser.page('http://127.0.0.1'), await plain.page('http://127.0.0.1')];
  const text = async (page, address) => {
    await page.goto(address);
    // Times and durations go on between two loads.
    return (await page.locator('main').innerText()).replaceAll(/\d+/g, '0').replaceAll(/\s+/g, ' ');
  };
  for (const [name, address] of all) {
    assert.equal(await text(bare, address), await text(scripted, address), name);
  }
});

test('with a token the dashboard opens, and logging out closes it', async () => {
  const page = await browser.page(closed.dashboard);
  await page.goto(`${closed.dashboard}/keys`);
  await page.fill('#token', closed.token);
  await page.getByRole('button', { name: 'Log in with the token' }).click();
  await page.getByRole('heading', { name: 'Keys', exact: true }).waitFor();
  assert.deepEqual(await violations(page), []);
  const cookies = await browser.context.cookies(closed.dashboard);
  assert.ok(cookies.every(({ httpOnly, sameSite }) => httpOnly && sameSite !== 'None'), JSON.stringify(cookies.map(({ name }) => name)));
  await page.getByRole('button', { name: 'Log out' }).click();
  await page.goto(`${closed.dashboard}/keys`);
  await page.getByRole('heading', { name: 'Log in' }).waitFor();
});
