// Every page of the dashboard, by a name for files and tests.

import { ada, mallory, named } from './world.mjs';

const session = `/interceptors/${encodeURIComponent(named.PRE_SESSION_CREATION)}`;

/** `[name, address, act]`: `act` is done on the page once it is there. */
export async function pages(world) {
  const records = await world.records();
  const record = (trigger, email) => {
    const found = records.find((one) => one.kind === 'consult' && one.trigger === trigger && one.user_email === email);
    if (!found) throw new Error(`no record of ${trigger} for ${email}`);
    return found.seq;
  };
  const denied = record('PRE_SESSION_CREATION', mallory.email);
  const allowed = record('PRE_SESSION_CREATION', ada.email);
  const failed = record('PRE_SIGNUP', 'oliver@example.com');
  return [
    ['overview', '/'],
    ['overview-table', '/?range=24h', (page) => page.getByText('The same as a table').click()],
    ['interceptors', '/interceptors'],
    ['interceptor-configuration', session],
    ['interceptor-log', `${session}/log`],
    ['interceptor-test', `${session}/test?record=${denied}`, run],
    ['interceptor-test-idle', `${session}/test`],
    ['log', '/log'],
    ['log-filtered', `/log?user=${encodeURIComponent(mallory.email)}&decision=deny&since=24h`],
    ['log-nothing', '/log?user=nobody@example.com'],
    ['log-wrong', '/log?since=yesterday-ish'],
    ['record-denied', `/log/${denied}`],
    ['record-allowed', `/log/${allowed}`],
    ['record-failed', `/log/${failed}`],
    ['routes', '/routes'],
    ['routes-explained', '/routes', explain],
    ['keys', '/keys'],
    ['no-such-page', '/nothing-here'],
  ];
}

async function run(page) {
  await page.getByRole('button', { name: 'Run', exact: true }).click();
  await page.locator('#verdict-title').waitFor();
}

async function explain(page) {
  await page.fill('#method', 'POST');
  await page.fill('#url', '/token');
  await page.fill('#form', 'grant_type=password');
  await page.click('#explain');
  await page.locator('#explanation').waitFor();
}
