// What people see, in Chromium: the registration page, a login, and Keycloak's admin console, all through Tollgate.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { Browser } from '../lib/browser.mjs';
import { allow, deny } from '../lib/hooks.mjs';
import { paths } from '../lib/keycloak.mjs';
import { Party, oidc } from '../lib/party.mjs';
import { form } from '../lib/wire.mjs';
import { World } from '../lib/world.mjs';

const message = 'Please sign up with your work e-mail address.';
const seats = 'Your team has all the seats it pays for.';

let world;
let browser;
let app;
let arrived;

before(async () => {
  world = await World.open('browser');
  browser = await Browser.open();
  // The relying party's own server: it notes the address that the browser comes back to.
  app = http.createServer((request, response) => {
    if (request.url.startsWith('/callback')) arrived = new URL(request.url, world.rp);
    response.writeHead(200, { 'content-type': 'text/html' }).end('<h1>Back at the application</h1>');
  });
  app.listen(Number(new URL(world.rp).port), '127.0.0.1');
  await once(app, 'listening');
});
after(async () => {
  for (const value of (await browser?.cookies()) ?? []) world.canaries.add('cookie', value);
  await browser?.close();
  app?.closeAllConnections();
  app?.close();
  await world?.close();
});

const name = (label) => `${label}${world.tag}`;
const shot = (page, title) => page.screenshot({ path: join(world.folder, `${title}.png`) });
const registrationPage = () => `${world.origin}${paths.protocol}/registrations?${form({ client_id: 'web', redirect_uri: world.redirect, response_type: 'code', scope: 'openid' })}`;

async function fillRegistration(page, username) {
  const password = world.canaries.add('password', `canary-pw-${username}-Zq8vTn3kLw`);
  await page.fill('#username', username);
  await page.fill('#email', `${username}@new.example`);
  await page.fill('#firstName', 'New');
  await page.fill('#lastName', 'Comer');
  await page.fill('#password', password);
  await page.fill('#password-confirm', password);
}

const submit = (page) => page.locator('#kc-register-form [type=submit]').click();

describe('registration', () => {
  test('denied: the page shows the message, Keycloak has no such user; back and corrected, it works', async () => {
    world.hooks.answer('Signup', deny(message));
    const page = await browser.page();
    await page.goto(registrationPage());
    await fillRegistration(page, name('browserdenied'));
    await submit(page);
    await page.getByText(message).waitFor();
    await shot(page, 'registration-denied');
    assert.equal(await world.keycloak.user(name('browserdenied')), undefined);

    world.hooks.answer('Signup', allow());
    await page.getByRole('link', { name: 'Go back' }).click();
    await page.locator('#kc-register-form').waitFor();
    await fillRegistration(page, name('browserdenied'));
    await submit(page);
    await page.getByText('Back at the application').waitFor();
    assert.ok(await world.keycloak.user(name('browserdenied')));
  });

  test('allowed: the browser comes back with a code and Keycloak has the user', async () => {
    world.hooks.answer('Signup', allow());
    const page = await browser.page();
    await page.goto(registrationPage());
    await fillRegistration(page, name('browserallowed'));
    await submit(page);
    await page.getByText('Back at the application').waitFor();
    assert.ok(world.canaries.add('code', arrived.searchParams.get('code')));
    assert.equal((await world.keycloak.user(name('browserallowed'))).email, `${name('browserallowed')}@new.example`);
  });

  test('text in the message is text, not markup', async () => {
    world.hooks.answer('Signup', deny('<img src=x onerror="document.title=\'run\'"> & <b>bold</b>'));
    const page = await browser.page();
    await page.goto(registrationPage());
    await fillRegistration(page, name('browsermarkup'));
    await submit(page);
    await page.getByText('<b>bold</b>').waitFor();
    assert.notEqual(await page.title(), 'run');
    assert.equal(await page.locator('img[src="x"]').count(), 0);
  });
});

