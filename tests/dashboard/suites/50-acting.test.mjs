// What takes an operator: cases and replays. Who that is, by a login at the provider; and what is shown while an endpoint is down.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { until } from '../../keycloak/lib/processes.mjs';
import { Browser, violations } from '../lib/browser.mjs';
import { allow, answer, deny } from '../lib/hooks.mjs';
import { World, ada, mallory, named } from '../lib/world.mjs';

const tab = `/interceptors/${encodeURIComponent(named.PRE_SESSION_CREATION)}/test`;
const login = 'login = { client_id = "tollgate", roles = "/roles", viewers = ["support"], operators = ["ops"] }';

let browser;
before(async () => {
  browser = await Browser.open();
});
after(() => browser?.close());

describe('as an operator', () => {
  let world;
  let page;
  before(async () => {
    world = await World.open();
    await world.populate();
    page = await browser.page(world.dashboard);
    await page.goto(world.dashboard + tab);
    await page.evaluate(() => { window.stayed = true; });
  });
  after(() => world?.close());

  test('a case is kept, tried, and says when its endpoint has changed its mind, without a reload', async () => {
    const recorded = (await world.records()).length;
    await page.getByText('Run and keep as a case').click();
    await page.getByLabel('Name').fill('editors-get-gold');
    await page.getByLabel('What it is for').fill('Editors pay for gold');
    await page.getByRole('button', { name: 'Run and keep', exact: true }).click();
    const row = page.locator('#cases tr').filter({ hasText: 'editors-get-gold' });
    await row.waitFor();
    assert.match(await row.innerText(), /ALLOW[^]*Editors pay for gold/i);
    await page.getByRole('button', { name: 'Run all cases' }).click();
    await page.locator('#cases [role="status"].ok').waitFor();
    world.hooks.decide('PRE_SESSION_CREATION', () => deny('Closed for maintenance.'));
    await page.getByRole('button', { name: 'Run all cases' }).click();
    await page.locator('#cases [role="status"].fail').waitFor();
    assert.ok((await row.locator('.why').allInnerTexts()).length > 0);
    assert.deepEqual(await violations(page), []);
    assert.equal(await page.evaluate(() => window.stayed), true);
    assert.ok(existsSync(join(world.folder, 'cases')));
    assert.equal((await world.records()).length, recorded);
    assert.deepEqual(page.faults, []);
  });

  test('a replay shows what the endpoint says otherwise now, and leads to the records', async () => {
    const recorded = (await world.records()).length;
    world.hooks.decide('PRE_SESSION_CREATION', () => allow({ claims: { plan: 'silver' } }));
    await page.getByLabel('From').selectOption('1h');
    await page.getByRole('button', { name: 'Replay', exact: true }).click();
    const changed = page.locator('#replayed tbody tr');
    await changed.first().waitFor();
    const text = await page.locator('#replayed').innerText();
    assert.match(text, new RegExp(`${mallory.email.replace('.', '\\.')}[^]*deny[^]*allow`, 'i'));
    assert.match(text, /gold[^]*silver/);
    assert.deepEqual(await violations(page), []);
    assert.equal(await page.evaluate(() => window.stayed), true);
    assert.equal((await world.records()).length, recorded);
    assert.ok(world.hooks.events.at(-1).interceptor_context.dry_run);
    await changed.first().getByRole('link').click();
    await page.getByRole('heading', { name: /^Record / }).waitFor();
    assert.deepEqual(page.faults, []);
  });
});

