// What clients, people and endpoints can put into a record or an answer is shown as text, and nothing of it runs, loads or opens.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { until } from '../../keycloak/lib/processes.mjs';
import { Browser } from '../lib/browser.mjs';
import { allow, answer, deny } from '../lib/hooks.mjs';
import { payloads } from '../lib/payloads.mjs';
import { World, named } from '../lib/world.mjs';

const tab = (trigger) => `/interceptors/${encodeURIComponent(named[trigger])}`;

let world;
let browser;
let page;

before(async () => {
  world = await World.open();
  browser = await Browser.open();
  await browser.context.exposeBinding('owned', ({ page: ran }) => ran.faults.push('a script ran'));
  page = await browser.page(world.dashboard);
});
after(async () => {
  await browser?.close();
  await world?.close();
});

/** Goes there and looks for elements that no template has. */
async function visit(target, payload) {
  await page.goto(world.dashboard + target);
  await harmless(target, payload);
}

/** What has run, loaded or opened, and the elements that no template has. */
async function findings(shown) {
  const strange = await shown.evaluate(() => {
    const handlers = [...document.querySelectorAll('*')].filter((element) => [...element.attributes].some(({ name }) => name.startsWith('on') || name.startsWith('hx-on')));
    const foreign = document.querySelectorAll('b, img, iframe, object, embed, base, video, audio, math, style, svg script, svg a, svg animate, script:not([src^="/assets/"]), link:not([href^="/assets/"]), meta[http-equiv], a[href^="javascript:" i], [hx-get]:not(#tail), form[action^="http"]');
    return [...handlers, ...foreign].map((element) => element.outerHTML.slice(0, 200));
  });
  return [...strange, ...shown.faults];
}

async function harmless(target, payload) {
  assert.deepEqual(await findings(page), [], `${target} with ${payload}`);
}

/** Three records with the payload wherever a client, a person or an endpoint can put one. */
async function record(payload) {
  const said = { error: { message: payload, reason: payload }, response: { annotations: { [payload]: payload }, warnings: [payload] } };
  world.hooks.decide('PRE_SIGNUP', () => answer({ decision: 'DENY', ...said }));
  world.hooks.decide('PRE_SESSION_CREATION', () => allow({ claims: { [payload]: payload, plan: { [payload]: [payload] } } }));
  world.hooks.decide('PRE_USER_INVITATION', () => answer(payload, 500, { 'x-note': payload, 'content-type': 'text/html' }));
  const headers = { 'User-Agent': payload };
  await world.signUp({ name: payload, email: payload, client_id: payload, [payload]: payload }, headers);
  await world.logIn({ sub: payload, email: payload, name: payload, preferred_username: payload, [`claim ${payload}`]: payload, roles: [payload] }, payload, headers);
  await world.invite('org_tea', payload);
}

test('there are 40 payloads, and every one of them is noticed in a page that shows it as it is', async () => {
  assert.equal(new Set(payloads).size, 40);
  for (const payload of payloads) {
    const naive = await browser.page('about:');
    // A navigation that stays where it is, so that it can be looked at what led to it.
    await naive.route('**', (route) => route.fulfill({ status: 204 }));
    await naive.setContent(`<title>${payload}</title><p>${payload}</p><input value="${payload}"><input value='${payload}'><textarea>${payload}</textarea>`, { waitUntil: 'commit' });
    assert.notDeepEqual(await findings(naive), [], payload);
    await naive.close();
  }
});

test('in records: names, addresses, ids, clients, user agents, messages, reasons, annotations, warnings, claims', async () => {
  for (const payload of payloads) await record(payload);
  await until('everything is recorded', async () => (await world.records()).filter(({ kind }) => kind === 'consult').length >= 3 * payloads.length);
  const records = await world.records();
  for (const { seq } of records) await visit(`/log/${seq}`, `record ${seq}`);
  for (const payload of payloads) assert.ok(records.some(({ message }) => message === payload), `the message ${payload} is recorded as it is`);
  for (let target = '/log'; target; ) {
    await visit(target, 'all of them');
    target = await page.locator('#older').getAttribute('href', { timeout: 1 }).catch(() => null);
  }
  for (const target of ['/', `${tab('PRE_SIGNUP')}/log`, `${tab('PRE_SESSION_CREATION')}/log`, `${tab('PRE_USER_INVITATION')}/log`]) await visit(target, 'all of them');
});

test('in what is typed into addresses: filters, names of pages, records and cases', async () => {
  for (const payload of payloads) {
    const text = encodeURIComponent(payload);
    const filters = ['text', 'user', 'client', 'since', 'until', 'realm', 'operation', 'request', 'status', 'trigger', 'interceptor'];
    await visit(`/log?${filters.slice(0, 3).map((name) => `${name}=${text}`).join('&')}`, payload);
    await visit(`/log?${filters.map((name) => `${name}=${text}`).join('&')}`, payload);
    await visit(`${tab('PRE_SIGNUP')}/test?record=${text}&case=${text}`, payload);
    for (const target of [`/interceptors/${text}`, `/log/${text}`, `/${text}`]) await visit(target, payload);
  }
});

test('in the tab Test: the event that is sent, and every part of what an endpoint answers', async () => {
  const target = `${tab('PRE_SESSION_CREATION')}/test`;
  await visit(target, 'nothing');
  const sample = JSON.parse(await page.locator('textarea[name="event"]').inputValue());
  for (const payload of payloads) {
    const event = structuredClone(sample);
    Object.assign(event.interceptor_context, { user_email: payload, client_id: payload, user_agent: payload });
    const answers = [
      allow({ claims: { [payload]: payload } }),
      deny(payload, { response: { annotations: { [payload]: payload }, warnings: [payload] } }),
      answer(payload, 500, { 'content-type': 'text/html', 'x-note': payload }),
    ];
    for (const said of answers) {
      world.hooks.decide('PRE_SESSION_CREATION', () => said);
      await page.locator('textarea[name="event"]').fill(JSON.stringify(event, null, 2));
      const ran = page.waitForResponse((response) => response.request().method() === 'POST' && response.url().endsWith('/test'));
      await page.getByRole('button', { name: 'Run', exact: true }).click();
      await (await ran).finished();
      await page.locator('#result:not(.htmx-swapping):not(.htmx-settling) #verdict-title, #result .notice').first().waitFor();
      await harmless(target, payload);
    }
  }
});

test('in the box that explains routes', async () => {
  for (const payload of payloads) {
    await visit('/routes', payload);
    await page.fill('#method', payload);
    await page.fill('#url', payload);
    await page.fill('#form', `grant_type=${payload}`);
    await page.fill('#headers', `X-Note: ${payload}`);
    await page.click('#explain');
    await page.locator('#explanation').waitFor();
    await harmless('/routes', payload);
  }
});
