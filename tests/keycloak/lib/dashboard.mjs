// Everything that Tollgate's other listener shows: pages, details, exports, the live list, metrics. Saved, to be searched for secrets.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { send } from './wire.mjs';

/** Pages of the log, and records, that are looked at most; and at another replica's, which has the same ones. */
const whole = { pages: 40, records: 250 };
export const again = { pages: 1, records: 10 };

/** Where the dashboard is, by the last start that a process tells of in its log; undefined where there was none. */
export function dashboardOf({ log, begins }) {
  const addresses = [...readFileSync(log).subarray(begins).toString('utf8').matchAll(/the dashboard is on ([\d.]+:\d+)/g)];
  return addresses.length ? `http://${addresses.at(-1)[1]}` : undefined;
}

/** Saves what a dashboard shows in `folder`/dashboard, and says how many answers that are. */
export async function saveDashboard(origin, folder, most = whole) {
  const into = join(folder, 'dashboard');
  mkdirSync(into, { recursive: true });
  let saved = 0;
  const see = async (target, name, request = {}) => {
    const answer = await send(origin, { method: 'GET', target, headers: { Accept: 'text/html', ...request.headers }, ...request });
    if (answer.status >= 500) throw new Error(`${target} of the dashboard answers ${answer.status}: ${answer.text.slice(0, 400)}`);
    const head = answer.headers.map(([key, value]) => `${key}: ${value}\n`).join('');
    writeFileSync(join(into, name), `${target} ${answer.status}\n${head}\n${answer.text}`);
    saved += 1;
    return answer.text;
  };
  const links = (text, pattern) => [...new Set([...text.matchAll(pattern)].map(([, target]) => target.replaceAll('&amp;', '&')))];

  for (const name of ['metrics', 'healthz', 'readyz', 'keys', 'routes']) await see(`/${name}`, `${name}.txt`);
  for (const range of ['1h', '24h', '7d']) await see(`/?range=${range}`, `overview-${range}.html`);
  await see('/log/rows', 'live.html');
  await see('/log?live=1', 'log-live.html');
  const interceptors = links(await see('/interceptors', 'interceptors.html'), /href="(\/interceptors\/[^"/?]+)"/g);
  for (const [index, target] of interceptors.entries()) {
    for (const tab of ['', '/log', '/test']) await see(target + tab, `interceptor-${index}${tab.replace('/', '-')}.html`);
  }
  for (const ending of ['ndjson', 'csv']) await see(`/log/export.${ending}`, `export.${ending}`);

  const records = [];
  for (let target = '/log', page = 0; target && page < most.pages; page += 1) {
    const text = await see(target, `log-${page}.html`);
    records.push(...links(text, /href="\/log\/([\d.]+)"/g));
    [target] = links(text, /id="older"[^>]*href="([^"]+)"/g);
  }
  // The newest, and as many of the others, evenly.
  const some = records.filter((_, index) => index < most.records / 2 || index % Math.ceil((2 * records.length) / most.records) === 0);
  for (const [index, seq] of some.entries()) {
    const text = await see(`/log/${seq}`, `record-${seq}.html`);
    const [trial] = links(text, /href="(\/interceptors\/[^"]+\/test\?record=[\d.]+)"/g);
    if (trial && index < 20) await see(trial, `record-${seq}-test.html`);
  }
  const [, csrf] = readFileSync(join(into, 'routes.txt'), 'utf8').match(/name="csrf" value="([^"]+)"/) ?? [];
  if (csrf) {
    const asked = new URLSearchParams({ csrf, method: 'POST', url: '/realms/tg/protocol/openid-connect/token', form: 'grant_type=password' });
    await see('/routes', 'routes-explained.html', { method: 'POST', headers: { 'Content-Type': 'application/x-www-form-urlencoded' }, body: asked.toString() });
  }
  return saved;
}