describe('by a login at the provider', () => {
  let world;
  before(async () => {
    world = await World.open({ admin: login });
    await world.populate();
  });
  after(() => world?.close());

  async function logIn(roles) {
    const own = await Browser.open();
    const page = await own.page('http://127.0.0.1');
    world.provider.person = { ...ada, roles };
    await page.goto(world.dashboard + tab);
    await page.getByRole('link', { name: 'Log in at the provider' }).click();
    await page.getByRole('heading', { name: 'Provider' }).waitFor();
    await page.getByRole('button', { name: 'Continue' }).click();
    return { own, page };
  }

  test('an operator comes back to the page that was asked for, acts, and logs out', async () => {
    const { own, page } = await logIn(['ops']);
    try {
      await page.waitForURL(world.dashboard + tab);
      assert.equal(await page.locator('.visitor .role').innerText(), 'operator');
      await page.getByRole('button', { name: 'Run', exact: true }).click();
      await page.locator('#verdict-title').waitFor();
      const cookies = await own.context.cookies(world.dashboard);
      assert.ok(cookies.length > 0 && cookies.every(({ httpOnly, sameSite }) => httpOnly && sameSite !== 'None'));
      await page.getByRole('button', { name: 'Log out' }).click();
      await page.goto(`${world.dashboard}/log`);
      await page.getByRole('heading', { name: 'Log in' }).waitFor();
      assert.deepEqual(page.faults, []);
    } finally {
      await own.close();
    }
  });

  test('a viewer sees everything and can send nothing', async () => {
    const { own, page } = await logIn(['support']);
    try {
      await page.waitForURL(world.dashboard + tab);
      assert.equal(await page.locator('.visitor .role').innerText(), 'viewer');
      await page.getByText('Your role may look.').waitFor();
      assert.deepEqual(await violations(page), []);
      for (const name of ['Run', 'Run all cases', 'Replay', 'Run and keep']) assert.equal(await page.getByRole('button', { name, exact: true }).count(), 0, name);
      const asked = world.hooks.events.length;
      // What the page does not offer is refused as well.
      const status = await page.evaluate(async () => {
        const csrf = document.querySelector('input[name="csrf"]').value;
        const body = new URLSearchParams({ csrf, action: 'run', event: document.querySelector('textarea').value });
        return (await fetch(location.pathname, { method: 'POST', body })).status;
      });
      assert.equal(status, 403);
      assert.equal(world.hooks.events.length, asked);
      for (const target of ['/', '/log', '/log/1', '/keys', '/routes', '/interceptors']) {
        assert.equal((await page.goto(world.dashboard + target)).status(), 200, target);
      }
      assert.deepEqual(page.faults, []);
    } finally {
      await own.close();
    }
  });

  test('somebody with another role is told so and stays outside', async () => {
    const { own, page } = await logIn(['accounting']);
    try {
      await page.waitForURL(/\/login\/callback/);
      assert.match(await page.locator('main').innerText(), /role/i);
      await page.goto(`${world.dashboard}/log`);
      await page.getByRole('heading', { name: 'Log in' }).waitFor();
    } finally {
      await own.close();
    }
  });
});

test('an endpoint that is down is the first thing to see, by name, with what happens meanwhile, and its breaker is open', async () => {
  const world = await World.open({ breaker: '{ failures_in_a_row = 2 }' });
  try {
    world.hooks.decide('PRE_SESSION_CREATION', () => answer('down for maintenance', 503, { 'content-type': 'text/plain' }));
    const page = await browser.page(world.dashboard);
    for (let n = 0; n < 3; n += 1) await world.logIn(ada);
    await until('the breaker has spoken', async () => (await world.records()).some((record) => record.decided_by === 'breaker'));
    await page.goto(world.dashboard);
    const name = named.PRE_SESSION_CREATION;
    const notice = page.locator('main .notice.fail').first();
    assert.match(await notice.innerText(), new RegExp(`Now:[^]*${name}[^]* is down, and meanwhile turns requests away`));
    assert.deepEqual(await violations(page), []);
    await page.goto(`${world.dashboard}/interceptors`);
    const line = page.locator('main tr, main li, main article').filter({ hasText: name }).filter({ hasText: 'Breaker open' });
    assert.ok((await line.count()) >= 1);
    await page.goto(world.dashboard + tab);
    await page.getByText('Breaker open').first().waitFor();
    // A dry run asks it all the same.
    world.hooks.decide('PRE_SESSION_CREATION', () => allow());
    await page.getByRole('button', { name: 'Run', exact: true }).click();
    await page.getByRole('heading', { name: 'Allowed' }).waitFor();
    const spoken = (await world.records()).find((record) => record.decided_by === 'breaker');
    await page.goto(`${world.dashboard}/log/${spoken.seq}`);
    assert.ok(!(await page.locator('main').innerText()).includes('Calls of the endpoint'), 'nobody was called');
    assert.deepEqual(page.faults, []);
  } finally {
    await world.close();
  }
});
