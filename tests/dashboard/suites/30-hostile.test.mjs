// What clients, people and endpoints can put into a record or an answer is shown as text, and nothing of it runs, loads or opens.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
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
  world.hooks.decide('PRE_SESSION_CREATION', () => allow({ claims: { [payload]: payload, note: payload, plan: { [payload]: [payload] } } }));
  world.hooks.decide('PRE_USER_INVITATION', () => answer(payload, 500, { 'x-note': payload, 'content-type': 'text/html' }));
  const headers = { 'User-Agent': payload };
  await world.signUp({ name: payload, email: payload, client_id: payload, realm: payload, [payload]: payload }, headers);
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

test('in records: names, addresses, ids, clients, realms, user agents, messages, reasons, annotations, warnings, claims', async () => {
  for (const payload of payloads) await record(payload);
  await until('everything is recorded', async () => (await world.records()).filter(({ kind }) => kind === 'consult').length >= 3 * payloads.length);
  const records = await world.records();
  for (const { seq } of records) await visit(`/log/${seq}`, `record ${seq}`);
  const fields = {
    'the e-mail address': ({ user_email: email }) => email,
    'the client id': ({ client_id: client }) => client,
    'the user agent': ({ event }) => event?.interceptor_context.user_agent,
    'the realm': ({ realm }) => realm,
    'the reason of the interceptor': ({ reason }) => reason,
    'the text of a denial': ({ message }) => message,
    'the name of a claim': ({ claims }) => claims?.access_token?.added?.find((name) => payloads.includes(name)),
    'the value of a claim': ({ answer: said }) => said?.response?.claims?.note,
  };
  for (const [field, read] of Object.entries(fields)) {
    const seen = new Set(records.map(read));
    // What names nobody, such as an address without an @, may be left out of an event; what is shown is what is recorded.
    assert.deepEqual(payloads.filter((payload) => !seen.has(payload)), [], `${field} is recorded as it is`);
  }
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

test('in the log: whatever anybody sends, a line of it begins with a time and is one of ours', async () => {
  const forged = '2026-01-01T00:00:00.000000Z  INFO tollgate::forged: forged line';
  for (const end of ['\n', '\r\n', '\r', '\u2028', '\u2029', '\u0085', '\u000b', '\u001b[2K\r']) {
    const text = `x${end}${forged}${end}`;
    const said = { error: { message: text, reason: text }, response: { warnings: [text] } };
    world.hooks.decide('PRE_SIGNUP', () => answer({ decision: 'DENY', ...said }));
    world.hooks.decide('PRE_SESSION_CREATION', () => answer(text, 500, { 'content-type': 'text/plain' }));
    await world.signUp({ name: text, email: text, client_id: text, realm: text });
    await world.logIn({ sub: text, email: text }, text);
    await world.invite(encodeURIComponent(text), text);
    for (const target of ['/log?text=', '/log/', '/interceptors/']) await page.goto(world.dashboard + target + encodeURIComponent(text));
  }
  for (const payload of payloads) await page.goto(`${world.dashboard}/log?user=${encodeURIComponent(payload)}`);
  const lines = readFileSync(world.log, 'utf8').split(/\r\n|[\n\r\u2028\u2029\u0085\u000b]/);
  assert.equal(lines.pop(), '');
  const strange = lines.filter((line) => !/^\d{4}-\d\d-\d\dT[\d:.]+Z +(?:ERROR|WARN|INFO) /.test(line) || line.startsWith(forged.slice(0, 20)));
  assert.deepEqual(strange, []);
  assert.ok(lines.length > payloads.length);
});
