// Tollgate is killed in the middle of its work, again and again: what a client was told is in the audit, and the chain of records holds.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { deny, allow } from '../lib/hooks.mjs';
import { paths } from '../lib/keycloak.mjs';
import { claimsOf } from '../lib/party.mjs';
import { until } from '../lib/processes.mjs';
import { interceptors, World } from '../lib/world.mjs';

const kills = 20;
const clients = 4;

let world;
/** By the number that the endpoint gave to each decision: which request it was and how it was decided. */
const decided = new Map();
let serial = 0;

before(async () => {
  world = await World.open('crash', { recorded: false, interceptors: () => [interceptors.machine] });
  world.hooks.answer('Machine', (request, response, call) => {
    serial += 1;
    const number = `decision-${serial}-of-${world.tag}`;
    const denied = serial % 3 === 0;
    decided.set(number, { request: call.event.interceptor_context.request_id, decision: denied ? 'deny' : 'allow' });
    (denied ? deny(number) : allow({ claims: { ticket: number } }))(request, response, call);
  });
});
after(() => world?.close());

/** Asks for tokens until the connection fails; the numbers of the decisions that reached this client whole. */
async function client(seen) {
  for (;;) {
    let answer;
    try {
      answer = await world.post(paths.token, { grant_type: 'client_credentials', client_id: 'robot', client_secret: world.secretOf('robot') });
    } catch {
      return;
    }
    if (answer.status === 200) seen.push(claimsOf(answer.json.access_token).ticket);
    else if (answer.json.error === 'access_denied') seen.push(answer.json.error_description);
    else assert.fail(`${answer.status} ${answer.text}`);
  }
}

test(`after ${kills} kills every decision that a client saw is in the audit and the chain holds`, async (t) => {
  const seen = [];
  const restarts = [];
  for (let round = 0; round < kills; round += 1) {
    const mine = [];
    const running = Array.from({ length: clients }, () => client(mine));
    // In the middle of a run: some decisions are out, others under way; how many differs from round to round.
    const enough = 3 + ((round * 7) % 20);
    await until(`${enough} decisions in round ${round}`, () => mine.length >= enough, 30_000);
    const how = await world.tollgate.stop('SIGKILL');
    assert.equal(how.signal, 'SIGKILL');
    await Promise.all(running);
    seen.push(...mine);
    const verified = await world.tollgate.command('audit', 'verify');
    assert.equal(verified.code, 0, `after kill ${round + 1}: ${verified.stdout}${verified.stderr}`);
    const started = performance.now();
    await world.tollgate.start();
    restarts.push(performance.now() - started);
  }
  const records = new Map((await world.tollgate.audit('--kind', 'consult', '--limit', '100000')).map((record) => [record.request_id, record]));
  for (const number of seen) {
    const { request, decision } = decided.get(number);
    const record = records.get(request);
    assert.ok(record, `${number}: a client saw it, the audit does not have it`);
    assert.equal(record.decision, decision);
    assert.equal(record.answer.error?.message ?? record.answer.response.claims.ticket, number);
  }
  t.diagnostic(`${seen.length} decisions seen by clients, ${records.size} in the audit; restarts took ${Math.min(...restarts).toFixed(0)} to ${Math.max(...restarts).toFixed(0)} ms`);
  assert.ok(seen.length >= kills * 3);
});

test('a change to the file breaks the chain and is found', async () => {
  await world.tollgate.stop();
  const file = join(world.folder, 'audit.db');
  const bytes = readFileSync(file);
  const changed = Buffer.from(bytes);
  // Everywhere, since a page that was split keeps a copy of what it had.
  let at = bytes.indexOf('decision-4-of-');
  assert.ok(at > 0, 'the record is not where it was expected');
  for (; at > 0; at = bytes.indexOf('decision-4-of-', at + 1)) changed.write('decision-5', at);
  writeFileSync(file, changed);
  const verified = await world.tollgate.command('audit', 'verify');
  assert.equal(verified.code, 1, verified.stdout);
  writeFileSync(file, bytes);
  assert.equal((await world.tollgate.command('audit', 'verify')).code, 0);
});
