// The last suite: nothing that Tollgate wrote or told an interceptor, in any suite before, holds a password, a secret, a code, a cookie or a token.

import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { test } from 'node:test';

import { betrayals, Canaries, filesBelow } from '../lib/canaries.mjs';

const root = process.env.SUITE_RUN;
const ran = readdirSync(root).filter((name) => existsSync(join(root, name, 'known', 'canaries.json')));
const canaries = ran.flatMap((name) => JSON.parse(readFileSync(join(root, name, 'known', 'canaries.json'), 'utf8')));
/** What holds secrets by its purpose: keys, and the list of what to look for. */
const kept = (file) => /\/known\/|\/certs\/|\.(?:key|token|pem|secret|png)$/.test(file);
const suites = JSON.parse(process.env.SUITES ?? '[]').map((file) => basename(file));
const isWhole = suites.length > 20;
const written = ran.flatMap((name) => filesBelow(join(root, name))).filter((file) => !kept(file));

test('every suite left what it used', () => {
  const others = suites.filter((file) => !file.startsWith('90-'));
  assert.equal(ran.length, others.length, `${ran} of ${others}`);
});

test('the dashboards of all suites are there: metrics, the live list, exports, records', () => {
  // The README's commands start a Tollgate whose dashboard is like the others'.
  const looked = ran.filter((name) => name !== '85-readme');
  for (const file of ['metrics.txt', 'live.html', 'overview-24h.html', 'keys.txt', 'export.csv', 'export.ndjson', 'log-0.html']) {
    const missing = looked.filter((name) => !existsSync(join(root, name, 'dashboard', file)));
    assert.deepEqual(missing, [], file);
  }
  for (const name of looked) assert.match(readFileSync(join(root, name, 'dashboard', 'metrics.txt'), 'utf8'), /^tollgate_consults_total/m, name);
  assert.ok(written.some((file) => /\/dashboard\/record-[\d.]+\.html$/.test(file)));
  assert.ok(written.some((file) => /\/dashboard\/record-[\d.]+-test\.html$/.test(file)));
});

test('no secret in the audit databases, the logs, the events, the metrics and the dashboards', (t) => {
  const kinds = new Set(canaries.map(({ kind }) => kind));
  assert.ok(canaries.length >= 30, `only ${canaries.length} secrets to look for`);
  if (isWhole) assert.ok(kinds.size >= 30, `only ${kinds.size} kinds: ${[...kinds]}`);
  const audit = process.env.POSTGRES ? 'audit.txt' : 'audit.db';
  for (const name of [audit, 'tollgate.log', 'events.jsonl']) assert.ok(written.some((file) => basename(file) === name), `${name} is missing`);
  assert.ok(written.filter((file) => basename(file) === audit).every((file) => statSync(file).size > 0));
  assert.deepEqual(betrayals(written, canaries), []);
  const bytes = written.reduce((sum, file) => sum + statSync(file).size, 0);
  t.diagnostic(`${canaries.length} secrets of ${kinds.size} kinds (${[...kinds].sort().join(', ')}), ${written.length} files, ${(bytes / 1e6).toFixed(1)} MB`);
});

test('the search finds what is there: plain, percent-encoded, in HTML and JSON, and a token by its signature', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tollgate-canaries-'));
  const planted = new Canaries();
  const token = `${'h'.repeat(20)}.${'p'.repeat(60)}.${'s'.repeat(60)}`;
  planted.add('password', 'pass word+of/nobody');
  planted.add('token', token);
  planted.add('password', `quoted"&'<of>nobody`);
  const files = { plain: 'x pass word+of/nobody x', encoded: `x=${encodeURIComponent('pass word+of/nobody')}`, signature: `…${'s'.repeat(60)}`, html: '<td>quoted&quot;&amp;&#39;&lt;of&gt;nobody</td>', json: JSON.stringify({ password: `quoted"&'<of>nobody` }), clean: 'nothing' };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  const found = betrayals(filesBelow(folder), planted.entries()).map(({ file }) => basename(file));
  assert.deepEqual(found.sort(), ['encoded', 'html', 'json', 'plain', 'signature']);
  rmSync(folder, { recursive: true });
});