test('a login in the browser, redeemed by openid-client, has the claims', async () => {
  world.hooks.answer('Session', allow({ claims: { plan: 'gold' } }));
  const party = await Party.of(world, 'spa');
  const verifier = world.canaries.add('PKCE verifier', oidc.randomPKCECodeVerifier());
  const state = oidc.randomState();
  const url = oidc.buildAuthorizationUrl(party.config, { redirect_uri: world.redirect, scope: 'openid email', state, code_challenge: await oidc.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256' });
  const page = await browser.page();
  await page.goto(url.href);
  await page.fill('#username', 'bob');
  await page.locator('[type=submit]').first().click();
  await page.fill('#password', world.secretOf('bob'));
  await page.locator('[type=submit]').first().click();
  await page.getByText('Back at the application').waitFor();
  const tokens = await party.redeem({ location: arrived, checks: { pkceCodeVerifier: verifier, expectedState: state } });
  assert.equal((await party.verify(tokens.access_token)).plan, 'gold');
  const { interceptor_context: context } = world.hooks.events('PRE_SESSION_CREATION').at(-1);
  assert.equal(context.client_id, 'spa');
});

test('the account console works with the tokens that it holds', async () => {
  world.hooks.answer('Session', allow({ claims: { plan: 'gold' } }));
  const page = await browser.page();
  await page.goto(`${world.origin}/realms/tg/account/`);
  await page.fill('#username', 'carol');
  await page.locator('[type=submit]').first().click();
  await page.fill('#password', world.secretOf('carol'));
  await page.locator('[type=submit]').first().click();
  await page.getByTestId('email').waitFor();
  assert.equal(await page.getByTestId('email').inputValue(), 'carol@example.org');
  await page.getByTestId('lastName').fill('Changed');
  await page.getByTestId('save').click();
  await page.getByText(/has been updated/i).first().waitFor();
  await shot(page, 'account');
  assert.equal((await world.keycloak.user('carol')).lastName, 'Changed');
});

describe('the admin console', () => {
  let page;

  test('log in', async () => {
    world.hooks.answer('Session', allow());
    page = await browser.page();
    page.on('response', async (response) => {
      if (response.url().includes('/protocol/openid-connect/token') && response.ok()) world.keep(await response.json().catch(() => ({})));
    });
    await page.goto(`${world.origin}/admin/master/console/`);
    await page.fill('#username', 'admin');
    if (!(await page.locator('#password').isVisible())) await page.locator('[type=submit]').first().click();
    await page.fill('#password', world.secretOf('admin'));
    await page.locator('[type=submit]').first().click();
    await page.getByTestId('options-toggle').or(page.getByRole('button', { name: 'admin' })).first().waitFor();
    await shot(page, 'console');
    assert.ok(world.hooks.events('PRE_SESSION_CREATION', (event) => event.interceptor_context.realm === 'master').length > 0);
  });

  async function create(username) {
    // A whole load: the console keeps the realm it has when only the fragment of its address changes.
    await page.goto('about:blank');
    await page.goto(`${world.origin}/admin/master/console/#/tg/users/add-user`);
    await page.getByTestId('username').waitFor();
    await page.getByTestId('username').fill(username);
    await page.getByTestId('email').fill(`${username}@new.example`);
    await page.getByTestId('user-creation-save').click();
  }

  test('a denied user is not made, and the console shows the message', async () => {
    world.hooks.answer('Invitation', deny(seats));
    await create(name('consoledenied'));
    await page.getByText(seats).first().waitFor();
    await shot(page, 'console-denied');
    assert.equal(await world.keycloak.user(name('consoledenied')), undefined);
  });

  test('an allowed user is made', async () => {
    world.hooks.answer('Invitation', allow());
    await create(name('consoleallowed'));
    await page.getByText('The user has been created').waitFor();
    await shot(page, 'console-allowed');
    assert.equal((await world.keycloak.user(name('consoleallowed'))).email, `${name('consoleallowed')}@new.example`);
    const [event] = world.hooks.events('PRE_USER_INVITATION', ({ data }) => data.user?.username === name('consoleallowed'));
    assert.equal(event.interceptor_context.client_id, 'security-admin-console');
  });

  test('reads what it needs: the list of users comes without an error', async () => {
    await page.goto('about:blank');
    await page.goto(`${world.origin}/admin/master/console/#/tg/users`);
    await page.getByPlaceholder('Search user').fill(name('consoleallowed'));
    await page.keyboard.press('Enter');
    await page.getByText(name('consoleallowed'), { exact: true }).first().waitFor();
    assert.equal(await page.getByText(/could not|something went wrong/i).count(), 0);
  });
});

test('every question was signed so that both verifiers agree', () => assert.deepEqual(world.hooks.forged, []));
