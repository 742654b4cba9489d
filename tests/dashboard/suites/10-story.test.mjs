// What an operator comes for: somebody could not log in, why, and what would have to change. By mouse, by keyboard alone, and without scripts.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { Browser, tabTo } from '../lib/browser.mjs';
import { World, mallory } from '../lib/world.mjs';

const message = 'Your trial has ended. Write to sales@tea.example to go on.';
const editor = 'textarea[name="event"]';

let world;
let browser;

before(async () => {
  world = await World.open();
  await world.populate();
  browser = await Browser.open();
});
after(async () => {
  await browser?.close();
  await world?.close();
});

/** The event of the page, with another e-mail address. */
const corrected = (text) => text.replaceAll(mallory.email, 'ada@example.com');

test('a denied login is found by its e-mail address, tried again with another event, and the log does not grow', async () => {
  const page = await browser.page(world.dashboard);
  const recorded = (await world.records()).length;
  await page.goto(world.dashboard);
  await page.getByRole('link', { name: 'Log', exact: true }).click();
  await page.getByLabel('User').fill(mallory.email);
  await page.getByRole('button', { name: 'Apply' }).click();
  const rows = page.locator('#records tr');
  await page.getByRole('link', { name: 'Clear' }).waitFor();
  const denied = rows.filter({ hasText: 'Denied' });
  assert.equal(await denied.count(), 1);
  assert.match(await denied.innerText(), /Your trial has ended[^]*PRE_SESSION_CREATION/);
  await denied.getByRole('link').first().click();
  await page.getByRole('heading', { name: /^Record / }).waitFor();
  assert.ok((await page.locator('main').innerText()).includes(message));

  await page.getByRole('link', { name: 'Try this event' }).click();
  const event = await page.locator(editor).inputValue();
  assert.equal(JSON.parse(event).interceptor_context.user_email, mallory.email);
  await page.getByRole('button', { name: 'Run', exact: true }).click();
  await page.getByRole('heading', { name: 'Denied' }).waitFor();
  assert.ok((await page.locator('#result').innerText()).includes(message));

  await page.locator(editor).fill('{ "trigger_point": ');
  await page.locator('#marks .fail').first().waitFor();
  await page.locator(editor).fill(corrected(event));
  await page.getByText('An event that can be sent').waitFor();
  await page.getByRole('button', { name: 'Run', exact: true }).click();
  await page.getByRole('heading', { name: 'Allowed' }).waitFor();
  assert.match(await page.locator('#result').innerText(), /plan[^]*added[^]*"gold"/);
  const { interceptor_context: context } = world.hooks.events.at(-1);
  assert.equal(context.dry_run, true);
  assert.equal(context.user_email, 'ada@example.com');

  assert.equal((await world.records()).length, recorded);
  assert.deepEqual(page.faults, []);
});

test('the same by keyboard alone, and the focus can be seen at every step', async () => {
  const page = await browser.page(world.dashboard);
  await page.goto(world.dashboard);
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.className), 'skip');
  await tabTo(page, 'a[href="/log"]');
  await page.keyboard.press('Enter');
  await page.waitForURL(/\/log$/);
  await tabTo(page, '#user');
  await page.keyboard.type(mallory.email);
  await page.keyboard.press('Enter');
  await page.waitForURL(/user=/);
  await tabTo(page, '#records tr:has(.status.stop) a');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: /^Record / }).waitFor();
  await tabTo(page, 'a[href*="/test?record="]');
  await page.keyboard.press('Enter');
  await page.waitForURL(/\/test\?record=/);
  await tabTo(page, editor);
  const text = corrected(await page.locator(editor).inputValue());
  await page.keyboard.press('Control+A');
  await page.keyboard.insertText(text);
  await page.getByText('An event that can be sent').waitFor();
  await tabTo(page, 'button[value="run"]');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Allowed' }).waitFor();
  await tabTo(page, '#result summary');
  await page.keyboard.press('Enter');
  assert.ok(await page.locator('#result details').first().getAttribute('open') !== null);
  assert.deepEqual(page.faults, []);
});

test('the same without scripts', async () => {
  const plain = await Browser.open({ javaScriptEnabled: false });
  try {
    const page = await plain.page(world.dashboard);
    const recorded = (await world.records()).length;
    await page.goto(`${world.dashboard}/log`);
    await page.getByLabel('User').fill(mallory.email);
    await page.getByRole('button', { name: 'Apply' }).click();
    await page.locator('#records tr').filter({ hasText: 'Denied' }).getByRole('link').first().click();
    await page.getByRole('link', { name: 'Try this event' }).click();
    await page.locator(editor).fill(corrected(await page.locator(editor).inputValue()));
    await page.getByRole('button', { name: 'Run', exact: true }).click();
    await page.getByRole('heading', { name: 'Allowed' }).waitFor();
    assert.match(await page.locator('#result').innerText(), /"gold"/);
    // What was typed is still there, and a mistake in it is said.
    assert.ok((await page.locator(editor).inputValue()).includes('ada@example.com'));
    await page.locator(editor).fill('{ "trigger_point": ');
    await page.getByRole('button', { name: 'Run', exact: true }).click();
    await page.locator('#marks .fail').first().waitFor();
    assert.equal((await world.records()).length, recorded);
    assert.deepEqual(page.faults, []);
  } finally {
    await plain.close();
  }
});

test('a list that is followed shows a new decision without a reload', async () => {
  const page = await browser.page(world.dashboard);
  await page.goto(`${world.dashboard}/log`);
  await page.getByRole('link', { name: 'Follow' }).click();
  await page.getByRole('link', { name: 'Stop following' }).waitFor();
  await page.evaluate(() => { window.stayed = true; });
  const email = 'late@mailinator.com';
  await world.signUp({ name: 'Late Comer', email });
  await page.locator('#records tr').filter({ hasText: email }).filter({ hasText: 'Denied' }).waitFor();
  assert.equal(await page.evaluate(() => window.stayed), true);
  assert.deepEqual(page.faults, []);
});
